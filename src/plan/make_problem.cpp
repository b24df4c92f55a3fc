// make_problem.cpp - checks a LacunaPlanDesc, field by field.
//
// SPDX-License-Identifier: Apache-2.0
#include "make_problem.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string_view>

namespace lacuna
{
namespace
{

constexpr uint32_t kMaxTokens = 1u << 20;
constexpr uint64_t kMaxStride = (uint64_t(1) << 35) - 8; // kernels hold stride / 8 in 32 bits

// Collects the first failed check.
struct Checker
{
    std::string& sentence;

    bool require(bool ok, const std::string& what)
    {
        if (!ok && sentence.empty())
            sentence = what;
        return ok;
    }
    bool range(const char* name, uint64_t value, uint64_t min, uint64_t max)
    {
        return require(value >= min && value <= max, std::string(name) + " is " + std::to_string(value) +
                                                         ", expected " + std::to_string(min) + ".." +
                                                         std::to_string(max));
    }
};

constexpr const char* kDtypes = "LACUNA_DTYPE_F16, LACUNA_DTYPE_F32 or LACUNA_DTYPE_BF16";

bool isDtype(LacunaDtype dtype)
{
    return dtype == LACUNA_DTYPE_F16 || dtype == LACUNA_DTYPE_F32 || dtype == LACUNA_DTYPE_BF16;
}

void checkShape(Checker& check, const LacunaPlanDesc& d, Problem& p)
{
    check.range("batch", d.batch, 1, 65535);
    check.range("q_heads", d.q_heads, 1, 65535);
    check.range("q_len", d.q_len, 1, kMaxTokens);
    p.batch = d.batch;
    p.q_heads = d.q_heads;
    p.kv_heads = d.kv_heads ? d.kv_heads : d.q_heads;
    p.q_len = d.q_len;
    p.k_len = d.k_len ? d.k_len : d.q_len;
    p.head_dim = d.head_dim;
    check.range("k_len", p.k_len, 1, kMaxTokens);
    check.require(p.kv_heads != 0 && p.q_heads % p.kv_heads == 0, "kv_heads is " + std::to_string(p.kv_heads) +
                                                   ", expected a divisor of q_heads (" + std::to_string(p.q_heads) +
                                                   ")");
    check.require(d.head_dim % 8 == 0 && d.head_dim >= 8 && d.head_dim <= 256,
                  "head_dim is " + std::to_string(d.head_dim) + ", expected a multiple of 8 in 8..256");
    check.require(isDtype(d.dtype),
                  "dtype is " + std::to_string(int(d.dtype)) + ", expected " + kDtypes);
    check.require(d.out_dtype == 0 || isDtype(d.out_dtype),
                  "out_dtype is " + std::to_string(int(d.out_dtype)) + ", expected 0, " + kDtypes);
    p.dtype = d.dtype;
    p.out_dtype = d.out_dtype ? d.out_dtype : d.dtype;
    check.require(d.sums >= LACUNA_SUMS_F32 && d.sums <= LACUNA_SUMS_I32,
                  "sums is " + std::to_string(int(d.sums)) +
                      ", expected LACUNA_SUMS_F32, LACUNA_SUMS_F16 or LACUNA_SUMS_I32");
    p.sums = d.sums;
    check.require(std::isfinite(d.scale) && d.scale >= 0,
                  "scale is " + std::to_string(d.scale) + ", expected a finite number >= 0 (0 means 1 / sqrt(D))");
    p.scale = d.scale > 0 ? double(d.scale) : 1 / std::sqrt(double(d.head_dim));
}

void checkLogits(Checker& check, const LacunaPlanDesc& d, Problem& p)
{
    check.require(std::isfinite(d.soft_cap) && d.soft_cap >= 0,
                  "soft_cap is " + std::to_string(d.soft_cap) + ", expected a finite number >= 0 (0 means none)");
    p.soft_cap = d.soft_cap;
    if (!d.sink_logits || !check.sentence.empty())
        return;
    p.sink_logits.assign(d.sink_logits, d.sink_logits + d.q_heads);
    for (uint32_t head = 0; head < d.q_heads; ++head)
        check.require(p.sink_logits[head] < std::numeric_limits<float>::infinity(),
                      "sink_logits[" + std::to_string(head) + "] is " + std::to_string(p.sink_logits[head]) +
                          ", expected a finite number, or -inf for none");
}

void checkGrid(Checker& check, const LacunaPlanDesc& d, Problem& p)
{
    const LacunaVideoGrid& g = d.grid;
    if (g.frames == 0 && g.height == 0 && g.width == 0)
    {
        check.require(g.text_before == 0 && g.text_after == 0, "grid has text tokens but no frames x height x width");
        return;
    }
    if (!check.sentence.empty() || !makeGrid(g, p.grid, check.sentence))
        return;
    check.require(p.grid.tokens() == p.q_len && p.grid.tokens() == p.k_len,
                  "grid has " + std::to_string(p.grid.tokens()) + " tokens, but q_len is " + std::to_string(p.q_len) +
                      " and k_len is " + std::to_string(p.k_len));
}

// A bijection on the tokens.
void checkOrder(Checker& check, const LacunaPlanDesc& d, Problem& p)
{
    if (!d.order || !check.sentence.empty())
        return;
    if (!check.require(p.q_len == p.k_len, "order needs as many keys as queries, there are " +
                                               std::to_string(p.k_len) + " and " + std::to_string(p.q_len)))
        return;
    p.order.assign(d.order, d.order + p.q_len);
    std::vector<bool> is_there(p.q_len);
    for (uint32_t place = 0; place < p.q_len; ++place)
    {
        const uint32_t token = p.order[place];
        if (token < p.q_len && !is_there[token])
        {
            is_there[token] = true;
            continue;
        }
        check.require(false, "order[" + std::to_string(place) + "] is " + std::to_string(token) +
                                 (token < p.q_len ? ", which is there twice: expected every token once"
                                                  : ", expected 0.." + std::to_string(p.q_len - 1)));
        return;
    }
}

Strides checkStrides(Checker& check, const char* name, const LacunaStrides& s, uint32_t heads, uint32_t tokens,
                     uint32_t head_dim)
{
    if (s.batch == 0 && s.head == 0 && s.token == 0)
        return {uint64_t(heads) * tokens * head_dim, uint64_t(tokens) * head_dim, head_dim};
    const auto one = [&](const char* axis, uint64_t value) {
        check.require(value % 8 == 0 && value <= kMaxStride, std::string(name) + "." + axis + " is " +
                                                                 std::to_string(value) +
                                                                 ", expected a multiple of 8 in 0.." +
                                                                 std::to_string(kMaxStride));
    };
    one("batch", s.batch);
    one("head", s.head);
    one("token", s.token);
    return {s.batch, s.head, s.token};
}

// Two elements of the output at one address would race.
void checkOutputStrides(Checker& check, const Problem& p)
{
    struct Axis
    {
        uint64_t stride, count;
    };
    Axis axes[] = {{p.out.batch, p.batch}, {p.out.head, p.q_heads}, {p.out.token, p.q_len}};
    std::sort(std::begin(axes), std::end(axes), [](const Axis& a, const Axis& b) { return a.stride < b.stride; });
    uint64_t extent = p.head_dim;
    for (const Axis& axis : axes)
    {
        if (axis.count == 1)
            continue;
        check.require(axis.stride >= extent, "out_strides overlap: two elements of the output share an address");
        extent = axis.stride * (axis.count - 1) + extent;
    }
}

std::string knownMethods()
{
    std::string names;
    for (const Method* method : allMethods())
        names += (names.empty() ? "" : ", ") + std::string(method->name);
    return names;
}

// A choice per head needs one entry for each query head, or one for all.
bool checkHeads(const Problem& p, const Method& method, const Options& options,
                std::string& sentence)
{
    for (uint32_t i = 0; i < method.options.size(); ++i)
    {
        const OptionDesc& desc = method.options[i];
        if (!isPerHead(desc.type))
            continue;
        const size_t entries = options.heads(i).size();
        if (entries != 1 && entries != p.q_heads)
        {
            sentence = "option '" + std::string(desc.name) + "' of method '" + method.name +
                       "' is for " + std::to_string(entries) + " heads, expected 1 or " +
                       std::to_string(p.q_heads);
            return false;
        }
    }
    return true;
}

} // namespace

bool makeGrid(const LacunaVideoGrid& from, VideoGrid& grid, std::string& sentence)
{
    Checker check = {sentence};
    check.range("grid.frames", from.frames, 1, kMaxTokens);
    check.range("grid.height", from.height, 1, kMaxTokens);
    check.range("grid.width", from.width, 1, kMaxTokens);
    check.range("grid.text_before", from.text_before, 0, kMaxTokens);
    check.range("grid.text_after", from.text_after, 0, kMaxTokens);
    if (!sentence.empty())
        return false;
    grid = {{from.frames, from.height, from.width}, from.text_before, from.text_after};
    return check.require(grid.tokens() <= kMaxTokens, "grid has " + std::to_string(grid.tokens()) +
                                                          " tokens, expected at most " + std::to_string(kMaxTokens));
}

uint64_t tensorExtent(const Strides& s, uint32_t batch, uint32_t heads, uint32_t tokens, uint32_t head_dim)
{
    return uint64_t(batch - 1) * s.batch + uint64_t(heads - 1) * s.head + uint64_t(tokens - 1) * s.token + head_dim;
}

LacunaResult makeRequest(const LacunaPlanDesc* desc, Request& request, std::string& sentence)
{
    sentence.clear();
    if (!desc)
    {
        sentence = "desc is NULL";
        return LACUNA_ERROR_INVALID_ARGUMENT;
    }
    Checker check = {sentence};
    Problem& p = request.problem;
    checkShape(check, *desc, p);
    checkLogits(check, *desc, p);
    checkGrid(check, *desc, p);
    checkOrder(check, *desc, p);
    p.q = checkStrides(check, "q_strides", desc->q_strides, p.q_heads, p.q_len, p.head_dim);
    p.k = checkStrides(check, "k_strides", desc->k_strides, p.kv_heads, p.k_len, p.head_dim);
    p.v = checkStrides(check, "v_strides", desc->v_strides, p.kv_heads, p.k_len, p.head_dim);
    p.out = checkStrides(check, "out_strides", desc->out_strides, p.q_heads, p.q_len, p.head_dim);
    checkOutputStrides(check, p);
    check.require(desc->option_count == 0 || desc->options, "options is NULL but option_count is " +
                                                                std::to_string(desc->option_count));
    check.require(desc->tuning_count == 0 || desc->tuning,
                  "tuning is NULL but tuning_count is " + std::to_string(desc->tuning_count));
    check.require(desc->kernel_count == 0 || desc->kernels,
                  "kernels is NULL but kernel_count is " + std::to_string(desc->kernel_count));
    if (!sentence.empty())
        return LACUNA_ERROR_INVALID_ARGUMENT;

    request.method = desc->method ? findMethod(desc->method) : nullptr;
    if (!request.method)
    {
        sentence = "method is '" + std::string(desc->method ? desc->method : "(null)") + "', expected one of " +
                   knownMethods();
        return LACUNA_ERROR_INVALID_ARGUMENT;
    }
    const std::string owner = std::string("method '") + request.method->name + "'";
    if (desc->order && std::string_view(request.method->kind) != "given")
    {
        sentence = owner + " has its own order, expected NULL as order";
        return LACUNA_ERROR_INVALID_ARGUMENT;
    }
    if (!parseOptions(request.method->options, {desc->options, desc->option_count}, owner.c_str(), request.options,
                      sentence))
        return LACUNA_ERROR_INVALID_ARGUMENT;
    if (!checkHeads(p, *request.method, request.options, sentence))
        return LACUNA_ERROR_INVALID_ARGUMENT;
    if (const std::string reason = request.method->unsupportedReason(p, request.options); !reason.empty())
    {
        sentence = owner + " " + reason;
        return LACUNA_ERROR_INVALID_ARGUMENT;
    }
    return LACUNA_SUCCESS;
}

} // namespace lacuna

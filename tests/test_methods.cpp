// test_methods.cpp - every registered method against its own definition, on any Vulkan device.
// ctest: label=vk timeout=600
//
// SPDX-License-Identifier: Apache-2.0
//
// Two questions, asked apart so that a failure says which half broke:
//   selection   did the device keep the keys that reference() keeps?
//   attention   given the keys that the device kept, is the output right?
// A new method is covered without an edit here. Rerun one case: test_methods --case=TEXT, a part of the printed id.
#include "harness_options.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

using namespace lacuna;
using namespace lacuna::test;

namespace
{

LacunaPlanDesc shape(uint32_t batch, uint32_t q_heads, uint32_t kv_heads, uint32_t q_len, uint32_t k_len,
                     uint32_t head_dim, LacunaDtype dtype = LACUNA_DTYPE_F16)
{
    LacunaPlanDesc desc = {};
    desc.batch = batch;
    desc.q_heads = q_heads;
    desc.kv_heads = kv_heads;
    desc.q_len = q_len;
    desc.k_len = k_len;
    desc.head_dim = head_dim;
    desc.dtype = dtype;
    desc.tier = LACUNA_TIER_SCALAR;
    return desc;
}

LacunaPlanDesc video(uint32_t batch, uint32_t q_heads, uint32_t kv_heads, const LacunaVideoGrid& grid)
{
    const uint32_t tokens = grid.text_before + grid.frames * grid.height * grid.width + grid.text_after;
    LacunaPlanDesc desc = shape(batch, q_heads, kv_heads, tokens, tokens, 64);
    desc.grid = grid;
    return desc;
}

// The layout of most models: [B, N, H, D].
LacunaPlanDesc tokenMajor(LacunaPlanDesc desc)
{
    const auto strides = [&](uint64_t heads, uint64_t tokens) -> LacunaStrides
    { return {tokens * heads * desc.head_dim, desc.head_dim, heads * desc.head_dim}; };
    desc.q_strides = desc.out_strides = strides(desc.q_heads, desc.q_len);
    desc.k_strides = desc.v_strides = strides(desc.kv_heads, desc.k_len);
    return desc;
}

std::vector<LacunaPlanDesc> shapes()
{
    return {
        video(1, 1, 1, {5, 7, 9, 0, 0}),
        video(1, 3, 3, {5, 7, 9, 3, 0}),
        tokenMajor(video(2, 4, 2, {5, 7, 9, 0, 13})), // grouped heads
        video(1, 1, 1, {4, 12, 20, 7, 5}),
        video(1, 2, 1, {1, 9, 17, 0, 0}),
        video(1, 1, 1, {1, 1, 1, 0, 0}),
        shape(1, 2, 2, 200, 200, 64),
        shape(2, 3, 1, 200, 77, 64), // cross attention
        tokenMajor(shape(1, 1, 1, 65, 1000, 64)),
        shape(1, 1, 1, 1, 1, 8),
        shape(1, 2, 2, 150, 150, 72, LACUNA_DTYPE_F32),
        shape(1, 1, 1, 70, 130, 256),
    };
}

void checkBorders(const std::vector<uint32_t>& borders, uint32_t tokens)
{
    REQUIRE(borders.size() >= 2);
    CHECK(borders.front() == 0);
    CHECK(borders.back() == tokens);
    CHECK(std::is_sorted(borders.begin(), borders.end(), std::less_equal<>()));
}

// One order for all heads, one for each, or one for each of each batch.
void checkBijections(std::vector<uint32_t> order, uint32_t tokens, const Problem& p)
{
    const size_t orders = order.size() / tokens;
    REQUIRE((orders == 1 || orders == p.q_heads || orders == p.heads()));
    REQUIRE(order.size() == orders * tokens);
    for (auto begin = order.begin(); begin != order.end(); begin += tokens)
    {
        std::sort(begin, begin + tokens);
        for (uint32_t i = 0; i < tokens; ++i)
            if (begin[i] != i)
                FAIL_CHECK("not a permutation");
    }
}

// Lists promise this much to ATTEND, whatever the method.
void checkWellFormed(const host::Attention::Kept& kept, const Problem& p)
{
    checkBorders(kept.row_borders, p.q_len);
    checkBorders(kept.key_borders, p.k_len);
    checkBijections(kept.q_order, p.q_len, p);
    checkBijections(kept.k_order, p.k_len, p);
    REQUIRE(kept.spans.size() == size_t(p.heads()) * (kept.row_borders.size() - 1));
    bool is_sound = true;
    for (const auto& row : kept.spans)
        for (size_t i = 0; i < row.size(); ++i)
            is_sound &= row[i].begin < row[i].end && row[i].end <= p.k_len &&
                        (i == 0 || row[i - 1].end < row[i].begin); // touching spans are one
    CHECK(is_sound);
}

std::vector<uint8_t> referenceMask(const Request& request, const Inputs& inputs)
{
    const Problem& p = request.problem;
    std::vector<uint8_t> mask(size_t(p.heads()) * p.q_len * p.k_len);
    request.method->reference(p, request.options, {inputs.q.data(), inputs.k.data(), inputs.v.data()}, 0, p.q_len, mask.data());
    return mask;
}

// The mean of the block that holds `token`, and the sum of magnitudes that bounds its rounding.
struct Mean
{
    std::vector<double> value, magnitude;
};
Mean blockMean(const std::vector<uint32_t>& borders, const std::vector<uint32_t>& order, uint32_t token,
               const float* tokens, uint32_t dim)
{
    const uint32_t position = uint32_t(std::find(order.begin(), order.end(), token) - order.begin());
    const auto end = std::upper_bound(borders.begin(), borders.end(), position);
    Mean mean = {std::vector<double>(dim), std::vector<double>(dim)};
    const double size = *end - *(end - 1);
    for (uint32_t at = *(end - 1); at < *end; ++at)
        for (uint32_t d = 0; d < dim; ++d)
        {
            mean.value[d] += tokens[uint64_t(order[at]) * dim + d] / size;
            mean.magnitude[d] += std::abs(tokens[uint64_t(order[at]) * dim + d]) / size;
        }
    return mean;
}

// Two selections may differ only in keys whose block scores are equal within the rounding of fp32.
void checkTies(const Request& request, const Inputs& inputs, const host::Attention::Kept& kept,
               const std::vector<uint8_t>& device_mask, const std::vector<uint8_t>& mask)
{
    const Problem& p = request.problem;
    const uint32_t dim = p.head_dim;
    for (size_t row = 0; row < size_t(p.heads()) * p.q_len; ++row)
    {
        if (std::memcmp(&device_mask[row * p.k_len], &mask[row * p.k_len], p.k_len) == 0)
            continue;
        CAPTURE(row);
        REQUIRE(std::strcmp(request.method->kind, "dynamic") == 0); // a static list has no scores
        const size_t slice = row / p.q_len;
        const size_t kv_slice = slice / p.q_heads * p.kv_heads + p.keyHead(uint32_t(slice % p.q_heads));
        const Mean q = blockMean(kept.row_borders, kept.q_order, uint32_t(row % p.q_len),
                                 &inputs.q[slice * p.q_len * dim], dim);
        double lowest_kept = std::numeric_limits<double>::infinity(), highest_dropped = -lowest_kept, rounding = 0;
        for (uint32_t key = 0; key < p.k_len; ++key)
        {
            if (device_mask[row * p.k_len + key] == mask[row * p.k_len + key])
                continue;
            const Mean k = blockMean(kept.key_borders, kept.k_order, key, &inputs.k[kv_slice * p.k_len * dim], dim);
            double score = 0, magnitude = 0;
            for (uint32_t d = 0; d < dim; ++d)
            {
                score += q.value[d] * k.value[d];
                magnitude += q.magnitude[d] * k.magnitude[d];
            }
            rounding = std::max(rounding, magnitude * 0x1p-24 * (p.q_len + p.k_len + dim));
            if (device_mask[row * p.k_len + key])
                lowest_kept = std::min(lowest_kept, score);
            else
                highest_dropped = std::max(highest_dropped, score);
        }
        CHECK(highest_dropped - lowest_kept <= 2 * rounding);
    }
}

bool sameSpans(const host::Attention::Kept& a, const host::Attention::Kept& b)
{
    return a.spans.size() == b.spans.size() &&
           std::equal(a.spans.begin(), a.spans.end(), b.spans.begin(),
                      [](const auto& x, const auto& y)
                      { return x.size() == y.size() && std::memcmp(x.data(), y.data(), x.size() * sizeof x[0]) == 0; });
}

// Empty when the method can serve the shape.
std::string refusalOf(const Case& c)
{
    std::vector<LacunaOption> storage;
    const LacunaPlanDesc desc = c.description(storage);
    Request request;
    std::string sentence;
    const LacunaResult result = makeRequest(&desc, request, sentence);
    if (result == LACUNA_SUCCESS)
        return {};
    REQUIRE(request.method);
    CHECK(!request.method->unsupportedReason(request.problem, request.options).empty());
    return sentence;
}

template <typename F>
void eachCase(bool with_ends, const F& f)
{
    for (const Method* method : allMethods())
    {
        if (std::strcmp(method->kind, "given") == 0)
        {
            skip(method->name, "its list comes from the caller; test_attend covers it");
            continue;
        }
        for (const LacunaPlanDesc& desc : shapes())
        {
            const std::vector<OptionValues> sweep = optionSweep(*method, desc.q_heads);
            for (size_t i = 0; i < sweep.size(); ++i)
            {
                if (!with_ends && i != 0 && i != sweep.size() - 1)
                    continue;
                Case c;
                c.method = method->name;
                c.options = sweep[i];
                c.desc = desc;
                const std::string id = c.id();
                INFO(id);
                if (!isWanted(id))
                    continue;
                const std::string refusal = refusalOf(c);
                if (refusal.empty())
                    f(c);
                else if (i == 0)
                    skip(id, refusal);
            }
        }
    }
}

} // namespace

TEST_CASE("selection on the device equals the definition")
{
    eachCase(true,
             [](const Case& c)
             {
                 const Request request = c.request();
                 const Inputs inputs = normalInputs(c, 1);
                 const host::Attention::Kept kept = selectOnDevice(c, inputs);
                 checkWellFormed(kept, request.problem);
                 checkTies(request, inputs, kept, kept.tokenMask(), referenceMask(request, inputs));
             });
}

TEST_CASE("attention over the device's own list equals double precision, twice with the same bits")
{
    eachCase(false,
             [](const Case& c)
             {
                 const Inputs inputs = normalInputs(c, 2);
                 const Output first = runOnDevice(c, inputs), second = runOnDevice(c, inputs);
                 checkAttention(c, inputs, first.kept.tokenMask(), first);
                 CHECK(first.out == second.out);
                 CHECK(first.lse == second.lse);
                 CHECK(sameSpans(first.kept, second.kept));
             });
}

TEST_CASE("the same list on matrix cores")
{
    const auto check = [](const Case& c)
    {
        const std::string id = c.id();
        INFO(id);
        if (!isWanted(id))
            return;
        const Inputs inputs = normalInputs(c, 3);
        try
        {
            const Output output = runOnDevice(c, inputs);
            checkAttention(c, inputs, output.kept.tokenMask(), output);
        }
        catch (const Error& error)
        {
            REQUIRE(error.result() == LACUNA_ERROR_UNSUPPORTED);
            skip(id, error.what());
        }
    };
    for (const Method* method : allMethods())
    {
        if (std::strcmp(method->kind, "given") == 0)
            continue;
        Case c;
        c.method = method->name;
        c.desc = video(1, 4, 2, {5, 7, 9, 3, 13});
        c.desc.tier = LACUNA_TIER_COOPMAT;
        check(c);
        c.options = optionSweep(*method, c.desc.q_heads).back(); // ragged blocks, all kinds of heads
        check(c);
    }
}

TEST_CASE("the density of a plan: exact for a static list, a bound for a dynamic one")
{
    for (const Method* method : allMethods())
    {
        if (std::strcmp(method->kind, "given") == 0)
            continue;
        Case c;
        c.method = method->name;
        c.desc = video(2, 4, 2, {5, 7, 9, 3, 4});
        c.options = optionSweep(*method, c.desc.q_heads).back();
        if (!refusalOf(c).empty())
            c.options.clear();
        const std::string id = c.id();
        INFO(id);
        std::vector<LacunaOption> storage;
        const host::Attention attention(device(), c.description(storage));
        const double density = selectOnDevice(c, normalInputs(c, 4)).density();
        if (std::strcmp(method->kind, "static") == 0)
            CHECK(density == doctest::Approx(attention.info().max_density).epsilon(1e-12));
        else
            CHECK(density <= attention.info().max_density + 1e-12);
    }
}

TEST_CASE("sliding_tile says that it needs a grid")
{
    Case c;
    c.method = "sliding_tile";
    c.desc = shape(1, 1, 1, 64, 64, 64);
    CHECK(refusalOf(c).find("grid") != std::string::npos);
}

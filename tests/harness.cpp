// harness.cpp - what the tests share.
//
// SPDX-License-Identifier: Apache-2.0
#include "harness.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <memory>
#include <numbers>

namespace lacuna::test
{
namespace
{

std::unique_ptr<host::Device> g_device; // destroyed before main ends: layers do not survive later
std::string g_case_filter;
int g_skipped = 0;

// Where tensor [batch, heads, tokens, D] lies in memory.
struct Layout
{
    const Problem& p;
    Strides strides;
    uint32_t heads, tokens;

    uint64_t extent() const { return tensorExtent(strides, p.batch, heads, tokens, p.head_dim); }
    // Calls f(index of the dense tensor, index in memory) for each row of D elements.
    template <typename F>
    void eachRow(const F& f) const
    {
        uint64_t dense = 0;
        for (uint32_t batch = 0; batch < p.batch; ++batch)
            for (uint32_t head = 0; head < heads; ++head)
                for (uint32_t token = 0; token < tokens; ++token, dense += p.head_dim)
                    f(dense, batch * strides.batch + head * strides.head + token * strides.token);
    }
};

// The holes between strided rows hold NaN.
host::Buffer upload(const std::vector<float>& dense, const Layout& layout)
{
    std::vector<float> values(layout.extent(), std::numeric_limits<float>::quiet_NaN());
    layout.eachRow([&](uint64_t from, uint64_t to)
                   { std::copy_n(&dense[from], layout.p.head_dim, &values[to]); });
    host::Buffer buffer = device().createBuffer(values.size() * dtypeBytes(layout.p.dtype));
    device().upload(buffer, host::packFloats(values, layout.p.dtype));
    return buffer;
}

// An output between guards; everything is NaN before the run.
class Guarded
{
public:
    explicit Guarded(uint64_t bytes)
        : bytes_(bytes),
          end_((bytes + 3) / 4 * 4),
          buffer_(device().createBuffer(kGuard + end_ + kGuard))
    {
    }
    LacunaMemory memory() const { return buffer_.memory(kGuard, bytes_); }
    void fill(host::Commands& commands) const
    {
        commands.fill(buffer_, 0, buffer_.size(), 0xffffffff);
    }
    std::vector<std::byte> take() const
    {
        std::vector<std::byte> all(buffer_.size());
        device().download(buffer_, all);
        const auto first = all.begin() + kGuard, last = first + ptrdiff_t(bytes_);
        const auto is_touched = [](std::byte b)
        {
            return b != std::byte(0xff);
        };
        CHECK(std::none_of(all.begin(), first, is_touched));
        CHECK(std::none_of(last, all.end(), is_touched));
        return {first, last};
    }

private:
    static constexpr uint64_t kGuard = 256;
    uint64_t bytes_, end_;
    host::Buffer buffer_;
};

// What the caller of `key_spans` hands over; nothing for other methods.
struct ListBuffers
{
    host::Buffer ranges, spans;

    explicit ListBuffers(const GivenList& list)
    {
        if (list.empty())
            return;
        std::vector<uint32_t> range_words, span_words;
        for (const auto& row : list)
        {
            range_words.push_back(uint32_t(span_words.size() / 2));
            range_words.push_back(uint32_t(row.size()));
            for (const host::Attention::Span& span : row)
                span_words.insert(span_words.end(), {span.begin, span.end});
        }
        span_words.resize(std::max<size_t>(span_words.size(), 2)); // a buffer cannot be empty
        const auto make = [](host::Buffer& buffer, const std::vector<uint32_t>& words)
        {
            buffer = device().createBuffer(words.size() * sizeof(uint32_t));
            device().upload(buffer, std::as_bytes(std::span(words)));
        };
        make(ranges, range_words);
        make(spans, span_words);
    }
};

Layout layoutQ(const Problem& p)
{
    return {p, p.q, p.q_heads, p.q_len};
}
Layout layoutK(const Problem& p)
{
    return {p, p.k, p.kv_heads, p.k_len};
}
Layout layoutV(const Problem& p)
{
    return {p, p.v, p.kv_heads, p.k_len};
}
Layout layoutOut(const Problem& p)
{
    return {p, p.out, p.q_heads, p.q_len};
}

// So that a NaN fails a comparison with a bound.
double orInfinity(double value)
{
    return std::isnan(value) ? std::numeric_limits<double>::infinity() : value;
}

float largest(const std::vector<float>& values)
{
    float result = 0;
    for (float value : values)
        result = std::max(result, std::abs(value));
    return result;
}

} // namespace

host::Device& device()
{
    if (!g_device)
        g_device = std::make_unique<host::Device>(host::DeviceOptions{.validation = true, .tuned = false});
    return *g_device;
}

void skip(const std::string& what, const std::string& why)
{
    ++g_skipped;
    std::printf("skipped %s: %s\n", what.c_str(), why.c_str());
}

void setCaseFilter(int count, char** arguments)
{
    const std::string prefix = "--case=";
    for (int i = 1; i < count; ++i)
        if (std::string(arguments[i]).starts_with(prefix))
            g_case_filter = std::string(arguments[i]).substr(prefix.size());
}

bool isWanted(const std::string& id)
{
    return id.find(g_case_filter) != std::string::npos;
}

bool finish()
{
    if (g_skipped > 0)
        std::printf("%d skipped\n", g_skipped);
    if (!g_device)
        return true;
    const std::vector<std::string> messages = g_device->validationMessages();
    for (const std::string& message : messages)
        std::printf("validation: %s\n", message.c_str());
    g_device.reset();
    return messages.empty();
}

uint64_t Rng::next()
{
    uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

double Rng::uniform()
{
    return double(next() >> 11) * 0x1p-53;
}

float Rng::normal()
{
    const double radius = std::sqrt(-2 * std::log(1 - uniform()));
    return float(radius * std::cos(2 * std::numbers::pi * uniform()));
}

LacunaPlanDesc Case::description(std::vector<LacunaOption>& storage) const
{
    storage.clear();
    for (const auto& [name, value] : options)
        storage.push_back({name.c_str(), value.c_str()});
    LacunaPlanDesc result = desc;
    result.method = method.c_str();
    result.options = storage.data();
    result.option_count = uint32_t(storage.size());
    return result;
}

Request Case::request() const
{
    std::vector<LacunaOption> storage;
    const LacunaPlanDesc description_ = description(storage);
    Request request;
    std::string sentence;
    const LacunaResult result = makeRequest(&description_, request, sentence);
    INFO(sentence);
    REQUIRE(result == LACUNA_SUCCESS);
    return request;
}

std::string Case::id() const
{
    const auto number = [](uint32_t n)
    {
        return std::to_string(n);
    };
    const LacunaVideoGrid& g = desc.grid;
    std::string id = method + "/b" + number(desc.batch) + "h" + number(desc.q_heads) + "kv" +
                     number(desc.kv_heads ? desc.kv_heads : desc.q_heads) + "q" +
                     number(desc.q_len) + "k" + number(desc.k_len ? desc.k_len : desc.q_len) + "d" +
                     number(desc.head_dim);
    if (g.frames > 0)
        id += "/" + number(g.text_before) + "+" + number(g.frames) + "x" + number(g.height) + "x" +
              number(g.width) + "+" + number(g.text_after);
    id += desc.dtype == LACUNA_DTYPE_F32 ? "/f32" : desc.dtype == LACUNA_DTYPE_F16 ? "/f16" : "/bf16";
    id += desc.tier == LACUNA_TIER_COOPMAT2  ? "/coopmat2"
          : desc.tier == LACUNA_TIER_COOPMAT ? "/coopmat"
          : desc.tier == LACUNA_TIER_SCALAR  ? "/scalar"
                                             : "";
    id += desc.sums == LACUNA_SUMS_F16 ? "/sums=f16" : "";
    for (const auto& [name, value] : options)
        id += "/" + name + "=" + value;
    return id;
}

void roundTo(LacunaDtype dtype, std::vector<float>& values)
{
    values = host::unpackFloats(host::packFloats(values, dtype), dtype);
}

Inputs normalInputs(const Case& c, uint64_t seed)
{
    const Problem p = c.request().problem;
    Rng rng(seed);
    const auto tensor = [&](uint32_t heads, uint32_t tokens)
    {
        std::vector<float> values(size_t(p.batch) * heads * tokens * p.head_dim);
        std::generate(values.begin(), values.end(), [&] { return rng.normal(); });
        roundTo(p.dtype, values);
        return values;
    };
    Inputs inputs;
    inputs.q = tensor(p.q_heads, p.q_len);
    inputs.k = tensor(p.kv_heads, p.k_len);
    inputs.v = tensor(p.kv_heads, p.k_len);
    return inputs;
}

Output runOnDevice(const Case& c, const Inputs& inputs, const GivenList& list)
{
    const Problem p = c.request().problem;
    std::vector<LacunaOption> storage;
    const host::Attention attention(device(), c.description(storage));
    const host::Buffer q = upload(inputs.q, layoutQ(p)), k = upload(inputs.k, layoutK(p)),
                       v = upload(inputs.v, layoutV(p));
    const uint64_t out_bytes = layoutOut(p).extent() * dtypeBytes(p.out_dtype);
    const uint64_t lse_bytes = uint64_t(p.heads()) * p.q_len * sizeof(float);
    const Guarded out(out_bytes), lse(lse_bytes);
    const ListBuffers given(list);
    LacunaAttentionBuffers buffers = {};
    buffers.q = q.memory();
    buffers.k = k.memory();
    buffers.v = v.memory();
    buffers.out = out.memory();
    buffers.lse = lse.memory();
    buffers.ranges = given.ranges.memory();
    buffers.spans = given.spans.memory();
    device().run(
        [&](host::Commands& commands)
        {
            out.fill(commands);
            lse.fill(commands);
            attention.record(commands, buffers);
        });

    Output output;
    const std::vector<float> strided = host::unpackFloats(out.take(), p.out_dtype);
    std::vector<bool> is_written(strided.size());
    output.out.resize(size_t(p.heads()) * p.q_len * p.head_dim);
    layoutOut(p).eachRow(
        [&](uint64_t to, uint64_t from)
        {
            std::copy_n(&strided[from], p.head_dim, &output.out[to]);
            std::fill_n(is_written.begin() + ptrdiff_t(from), p.head_dim, true);
        });
    size_t overwritten_holes = 0;
    for (size_t i = 0; i < strided.size(); ++i)
        overwritten_holes += !is_written[i] && !std::isnan(strided[i]);
    CHECK(overwritten_holes == 0);
    output.lse = host::unpackFloats(lse.take(), LACUNA_DTYPE_F32);
    if (list.empty() && attention.info().part_count == 1)
        output.kept = attention.kept();
    return output;
}

host::Attention::Kept selectOnDevice(const Case& c, const Inputs& inputs)
{
    const Problem p = c.request().problem;
    std::vector<LacunaOption> storage;
    const host::Attention attention(device(), c.description(storage));
    const host::Buffer q = upload(inputs.q, layoutQ(p)), k = upload(inputs.k, layoutK(p)),
                       v = upload(inputs.v, layoutV(p));
    device().run([&](host::Commands& commands)
                 { attention.recordSelect(commands, q.memory(), k.memory(), v.memory()); });
    return attention.kept();
}

void checkAttention(const Case& c, const Inputs& inputs, const std::vector<uint8_t>& mask,
                    const Output& output)
{
    const Problem p = c.request().problem;
    std::vector<double> out(output.out.size()), lse(output.lse.size());
    attendReference(p, inputs.q.data(), inputs.k.data(), inputs.v.data(), 0, p.q_len,
                    mask.empty() ? nullptr : mask.data(), out.data(), lse.data());

    // Rounding only. fp32 sums: a logit is off by at most D ulps of its largest partial sum, and
    // weights average that out; 1e-5 of the largest value covers it for unit inputs. Matrix cores
    // round each weight to fp16 (weights sum to 1), and a 16-bit output is rounded once more.
    const double half_ulp = 0x1p-11;
    const double out_half_ulp = p.out_dtype == LACUNA_DTYPE_F16    ? half_ulp
                                : p.out_dtype == LACUNA_DTYPE_BF16 ? 0x1p-8
                                                                   : 0;
    const double v_max = largest(inputs.v);
    const bool may_round_weights = c.desc.tier != LACUNA_TIER_SCALAR;
    const double common = 1e-5 * v_max + (may_round_weights ? half_ulp * v_max : 0);
    double worst = 0, worst_lse = 0; // error / bound
    for (size_t i = 0; i < out.size(); ++i)
    {
        const double bound =
            common + out_half_ulp * std::abs(out[i]) + (out_half_ulp > 0 ? 0x1p-25 : 0);
        const double ratio = std::abs(output.out[i] - out[i]) / bound;
        worst = std::max(worst, orInfinity(ratio));
    }
    for (size_t i = 0; i < lse.size(); ++i)
    {
        const bool same = std::isinf(lse[i]) && lse[i] == output.lse[i];
        const double ratio =
            same ? 0 : std::abs(output.lse[i] - lse[i]) / (1e-5 + 1e-6 * std::abs(lse[i]));
        worst_lse = std::max(worst_lse, orInfinity(ratio));
    }
    CHECK(worst <= 1);
    CHECK(worst_lse <= 1);
}

} // namespace lacuna::test

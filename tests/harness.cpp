// harness.cpp - what the tests share.
//
// SPDX-License-Identifier: Apache-2.0
#include "harness.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
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
    if (layout.p.dtype == LACUNA_DTYPE_F32)
    {
        device().upload(buffer, std::as_bytes(std::span(values)));
        return buffer;
    }
    std::vector<uint16_t> halves(values.size());
    std::transform(values.begin(), values.end(), halves.begin(), host::toHalf);
    device().upload(buffer, std::as_bytes(std::span(halves)));
    return buffer;
}

std::vector<float> download(const host::Buffer& buffer, LacunaDtype dtype)
{
    std::vector<float> values(buffer.size() / dtypeBytes(dtype));
    if (dtype == LACUNA_DTYPE_F32)
    {
        device().download(buffer, std::as_writable_bytes(std::span(values)));
        return values;
    }
    std::vector<uint16_t> halves(values.size());
    device().download(buffer, std::as_writable_bytes(std::span(halves)));
    std::transform(halves.begin(), halves.end(), values.begin(), host::fromHalf);
    return values;
}

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
        g_device = std::make_unique<host::Device>(host::DeviceOptions{.validation = true});
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
    const auto number = [](uint32_t n) { return std::to_string(n); };
    const LacunaVideoGrid& g = desc.grid;
    std::string id = method + "/b" + number(desc.batch) + "h" + number(desc.q_heads) + "kv" +
                     number(desc.kv_heads ? desc.kv_heads : desc.q_heads) + "q" + number(desc.q_len) + "k" +
                     number(desc.k_len ? desc.k_len : desc.q_len) + "d" + number(desc.head_dim);
    if (g.frames > 0)
        id += "/" + number(g.text_before) + "+" + number(g.frames) + "x" + number(g.height) + "x" +
              number(g.width) + "+" + number(g.text_after);
    id += desc.dtype == LACUNA_DTYPE_F32 ? "/f32" : "/f16";
    id += desc.tier == LACUNA_TIER_COOPMAT ? "/coopmat" : desc.tier == LACUNA_TIER_SCALAR ? "/scalar" : "";
    for (const auto& [name, value] : options)
        id += "/" + name + "=" + value;
    return id;
}

void roundTo(LacunaDtype dtype, std::vector<float>& values)
{
    if (dtype == LACUNA_DTYPE_F16)
        for (float& value : values)
            value = host::fromHalf(host::toHalf(value));
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

Output runOnDevice(const Case& c, const Inputs& inputs)
{
    const Problem p = c.request().problem;
    std::vector<LacunaOption> storage;
    const host::Attention attention(device(), c.description(storage));
    const host::Buffer q = upload(inputs.q, layoutQ(p)), k = upload(inputs.k, layoutK(p)),
                       v = upload(inputs.v, layoutV(p));
    const host::Buffer out = device().createBuffer(layoutOut(p).extent() * dtypeBytes(p.out_dtype));
    const host::Buffer lse = device().createBuffer(uint64_t(p.heads()) * p.q_len * sizeof(float));
    device().run(
        [&](host::Commands& commands)
        {
            commands.fill(out, 0, out.size(), 0xffffffff); // NaN
            commands.fill(lse, 0, lse.size(), 0xffffffff);
            attention.record(commands, q.memory(), k.memory(), v.memory(), out.memory(), lse.memory());
        });

    Output output;
    const std::vector<float> strided = download(out, p.out_dtype);
    output.out.resize(size_t(p.heads()) * p.q_len * p.head_dim);
    layoutOut(p).eachRow([&](uint64_t to, uint64_t from)
                         { std::copy_n(&strided[from], p.head_dim, &output.out[to]); });
    output.lse = download(lse, LACUNA_DTYPE_F32);
    output.kept = attention.kept();
    return output;
}

host::Attention::Kept selectOnDevice(const Case& c, const Inputs& inputs)
{
    const Problem p = c.request().problem;
    std::vector<LacunaOption> storage;
    const host::Attention attention(device(), c.description(storage));
    const host::Buffer q = upload(inputs.q, layoutQ(p)), k = upload(inputs.k, layoutK(p));
    device().run([&](host::Commands& commands) { attention.recordSelect(commands, q.memory(), k.memory()); });
    return attention.kept();
}

void checkAttention(const Case& c, const Inputs& inputs, const std::vector<uint8_t>& mask, const Output& output)
{
    const Problem p = c.request().problem;
    std::vector<double> out(output.out.size()), lse(output.lse.size());
    attendReference(p, inputs.q.data(), inputs.k.data(), inputs.v.data(), 0, p.q_len,
                    mask.empty() ? nullptr : mask.data(), out.data(), lse.data());

    // Rounding only. fp32 sums: a logit is off by at most D ulps of its largest partial sum, and weights average that
    // out; 1e-5 of the largest value covers it for unit inputs. Matrix cores round each weight to fp16 (weights sum to
    // 1), and an fp16 output is rounded once more.
    const double half_ulp = 0x1p-11;
    const double v_max = largest(inputs.v);
    const bool may_round_weights = c.desc.tier != LACUNA_TIER_SCALAR;
    const double common = 1e-5 * v_max + (may_round_weights ? half_ulp * v_max : 0);
    double worst = 0, worst_lse = 0; // error / bound
    for (size_t i = 0; i < out.size(); ++i)
    {
        const double bound = common + (p.out_dtype == LACUNA_DTYPE_F16 ? half_ulp * std::abs(out[i]) + 0x1p-25 : 0);
        const double ratio = std::abs(output.out[i] - out[i]) / bound;
        worst = std::max(worst, orInfinity(ratio));
    }
    for (size_t i = 0; i < lse.size(); ++i)
    {
        const bool same = std::isinf(lse[i]) && lse[i] == output.lse[i];
        const double ratio = same ? 0 : std::abs(output.lse[i] - lse[i]) / (1e-5 + 1e-6 * std::abs(lse[i]));
        worst_lse = std::max(worst_lse, orInfinity(ratio));
    }
    CHECK(worst <= 1);
    CHECK(worst_lse <= 1);
}

} // namespace lacuna::test

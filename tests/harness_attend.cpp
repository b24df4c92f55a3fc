// harness_attend.cpp - what the tests of ATTEND share.
//
// SPDX-License-Identifier: Apache-2.0
#include "harness_attend.h"

#include "harness_sums.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace lacuna::test
{
namespace
{

using Span = host::Attention::Span;

float half(float value)
{
    return host::fromHalf(host::toHalf(value));
}

float bfloat(float value)
{
    return host::fromBfloat16(host::toBfloat16(value));
}

enum class Arithmetic
{
    F32,
    Matrices, // fp16 operands
    HalfSums, // those and short sums in fp16, see ShortSums; drivers may split a fused multiply-add
    Integers, // Q K^T of 8-bit integers, see lane_sums_int.glsl
};

Arithmetic arithmeticOf(const LacunaPlanDesc& desc)
{
    return desc.sums == LACUNA_SUMS_F16      ? Arithmetic::HalfSums
           : desc.sums == LACUNA_SUMS_I32    ? Arithmetic::Integers
           : desc.tier == LACUNA_TIER_SCALAR ? Arithmetic::F32
                                             : Arithmetic::Matrices;
}

// What a product is made of. fp16 sums take what fp16 cannot hold for its largest number.
float operand(float value, Arithmetic arithmetic)
{
    return arithmetic == Arithmetic::F32 || arithmetic == Arithmetic::Integers ? value
           : arithmetic == Arithmetic::Matrices                                ? half(value)
                                                : half(std::clamp(value, -65504.f, 65504.f));
}

struct Row
{
    std::vector<double> out;
    double lse = 0;
    double largest_logit = 0;
};

// A token times `scale` as 8-bit integers.
struct IntegerRow
{
    std::vector<int> numbers;
    float scale;
};

IntegerRow integersOf(const float* token, uint32_t head_dim, float scale)
{
    float largest = 0;
    for (uint32_t i = 0; i < head_dim; ++i)
        largest = std::max(largest, std::abs(scale * token[i]));
    IntegerRow row = {{}, largest / 127};
    for (uint32_t i = 0; i < head_dim; ++i)
        row.numbers.push_back(largest > 0 ? int(std::nearbyint(scale * token[i] * (127 / largest)))
                                          : 0);
    return row;
}

// One logit, in base 2.
float modelLogit(const Problem& p, const float* q, const float* k, Arithmetic arithmetic,
                 const ShortSums& sums)
{
    const float scale = float(p.scale * std::log2(std::exp(1.0)));
    if (arithmetic == Arithmetic::Integers)
    {
        const IntegerRow a = integersOf(q, p.head_dim, scale), b = integersOf(k, p.head_dim, 1);
        int sum = 0;
        for (uint32_t i = 0; i < p.head_dim; ++i)
            sum += a.numbers[i] * b.numbers[i];
        return float(sum) * (a.scale * b.scale);
    }
    float sum = 0;
    if (arithmetic != Arithmetic::HalfSums)
    {
        for (uint32_t i = 0; i < p.head_dim; ++i)
            sum += operand(q[i], arithmetic) * operand(k[i], arithmetic);
        return sum * scale;
    }
    const uint32_t channels = sums.chains * sums.products;
    for (uint32_t first = 0; first < p.head_dim; first += channels)
        for (uint32_t part = 0; part < sums.chains; ++part)
        {
            float chain = 0;
            for (uint32_t i = first + part; i < std::min(first + channels, p.head_dim);
                 i += sums.chains)
                chain = half(chain + half(operand(scale * q[i], arithmetic) *
                                          operand(k[i], arithmetic)));
            sum += chain;
        }
    return sum;
}

// The same for the weights of all keys: adds their values to `out`, and returns the sum of weights.
float modelWeights(const std::vector<float>& logits, float row_max,
                   const std::vector<const float*>& values, Arithmetic arithmetic,
                   const ShortSums& sums, std::vector<float>& out)
{
    float sum = 0;
    if (arithmetic != Arithmetic::HalfSums)
    {
        for (size_t n = 0; n < logits.size(); ++n)
        {
            const float weight = std::exp2(logits[n] - row_max);
            sum += weight;
            for (size_t i = 0; i < out.size(); ++i)
                out[i] += operand(weight, arithmetic) * operand(values[n][i], arithmetic);
        }
        return sum;
    }
    for (size_t first = 0; first < logits.size(); first += sums.keys)
    {
        const size_t end = std::min(first + sums.keys, logits.size());
        const float step_max = *std::max_element(logits.begin() + ptrdiff_t(first),
                                                 logits.begin() + ptrdiff_t(end)) +
                               float(sums.headroom);
        const float grow = std::exp2(step_max - row_max);
        for (size_t n = first; n < end; ++n)
            sum += grow * std::exp2(logits[n] - step_max);
        for (size_t i = 0; i < out.size(); ++i)
        {
            float chain = 0;
            for (size_t n = first; n < end; ++n)
                chain = half(chain + half(half(std::exp2(logits[n] - step_max)) *
                                          operand(values[n][i], arithmetic)));
            out[i] += grow * chain;
        }
    }
    return sum;
}

// One query as the kernel computes it, in the kernel's precision and a plain order of sums.
Row modelRow(const Problem& p, const Inputs& in, const uint8_t* mask, uint32_t head, uint32_t query,
             Arithmetic arithmetic, const ShortSums& sums)
{
    const uint32_t batch = head / p.q_heads, d = p.head_dim;
    const size_t key_base = size_t(batch * p.kv_heads + p.keyHead(head % p.q_heads)) * p.k_len * d;
    const float* q = &in.q[(size_t(head) * p.q_len + query) * d];
    std::vector<const float*> values;
    std::vector<float> logits;
    float row_max = -1e30f;
    for (uint32_t key = 0; key < p.k_len; ++key)
        if (!mask || mask[key])
        {
            const size_t at = key_base + size_t(key) * d;
            values.push_back(&in.v[at]);
            logits.push_back(modelLogit(p, q, &in.k[at], arithmetic, sums));
            row_max = std::max(row_max, logits.back());
        }

    std::vector<float> out(d);
    const float sum = modelWeights(logits, row_max, values, arithmetic, sums, out);
    Row row;
    for (const float logit : logits)
        row.largest_logit = std::max(row.largest_logit, double(std::abs(logit)));
    for (uint32_t i = 0; i < d; ++i)
    {
        const float value = logits.empty() ? 0 : out[i] / sum;
        row.out.push_back(p.out_dtype == LACUNA_DTYPE_F16    ? half(value)
                          : p.out_dtype == LACUNA_DTYPE_BF16 ? bfloat(value)
                                                             : value);
    }
    row.lse = logits.empty() ? -std::numeric_limits<double>::infinity()
                             : std::log(2.0) * (row_max + std::log2(sum));
    return row;
}

void checkRounding(const Case& c, const Inputs& in, const std::vector<uint8_t>& mask,
                   const Output& output)
{
    const Problem p = c.request().problem;
    std::vector<double> out(output.out.size()), lse(output.lse.size());
    attendReference(p, in.q.data(), in.k.data(), in.v.data(), 0, p.q_len,
                    mask.empty() ? nullptr : mask.data(), out.data(), lse.data());

    const Arithmetic arithmetic = arithmeticOf(c.desc);
    const ShortSums sums =
        arithmetic == Arithmetic::HalfSums ? shortSumsOf(c.desc) : ShortSums();
    double error = 0, model_error = 0, lse_error = 0, model_lse_error = 0, v_max = 0, logit_max = 0;
    for (float v : in.v)
        v_max = std::max(v_max, double(std::abs(v))); // NaN compares false
    for (uint32_t row = 0; row < lse.size(); ++row)
    {
        const uint8_t* kept = mask.empty() ? nullptr : &mask[size_t(row) * p.k_len];
        const Row model =
            modelRow(p, in, kept, row / p.q_len, row % p.q_len, arithmetic, sums);
        const auto difference = [](double a, double b)
        {
            return a == b              ? 0
                   : std::isnan(a - b) ? std::numeric_limits<double>::infinity()
                                       : std::abs(a - b);
        };
        for (uint32_t i = 0; i < p.head_dim; ++i)
        {
            const size_t at = size_t(row) * p.head_dim + i;
            error = std::max(error, difference(output.out[at], out[at]));
            model_error = std::max(model_error, difference(model.out[i], out[at]));
        }
        lse_error = std::max(lse_error, difference(output.lse[row], lse[row]));
        model_lse_error = std::max(model_lse_error, difference(model.lse, lse[row]));
        logit_max = std::max(logit_max, model.largest_logit);
    }

    // Another order of sums, and exp2 with an error of a few ulps: a logit of size x is off by x
    // ulps.
    const double order = 0x1p-21 + 0x1p-22 * logit_max;
    INFO("error ", error, ", of the model ", model_error, ", of LSE ", lse_error);
    CHECK(error <= 2 * model_error + order * v_max);
    CHECK(lse_error <= std::max(1e-5, 2 * model_lse_error + order));
}

std::vector<Span> hostileRow(Rng& rng, uint32_t kind, uint32_t keys)
{
    switch (kind % 6)
    {
    case 0:
        return {};
    case 1:
        return {{uint32_t(rng.below(int(keys))), 0}};
    case 2:
        return {{0, keys}};
    case 3: // every second key
    {
        std::vector<Span> row;
        for (uint32_t key = 1; key < keys; key += 2)
            row.push_back({key, key + 1});
        return row;
    }
    case 4:
        return {{0, 1}, {keys - 1, keys}};
    default: // ragged, begins anywhere
    {
        std::vector<Span> row;
        for (uint32_t key = uint32_t(rng.below(9)); key < keys;)
        {
            const uint32_t end = std::min(keys, key + 1 + uint32_t(rng.below(80)));
            row.push_back({key, end});
            key = end + 1 + uint32_t(rng.below(30));
        }
        return row;
    }
    }
}

} // namespace

std::string Kernel::text() const
{
    std::string text = tier == LACUNA_TIER_SCALAR    ? "scalar"
                       : tier == LACUNA_TIER_COOPMAT ? "coopmat"
                                                     : "coopmat2";
    for (const LacunaOption& option : tuning)
        text += std::string("/") + option.name + "=" + option.value;
    return text;
}

Case makeCase(const Kernel& kernel, const Shape& s, const std::string& method)
{
    Case c;
    c.method = method;
    c.desc.batch = s.batch;
    c.desc.q_heads = s.q_heads;
    c.desc.kv_heads = s.kv_heads;
    c.desc.q_len = s.q_len;
    c.desc.k_len = s.k_len;
    c.desc.head_dim = s.head_dim;
    c.desc.dtype = s.dtype;
    c.desc.out_dtype = s.out_dtype;
    c.desc.tier = kernel.tier;
    c.desc.tuning = kernel.tuning.data();
    c.desc.tuning_count = uint32_t(kernel.tuning.size());
    return c;
}

bool canRun(const Kernel& kernel, const Case& c)
{
    try
    {
        std::vector<LacunaOption> storage;
        const host::Attention attention(device(), c.description(storage));
        return true;
    }
    catch (const Error& error)
    {
        if (error.result() != LACUNA_ERROR_UNSUPPORTED)
            throw;
        skip(kernel.text() + " " + c.id(), error.what());
        return false;
    }
}

Output runTwice(const Kernel& kernel, const Case& c, const Inputs& in,
                const std::vector<uint8_t>& mask, const GivenList& list)
{
    const std::string id = kernel.text() + " " + c.id();
    INFO(id);
    const Output output = runOnDevice(c, in, list);
    const Output again = runOnDevice(c, in, list);
    checkRounding(c, in, mask, output);
    CHECK(std::memcmp(output.out.data(), again.out.data(), output.out.size() * sizeof(float)) == 0);
    CHECK(std::memcmp(output.lse.data(), again.lse.data(), output.lse.size() * sizeof(float)) == 0);
    return output;
}

GivenList hostileList(const Problem& p, uint32_t block)
{
    Rng rng(7);
    GivenList list;
    const uint32_t rows = (p.q_len + block - 1) / block;
    for (uint32_t i = 0; i < p.heads() * rows; ++i)
    {
        std::vector<Span> row = hostileRow(rng, i + i / rows, p.k_len - kUnusedKeys);
        if (row.size() == 1 && row[0].end == 0)
            row[0].end = row[0].begin + 1;
        list.push_back(row);
    }
    return list;
}

std::vector<uint8_t> tokenMask(const Problem& p, const GivenList& list, uint32_t block)
{
    const uint32_t rows = (p.q_len + block - 1) / block;
    std::vector<uint8_t> mask(size_t(p.heads()) * p.q_len * p.k_len);
    for (uint32_t head = 0; head < p.heads(); ++head)
        for (uint32_t query = 0; query < p.q_len; ++query)
            for (const Span& span : list[head * rows + query / block])
                std::fill_n(&mask[(size_t(head) * p.q_len + query) * p.k_len + span.begin],
                            span.end - span.begin, 1);
    return mask;
}

void spoilUnused(const Problem& p, std::vector<float>& tensor)
{
    for (uint32_t head = 0; head < p.batch * p.kv_heads; ++head)
        std::fill_n(tensor.begin() +
                        ptrdiff_t((size_t(head + 1) * p.k_len - kUnusedKeys) * p.head_dim),
                    kUnusedKeys * p.head_dim, std::numeric_limits<float>::quiet_NaN());
}

LacunaStrides tokenMajor(uint32_t heads, uint32_t tokens, uint32_t head_dim)
{
    const uint64_t token = uint64_t(heads) * head_dim + 8;
    return {token * tokens, head_dim, token};
}

void runHostile(const Kernel& kernel, const Case& c, uint32_t block)
{
    const Problem p = c.request().problem;
    const GivenList list = hostileList(p, block);
    const std::vector<uint8_t> mask = tokenMask(p, list, block);
    Inputs in = normalInputs(c, 1);
    spoilUnused(p, in.k);
    spoilUnused(p, in.v);
    runTwice(kernel, c, in, mask, list);

    INFO("logits with an amplitude of 60");
    for (float& q : in.q)
        q *= 60;
    roundTo(p.dtype, in.q);
    runTwice(kernel, c, in, mask, list);

    INFO("ties");
    std::fill(in.q.begin(), in.q.end(), 0.f);
    runTwice(kernel, c, in, mask, list);
}

} // namespace lacuna::test

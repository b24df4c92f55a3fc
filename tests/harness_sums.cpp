// harness_sums.cpp - what the tests of sums on request share.
//
// SPDX-License-Identifier: Apache-2.0
#include "harness_sums.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

namespace lacuna::test
{
namespace
{

double over(double error, double bound)
{
    return std::isnan(error) ? INFINITY : std::abs(error) / bound;
}

bool isFinite(const std::vector<float>& values)
{
    return std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); });
}

} // namespace

ShortSums shortSumsOf(const LacunaPlanDesc& desc)
{
    if (desc.tier != LACUNA_TIER_COOPMAT)
        return {2, 8, 4, 3};
    uint32_t keys = 0;
    for (uint32_t i = 0; i < desc.tuning_count; ++i)
        if (std::strcmp(desc.tuning[i].name, "keys") == 0)
            keys = uint32_t(std::stoul(desc.tuning[i].value));
    REQUIRE(keys >= 16);
    return {1, desc.head_dim, keys, uint32_t(std::bit_width(keys))};
}

Case halfCase(const Kernel& kernel, const Shape& shape, const std::string& method)
{
    Case c = makeCase(kernel, shape, method);
    c.desc.sums = LACUNA_SUMS_F16;
    return c;
}

Case hostileCase(const Kernel& kernel, LacunaSums sums, LacunaDtype dtype, uint32_t head_dim)
{
    const Shape shape = {.batch = 2,
                         .q_heads = 4,
                         .kv_heads = 2,
                         .q_len = 101,
                         .k_len = 203,
                         .head_dim = head_dim,
                         .dtype = dtype,
                         .out_dtype = LACUNA_DTYPE_F32};
    Case c = makeCase(kernel, shape, "key_spans");
    c.desc.sums = sums;
    c.options = {{"block", std::to_string(kHostileBlock)}};
    c.desc.q_strides = c.desc.out_strides = tokenMajor(4, shape.q_len, shape.head_dim);
    c.desc.k_strides = c.desc.v_strides = tokenMajor(2, shape.k_len, shape.head_dim);
    return c;
}

std::string explanationOf(const Case& c)
{
    std::vector<LacunaOption> storage;
    return host::Attention(device(), c.description(storage)).explain();
}

std::string refusalOf(const Case& c)
{
    try
    {
        explanationOf(c);
        return "";
    }
    catch (const Error& error)
    {
        CHECK(error.result() == LACUNA_ERROR_UNSUPPORTED);
        return error.what();
    }
}

WorstCase::WorstCase(const Case& c, const Inputs& in)
    : p_(c.request().problem), sums_(shortSumsOf(c.desc)), in_(in)
{
}

WorstCase::Ratio WorstCase::of(const Output& output) const
{
    Ratio worst;
    for (uint32_t row = 0; row < p_.heads() * p_.q_len; ++row)
    {
        const Ratio r = ofRow(output, row);
        worst = {std::max(worst.out, r.out), std::max(worst.lse, r.lse)};
    }
    return worst;
}

WorstCase::Ratio WorstCase::ofRow(const Output& output, uint32_t row) const
{
    const double u = 0x1p-11;
    const uint32_t head = row / p_.q_len, d = p_.head_dim;
    const uint32_t inexact = p_.dtype == LACUNA_DTYPE_F32;
    const uint32_t key_head = head / p_.q_heads * p_.kv_heads + p_.keyHead(head % p_.q_heads);
    const size_t base = size_t(key_head) * p_.k_len * d;
    std::vector<double> logits(p_.k_len);
    double e = 0, largest = -INFINITY, sum = 0;
    for (uint32_t j = 0; j < p_.k_len; ++j)
    {
        double absolute = 0, small = 0;
        for (uint32_t i = 0; i < d; ++i)
        {
            const double k = in_.k[base + size_t(j) * d + i];
            const double product = p_.scale * in_.q[size_t(row) * d + i] * k;
            logits[j] += product;
            absolute += std::abs(product);
            small += 0x1p-25 * (2 + std::abs(k));
        }
        const double relative = std::pow(1 + u, sums_.products + 1 + inexact) - 1 + 0x1p-20;
        e = std::max(e, relative * absolute + small);
        largest = std::max(largest, logits[j]);
    }
    for (double& logit : logits)
        sum += logit = std::exp(logit - largest);

    Ratio ratio;
    const double lse = largest + std::log(sum);
    ratio.lse = over(output.lse[row] - lse, e + 1e-5 + 1e-6 * std::abs(lse));
    const double factor = std::exp(2 * e) * std::pow(1 + u, sums_.keys + 1 + inexact) - 1 + 1e-5;
    for (uint32_t i = 0; i < d; ++i)
    {
        double out = 0, absolute = 0, values = 0;
        for (uint32_t j = 0; j < p_.k_len; ++j)
        {
            const double v = in_.v[base + size_t(j) * d + i];
            out += logits[j] / sum * v;
            absolute += logits[j] / sum * std::abs(v);
            values = std::max(values, std::abs(v));
        }
        const double small = std::ldexp(sums_.keys * (1 + values), int(sums_.headroom) - 24);
        ratio.out = std::max(
            ratio.out, over(output.out[size_t(row) * d + i] - out, factor * absolute + small));
    }
    return ratio;
}

void checkWorstCase(const Case& c, const Inputs& in)
{
    const std::string id = c.id();
    INFO(id);
    const WorstCase::Ratio ratio = WorstCase(c, in).of(runOnDevice(c, in));
    CHECK(ratio.out <= 1);
    CHECK(ratio.lse <= 1);
}

void checkOverflow(Case c)
{
    // Values as large as they come: no sum of them is infinite.
    Inputs in = normalInputs(c, 10);
    std::fill(in.q.begin(), in.q.end(), 0.f);
    std::fill(in.v.begin(), in.v.end(), 65504.f);
    checkWorstCase(c, in);

    // Products of Q and K too: infinite sums of both signs, and what a soft cap makes of them.
    for (const float soft_cap : {0.f, 50.f})
        for (const float amplitude : {60.f, 1000.f, 60000.f})
        {
            c.desc.soft_cap = soft_cap;
            in = normalInputs(c, 11);
            for (std::vector<float>* tensor : {&in.q, &in.k})
            {
                for (float& value : *tensor)
                    value = std::clamp(amplitude * value, -65504.f, 65504.f);
                roundTo(LACUNA_DTYPE_F16, *tensor);
            }
            const Output output = runOnDevice(c, in);
            const float v_max = *std::max_element(in.v.begin(), in.v.end());
            CHECK(isFinite(output.out));
            CHECK(isFinite(output.lse));
            CHECK(*std::max_element(output.out.begin(), output.out.end()) <= 1.01f * v_max);
        }
}

} // namespace lacuna::test

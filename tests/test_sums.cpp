// test_sums.cpp - sums in fp16 on request (LACUNA_SUMS_F16): as exact as their short chains allow,
// never NaN, and refused where they cannot be had. ctest: label=vk timeout=900 app
//
// SPDX-License-Identifier: Apache-2.0
#include "harness_attend.h"
#include "harness_mask.h"
#include "passes/attend.h"
#include "run_tool.h"

#include <algorithm>
#include <cmath>
#include <limits>

using namespace lacuna;
using namespace lacuna::test;

namespace
{

constexpr uint32_t kBlock = 24; // queries of one list row: no tile size divides it
constexpr uint32_t kKeysOfStep = 4;

const Kernel kWhole = {LACUNA_TIER_SCALAR, {{"keys", "4"}}};
const Kernel kParts = {LACUNA_TIER_SCALAR,
                       {{"keys", "4"}, {"rows_per_lane", "2"}, {"work_keys", "32"}}};
const Kernel kSplit = {
    LACUNA_TIER_SCALAR,
    {{"keys", "8"}, {"split", "2"}, {"rows_per_lane", "1"}, {"work_keys", "32"}}};

Case halfCase(const Kernel& kernel, const Shape& shape, const std::string& method = "dense")
{
    Case c = makeCase(kernel, shape, method);
    c.desc.sums = LACUNA_SUMS_F16;
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

// The worst that rounding can do to dense attention, u = 2^-11 being half an ulp of fp16:
//
//   logit   s = sum of a_i k_i with a = scale * q. Rounding a, and k where it is not fp16 already,
//           costs u each. A half of a chain has 8 products, a term passes 8 roundings at most: its
//           product and the additions after it, which a fused multiply-add does in one. So a logit
//           is off by e = ((1 + u)^9 - 1) * sum |a_i k_i|, with fp32 inputs (1 + u)^10.
//   weight  Each logit off by at most e: w_j / sum w is off by the factor exp(2 e) at most.
//   out     w_j rounds, its product with v rounds, and each addition of the step after it: with n
//           keys a term passes n + 1 roundings, v's own makes n + 2. So out is off by
//           (exp(2 e) (1 + u)^(n + 1) - 1) * sum w_j |v_j|, and LSE by e.
//
// To which come fp32's own roundings, and numbers too small for u: below 2^-14 fp16 is off by
// 2^-25, in each channel's a, times k, product and sum, and in each weight and its product, times
// 2^3 there, which is what a step's sum is multiplied by at most.
class WorstCase
{
public:
    WorstCase(const Case& c, const Inputs& in) : p_(c.request().problem), in_(in) {}

    // Largest errors, in bounds.
    struct Ratio
    {
        double out = 0, lse = 0;
    };
    Ratio of(const Output& output) const
    {
        Ratio worst;
        for (uint32_t row = 0; row < p_.heads() * p_.q_len; ++row)
        {
            const Ratio r = ofRow(output, row);
            worst = {std::max(worst.out, r.out), std::max(worst.lse, r.lse)};
        }
        return worst;
    }

private:
    Ratio ofRow(const Output& output, uint32_t row) const
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
            e = std::max(e, (std::pow(1 + u, 9 + inexact) - 1 + 0x1p-20) * absolute + small);
            largest = std::max(largest, logits[j]);
        }
        for (double& logit : logits)
            sum += logit = std::exp(logit - largest);

        Ratio ratio;
        const double lse = largest + std::log(sum);
        ratio.lse = over(output.lse[row] - lse, e + 1e-5 + 1e-6 * std::abs(lse));
        const double factor =
            std::exp(2 * e) * std::pow(1 + u, kKeysOfStep + 1 + inexact) - 1 + 1e-5;
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
            const double small = 0x1p-21 * kKeysOfStep * (1 + values);
            ratio.out = std::max(
                ratio.out, over(output.out[size_t(row) * d + i] - out, factor * absolute + small));
        }
        return ratio;
    }
    static double over(double error, double bound)
    {
        return std::isnan(error) ? INFINITY : std::abs(error) / bound;
    }

    Problem p_;
    const Inputs& in_;
};

void checkWorstCase(const Case& c, const Inputs& in)
{
    const std::string id = c.id();
    INFO(id);
    const WorstCase::Ratio ratio = WorstCase(c, in).of(runOnDevice(c, in));
    CHECK(ratio.out <= 1);
    CHECK(ratio.lse <= 1);
}

bool isFinite(const std::vector<float>& values)
{
    return std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); });
}

} // namespace

TEST_CASE("fp16 sums: hostile lists, whole and in parts, an amplitude of 60, spoiled keys")
{
    struct Run
    {
        const Kernel& kernel;
        LacunaDtype dtype;
    };
    for (const auto& [kernel, dtype] : {Run{kWhole, LACUNA_DTYPE_F16},
                                        {kWhole, LACUNA_DTYPE_F32},
                                        {kParts, LACUNA_DTYPE_F16},
                                        {kParts, LACUNA_DTYPE_BF16},
                                        {kSplit, LACUNA_DTYPE_F16}})
    {
        const Shape shape = {.batch = 2,
                             .q_heads = 4,
                             .kv_heads = 2,
                             .q_len = 101,
                             .k_len = 203,
                             .head_dim = 40,
                             .dtype = dtype,
                             .out_dtype = LACUNA_DTYPE_F32};
        Case c = halfCase(kernel, shape, "key_spans");
        c.options = {{"block", std::to_string(kBlock)}};
        c.desc.q_strides = c.desc.out_strides = tokenMajor(4, shape.q_len, shape.head_dim);
        c.desc.k_strides = c.desc.v_strides = tokenMajor(2, shape.k_len, shape.head_dim);
        if (!isWanted(kernel.text() + c.id()) || !canRun(kernel, c))
            continue;
        CHECK((explanationOf(c).find("merge split rows") != std::string::npos) ==
              (kernel.tuning.size() > 1));
        runHostile(kernel, c, kBlock);
    }
}

TEST_CASE("fp16 sums: head dimensions and types of the result")
{
    for (const uint32_t head_dim : {8u, 24u, 40u, 128u})
        for (const LacunaDtype out_dtype : {LACUNA_DTYPE_F32, LACUNA_DTYPE_F16, LACUNA_DTYPE_BF16})
        {
            const Case c = halfCase(kWhole, {.head_dim = head_dim, .out_dtype = out_dtype});
            if (head_dim != 40 && out_dtype != LACUNA_DTYPE_F32)
                continue;
            if (isWanted(c.id()) && canRun(kWhole, c))
                runTwice(kWhole, c, normalInputs(c, 3), {});
        }
}

TEST_CASE("fp16 sums: windows of keys, and boxes of a video")
{
    Case causal =
        packedCase("causal", {{"window", "37"}, {"sinks", "5"}, {"block", "48"}}, 90, 150, 40);
    Case video = videoCase("neighborhood", {{"window", "3x5x3"}}, {3, 7, 6, 2, 3}, 2, 64);
    for (Case* c : {&causal, &video})
    {
        c->desc.sums = LACUNA_SUMS_F16;
        c->desc.out_dtype = LACUNA_DTYPE_F32;
        if (isWanted(c->id()) && canRun(kWhole, *c))
            runTwice(kWhole, *c, normalInputs(*c, 5), definitionOf(*c));
    }
}

TEST_CASE("fp16 sums: no error is larger than short chains can make it")
{
    struct Lengths
    {
        uint32_t q, k;
    };
    for (const LacunaDtype dtype : {LACUNA_DTYPE_F16, LACUNA_DTYPE_F32})
        for (const Lengths n : {Lengths{1, 1}, {1, 200}, {130, 7}, {65, 65}})
        {
            const Case c = halfCase(kWhole, {.q_len = n.q,
                                             .k_len = n.k,
                                             .head_dim = 72,
                                             .dtype = dtype,
                                             .out_dtype = LACUNA_DTYPE_F32});
            if (isWanted(c.id()) && canRun(kWhole, c))
                checkWorstCase(c, normalInputs(c, 7));
        }

    // The most chains. Then a large term first, and many that one long sum would lose beside it.
    Case c = halfCase(
        kWhole,
        {.q_heads = 1, .q_len = 33, .k_len = 1001, .head_dim = 256, .out_dtype = LACUNA_DTYPE_F32});
    if (!isWanted(c.id()) || !canRun(kWhole, c))
        return;
    Inputs in = normalInputs(c, 8);
    runTwice(kWhole, c, in, {});
    const float kMany = host::fromHalf(host::toHalf(0.9f));
    std::fill(in.q.begin(), in.q.end(), 1.f);
    std::fill(in.k.begin(), in.k.end(), kMany);
    std::fill(in.v.begin(), in.v.end(), kMany);
    for (size_t key = 0; key < 1001; ++key)
        in.k[key * 256] = 2048;
    std::fill_n(in.v.begin(), 256, 2048.f);
    checkWorstCase(c, in);
}

TEST_CASE("fp16 sums: what fp16 cannot hold")
{
    for (const LacunaDtype dtype : {LACUNA_DTYPE_BF16, LACUNA_DTYPE_F32})
    {
        const Case c = halfCase(
            kWhole, {.k_len = 37, .head_dim = 64, .dtype = dtype, .out_dtype = LACUNA_DTYPE_F32});
        if (!isWanted(c.id()) || !canRun(kWhole, c))
            continue;
        Inputs in = normalInputs(c, 9);
        for (float& v : in.v)
            v *= 0x1p20f;
        const Output output = runOnDevice(c, in);
        for (float& v : in.v)
            v = std::clamp(v, -65504.f, 65504.f);
        const WorstCase::Ratio ratio = WorstCase(c, in).of(output);
        CHECK(ratio.out <= 1);
        CHECK(ratio.lse <= 1);
    }

    // Values as large as they come: no sum of them is infinite.
    Case c = halfCase(kWhole, {.k_len = 37, .head_dim = 64, .out_dtype = LACUNA_DTYPE_F32});
    if (!isWanted(c.id()) || !canRun(kWhole, c))
        return;
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

TEST_CASE("fp16 sums: the option is not ignored, and explained")
{
    Case c = halfCase(kWhole, {.out_dtype = LACUNA_DTYPE_F32});
    if (!canRun(kWhole, c))
        return;
    CHECK(explanationOf(c).find(", sums in fp16\"") != std::string::npos);
    CHECK(explanationOf(c).find("\"sums\": \"f16\"") != std::string::npos);
    const Inputs in = normalInputs(c, 12);
    const Output half = runOnDevice(c, in);
    c.desc.sums = LACUNA_SUMS_F32;
    CHECK(explanationOf(c).find("\"sums\": \"f32\"") != std::string::npos);
    const Output full = runOnDevice(c, in);
    CHECK(half.out != full.out);
    CHECK(half.lse != full.lse);

    c = halfCase(kWhole, {.dtype = LACUNA_DTYPE_BF16});
    CHECK(explanationOf(c).find("sums in fp16 of inputs rounded to fp16") != std::string::npos);
}

TEST_CASE("fp16 sums: tiers without them are refused by name, and skipped with the reason")
{
    const char* const kReason = "it has no sums in fp16";
    std::string automatic;
    Case c = halfCase({LACUNA_TIER_AUTO, {}}, {});
    if (canRun(kWhole, halfCase(kWhole, {})))
        automatic = explanationOf(c);
    for (const LacunaTier tier : {LACUNA_TIER_COOPMAT, LACUNA_TIER_COOPMAT2})
    {
        const Kernel kernel = {tier, {}};
        if (!canRun(kernel, makeCase(kernel, {})))
            continue;
        CHECK(refusalOf(halfCase(kernel, {})).find(kReason) != std::string::npos);
        if (!automatic.empty())
        {
            CHECK(automatic.find("\"tier\": \"scalar\"") != std::string::npos);
            CHECK(automatic.find(kReason) != std::string::npos);
        }
    }

    const Kernel widened = {LACUNA_TIER_SCALAR, {{"widen", "on"}}};
    if (!automatic.empty())
        CHECK(refusalOf(halfCase(widened, {})).find("widen is on, expected auto or off") !=
              std::string::npos);
}

TEST_CASE("fp16 sums: the tool asks for them")
{
    const Folder folder("test_sums_tool");
    const std::string attend =
        "attend --method dense --tier scalar --random 1x2x65x40 --max-error 1e-2 ";
    const Ran ran = runTool(folder.path, attend + "--sums f16");
    INFO(ran.err);
    if (canRun(kWhole, halfCase(kWhole, {})))
    {
        CHECK(ran.status == 0);
        CHECK(ran.out.find(", sums in fp16") != std::string::npos);
    }
    CHECK(runTool(folder.path, attend + "--sums f8").status == 2);
}

TEST_CASE("fp16 sums: without shaderFloat16, and wrong values")
{
    Problem p;
    p.head_dim = 64;
    p.q_len = p.k_len = 128;
    p.sums = LACUNA_SUMS_F16;
    Caps caps;
    caps.subgroup_size = caps.min_subgroup_size = caps.max_subgroup_size = 32;
    caps.max_threads = 1024;
    AttendChoice choice;
    std::string sentence;
    CHECK(chooseAttend(caps, p, LACUNA_TIER_AUTO, {}, {}, choice, sentence) ==
          LACUNA_ERROR_UNSUPPORTED);
    CHECK(sentence.find("tier 'scalar': sums in fp16 need shaderFloat16, which is not enabled") !=
          std::string::npos);
    caps.has_f16_arithmetic = true;
    CHECK(chooseAttend(caps, p, LACUNA_TIER_AUTO, {}, {}, choice, sentence) == LACUNA_SUCCESS);

    LacunaPlanDesc desc = halfCase(kWhole, {}).desc;
    desc.method = "dense";
    desc.sums = LacunaSums(7);
    Request request;
    CHECK(makeRequest(&desc, request, sentence) == LACUNA_ERROR_INVALID_ARGUMENT);
    CHECK(sentence == "sums is 7, expected LACUNA_SUMS_F32, LACUNA_SUMS_F16 or LACUNA_SUMS_I32");
}

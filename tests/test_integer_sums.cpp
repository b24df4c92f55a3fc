// test_integer_sums.cpp - Q K^T of 8-bit integers on request (LACUNA_SUMS_I32): as exact as one
// scale a token allows, exact where that is all, and refused where it cannot be had.
//
// SPDX-License-Identifier: Apache-2.0
// ctest: label=vk timeout=600 app
#include "harness_mask.h"
#include "harness_sums.h"
#include "passes/attend.h"
#include "run_tool.h"

#include <algorithm>
#include <cmath>

using namespace lacuna;
using namespace lacuna::test;

namespace
{

const Kernel kWhole = {LACUNA_TIER_SCALAR, {}};
const Kernel kParts = {LACUNA_TIER_SCALAR,
                       {{"rows_per_lane", "2"}, {"work_keys", "32"}, {"widen", "off"}}};
const Kernel kSplit = {LACUNA_TIER_SCALAR,
                       {{"split", "2"}, {"rows_per_lane", "1"}, {"keys", "8"}, {"widen", "off"}}};

Case integerCase(const Kernel& kernel, const Shape& shape, const std::string& method = "dense")
{
    Case c = makeCase(kernel, shape, method);
    c.desc.sums = LACUNA_SUMS_I32;
    return c;
}

double largestOf(const std::vector<float>& values)
{
    double largest = 0;
    for (const float value : values)
        largest = std::max(largest, double(std::abs(value)));
    return largest;
}

} // namespace

TEST_CASE("integer sums: hostile lists, whole and in parts, spoiled keys")
{
    struct Run
    {
        const Kernel& kernel;
        LacunaDtype dtype;
    };
    for (const auto& [kernel, dtype] : {Run{kWhole, LACUNA_DTYPE_F16},
                                        {kWhole, LACUNA_DTYPE_F32},
                                        {kParts, LACUNA_DTYPE_BF16},
                                        {kSplit, LACUNA_DTYPE_F16}})
    {
        const Case c = hostileCase(kernel, LACUNA_SUMS_I32, dtype);
        if (isWanted(kernel.text() + c.id()) && canRun(kernel, c))
            runHostile(kernel, c, kHostileBlock);
    }
}

TEST_CASE("integer sums: head dimensions, windows of keys, and keys in another order")
{
    for (const uint32_t head_dim : {8u, 72u, 256u})
    {
        const Case c = integerCase(kWhole, {.q_len = 65, .k_len = 131, .head_dim = head_dim});
        if (isWanted(c.id()) && canRun(kWhole, c))
            runTwice(kWhole, c, normalInputs(c, 3), {});
    }
    Case causal =
        packedCase("causal", {{"window", "37"}, {"sinks", "5"}, {"block", "48"}}, 90, 150, 40);
    Case video = videoCase("neighborhood", {{"window", "3x5x3"}}, {3, 7, 6, 2, 3}, 2, 64);
    Case tiles =
        videoCase("sliding_tile", {{"tile", "2x3x4"}, {"window", "3x3x1"}}, {3, 6, 8, 5, 2}, 2, 64);
    for (Case* c : {&causal, &video, &tiles})
    {
        c->desc.sums = LACUNA_SUMS_I32;
        c->desc.out_dtype = LACUNA_DTYPE_F32;
        if (isWanted(c->id()) && canRun(kWhole, *c))
            runTwice(kWhole, *c, normalInputs(*c, 5), definitionOf(*c));
    }
}

TEST_CASE("integer sums: integers are exact")
{
    // Each token has 127 or -127 in it, so that one step of its scale is 1; then only fp32 rounds.
    Case c = integerCase(kWhole, {.q_len = 33,
                                  .k_len = 77,
                                  .head_dim = 64,
                                  .dtype = LACUNA_DTYPE_F32,
                                  .out_dtype = LACUNA_DTYPE_F32});
    c.desc.scale = 0x1p-14f;
    if (!isWanted(c.id()) || !canRun(kWhole, c))
        return;
    Inputs in = normalInputs(c, 7);
    Rng rng(8);
    for (std::vector<float>* tensor : {&in.q, &in.k})
        for (size_t i = 0; i < tensor->size(); ++i)
            (*tensor)[i] = i % 64 == 5 ? 127 : float(rng.below(255) - 127);
    const Output integers = runOnDevice(c, in);
    c.desc.sums = LACUNA_SUMS_F32;
    const Output floats = runOnDevice(c, in);
    // Logits of up to 64 in size, in base 2, which fp32 has to 2^-18 each.
    const double bound = 0x1p-16 * largestOf(in.v);
    for (size_t i = 0; i < floats.out.size(); ++i)
        REQUIRE(std::abs(double(integers.out[i]) - floats.out[i]) <= bound);
    for (size_t i = 0; i < floats.lse.size(); ++i)
        REQUIRE(std::abs(double(integers.lse[i]) - floats.lse[i]) <= 0x1p-16);
}

TEST_CASE("integer sums: no LSE is off by more than lacuna.h says, tokens of zeros included")
{
    const Case c = integerCase(kWhole, {.q_heads = 1,
                                        .kv_heads = 1,
                                        .q_len = 65,
                                        .k_len = 90,
                                        .head_dim = 64,
                                        .dtype = LACUNA_DTYPE_F32,
                                        .out_dtype = LACUNA_DTYPE_F32});
    if (!isWanted(c.id()) || !canRun(kWhole, c))
        return;
    Inputs in = normalInputs(c, 9);
    std::fill_n(in.q.begin() + 64 * 3, 64, 0.f);
    std::fill_n(in.k.begin() + 64 * 5, 64, 0.f);
    const Output output = runOnDevice(c, in);
    const Problem p = c.request().problem;
    std::vector<double> out(output.out.size()), lse(output.lse.size());
    attendReference(p, in.q.data(), in.k.data(), in.v.data(), 0, p.q_len, nullptr, out.data(),
                    lse.data());
    const auto sizeOf = [&](const std::vector<float>& tensor, size_t row)
    {
        double largest = 0, sum = 0;
        for (size_t i = row * 64; i < row * 64 + 64; ++i)
        {
            largest = std::max(largest, double(std::abs(tensor[i])));
            sum += std::abs(tensor[i]);
        }
        return std::pair(largest, sum);
    };
    for (size_t query = 0; query < 65; ++query)
    {
        const auto [q_max, q_sum] = sizeOf(in.q, query);
        double bound = 0;
        for (size_t key = 0; key < 90; ++key)
        {
            const auto [k_max, k_sum] = sizeOf(in.k, key);
            bound = std::max(bound, q_max * k_sum + k_max * q_sum + 64 * q_max * k_max / 254);
        }
        CHECK(std::abs(output.lse[query] - lse[query]) <= p.scale * bound / 254 + 1e-5);
    }
    for (size_t i = 0; i < 64; ++i) // a query of zeros weighs all keys alike
        CHECK(std::abs(output.out[64 * 3 + i] - out[64 * 3 + i]) <= 1e-5 * largestOf(in.v));
}

TEST_CASE("integer sums: the option is not ignored, explained, and refused where it cannot be had")
{
    Case c = integerCase(kWhole, {.out_dtype = LACUNA_DTYPE_F32});
    if (canRun(kWhole, c))
    {
        CHECK(contains(explanationOf(c), ", q and k rounded to 8-bit integers"));
        CHECK(contains(explanationOf(c), "\"sums\": \"i32\""));
        CHECK(contains(explanationOf(c), "round keys"));
        const Inputs in = normalInputs(c, 12);
        const Output rounded = runOnDevice(c, in);
        c.desc.sums = LACUNA_SUMS_F32;
        CHECK(rounded.lse != runOnDevice(c, in).lse);
        const Folder folder("test_integer_sums_tool");
        const Ran ran =
            runTool(folder.path, "attend --method dense --tier scalar --random 1x2x65x40 "
                                 "--sums i32 --max-error 5e-2");
        INFO(ran.err);
        CHECK(ran.status == 0);
        CHECK(contains(ran.out, "rounded to 8-bit integers"));
    }

    Problem p;
    p.head_dim = 64;
    p.q_len = p.k_len = 128;
    p.sums = LACUNA_SUMS_I32;
    Caps caps;
    caps.subgroup_size = caps.min_subgroup_size = caps.max_subgroup_size = 32;
    caps.max_threads = 256;
    AttendChoice choice;
    std::string sentence;
    CHECK(chooseAttend(caps, p, LACUNA_TIER_SCALAR, {}, {}, choice, sentence) ==
          LACUNA_ERROR_UNSUPPORTED);
    CHECK(contains(sentence, "sums in int32 need shaderIntegerDotProduct, which is not enabled"));
    caps.has_integer_dot = true;
    CHECK(chooseAttend(caps, p, LACUNA_TIER_SCALAR, {}, {}, choice, sentence) == LACUNA_SUCCESS);
    CHECK(contains(choice.tile.text, "whose products this device does not accelerate"));

    const Kernel matrices = {LACUNA_TIER_COOPMAT, {}};
    if (canRun(matrices, makeCase(matrices, {})))
        CHECK(contains(refusalOf(integerCase(matrices, {})), "it has no integer products"));
}

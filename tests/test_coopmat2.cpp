// test_coopmat2.cpp - the tier on NV_cooperative_matrix2, in as few kernels as show all of it, for
// CPUs compile each for long. ctest: label=vk timeout=900
//
// SPDX-License-Identifier: Apache-2.0
#include "harness_attend.h"
#include "harness_mask.h"

#include <algorithm>

using namespace lacuna;
using namespace lacuna::test;

namespace
{

constexpr uint32_t kBlock = 24; // queries of one list row: no tile size divides it

const Kernel kOne = {LACUNA_TIER_COOPMAT2, {{"scope", "subgroup"}, {"strips", "1"}}};
const Kernel kParts = {LACUNA_TIER_COOPMAT2,
                       {{"scope", "subgroup"}, {"strips", "2"}, {"work_keys", "32"}}};
const Kernel kDefault = {LACUNA_TIER_COOPMAT2, {}};

std::string refusalOf(const Case& c)
{
    try
    {
        std::vector<LacunaOption> storage;
        const host::Attention attention(device(), c.description(storage));
        return "";
    }
    catch (const Error& error)
    {
        return error.what();
    }
}

} // namespace

TEST_CASE("coopmat2: lengths")
{
    struct Lengths
    {
        uint32_t q, k;
    };
    for (const Lengths n : {Lengths{1, 1}, {63, 63}, {64, 64}, {65, 65}, {1, 200}, {130, 7}})
    {
        const Case c = makeCase(
            kOne,
            {.q_heads = 3, .kv_heads = 3, .q_len = n.q, .k_len = n.k, .head_dim = 40});
        if (isWanted(c.id()) && canRun(kOne, c))
            runTwice(kOne, c, normalInputs(c, 2), {});
    }
}

TEST_CASE("coopmat2: hostile lists, in parts")
{
    const Shape shape = {.batch = 2,
                         .q_heads = 4,
                         .kv_heads = 2,
                         .q_len = 101,
                         .k_len = 203,
                         .head_dim = 24,
                         .out_dtype = LACUNA_DTYPE_BF16};
    Case c = makeCase(kParts, shape, "key_spans");
    c.options = {{"block", std::to_string(kBlock)}};
    c.desc.q_strides = c.desc.out_strides = tokenMajor(shape.q_heads, shape.q_len, shape.head_dim);
    c.desc.k_strides = c.desc.v_strides = tokenMajor(shape.kv_heads, shape.k_len, shape.head_dim);
    if (!isWanted(c.id()) || !canRun(kParts, c))
        return;

    std::vector<LacunaOption> storage;
    const std::string explanation = host::Attention(device(), c.description(storage)).explain();
    CHECK(explanation.find("merge split rows") != std::string::npos);
    runHostile(kParts, c, kBlock);
}

TEST_CASE("coopmat2: queries and results through an order of tokens")
{
    Case c = makeCase(kDefault, {.batch = 1, .head_dim = 64, .out_dtype = LACUNA_DTYPE_F32},
                      "sliding_tile");
    c.desc.grid = {3, 5, 7, 2, 3};
    c.desc.q_len = c.desc.k_len = 3 * 5 * 7 + 2 + 3;
    if (isWanted(c.id()) && canRun(kDefault, c))
        runTwice(kDefault, c, normalInputs(c, 3), definitionOf(c));
}

TEST_CASE("coopmat2: windows of keys, capped logits and sink logits")
{
    const float sinks[] = {0.5f, -30};
    Case c = makeCase(kDefault, {.q_len = 150, .k_len = 70, .head_dim = 40}, "causal");
    c.options = {{"window", "37"}, {"sinks", "5"}, {"align", "bottom_right"}, {"block", "48"}};
    c.desc.soft_cap = 5;
    c.desc.sink_logits = sinks;
    if (!isWanted(c.id()) || !canRun(kDefault, c))
        return;
    const Inputs inputs = normalInputs(c, 5);
    checkAttention(c, inputs, definitionOf(c), runOnDevice(c, inputs));
}

TEST_CASE("coopmat2: what it cannot run is refused with a reason")
{
    if (!canRun(kDefault, makeCase(kDefault, {})))
        return;
    CHECK(refusalOf(makeCase(kDefault, {.dtype = LACUNA_DTYPE_F32})).find("as fp16") !=
          std::string::npos);
    const Kernel odd = {LACUNA_TIER_COOPMAT2, {{"keys", "100"}}};
    CHECK(refusalOf(makeCase(odd, {})).find("keys is 100, expected a multiple of") !=
          std::string::npos);
    Case c = makeCase(kDefault, {.q_len = 17, .k_len = 17});
    c.desc.k_strides = {0, 64, uint64_t(1) << 28};
    CHECK(refusalOf(c).find("the rows of one matrix reach over") != std::string::npos);

    if (device().info().is_cpu)
    {
        c = makeCase({LACUNA_TIER_AUTO, {}}, {});
        std::vector<LacunaOption> storage;
        const std::string text = host::Attention(device(), c.description(storage)).explain();
        CHECK(text.find("\"tier\": \"scalar\"") != std::string::npos);
    }
}

// test_attend.cpp - every tier of ATTEND, with every tile that matters, against hostile lists and
// shapes. ctest: label=vk timeout=600
//
// SPDX-License-Identifier: Apache-2.0
#include "harness_attend.h"

#include <algorithm>
#include <limits>

using namespace lacuna;
using namespace lacuna::test;

namespace
{

constexpr uint32_t kBlock = 24; // queries of one list row: no tile size divides it

const Kernel kScalar = {LACUNA_TIER_SCALAR, {}};
const Kernel kCoopmat = {LACUNA_TIER_COOPMAT, {}};

std::vector<Kernel> kernels()
{
    return {
        kScalar,
        {LACUNA_TIER_SCALAR,
         {{"split", "4"}, {"rows_per_lane", "1"}, {"keys", "4"}, {"widen", "off"}}},
        kCoopmat,
        {LACUNA_TIER_COOPMAT, {{"softmax", "shared"}}},
        {LACUNA_TIER_COOPMAT, {{"orientation", "rows"}, {"strips", "2"}, {"direct", "no"}}},
        {LACUNA_TIER_COOPMAT,
         {{"orientation", "columns"}, {"strips", "2"}, {"tiles", "2"}, {"keys", "32"}, {"hold", "no"}}},
        {LACUNA_TIER_COOPMAT,
         {{"slices", "2"},
          {"strips", "2"},
          {"tiles", "2"},
          {"keys", "64"},
          {"hold", "no"},
          {"rescale", "tile"}}},
        {LACUNA_TIER_COOPMAT, {{"shape", "16x16x16"}, {"hold", "yes"}, {"direct", "no"}}},
        {LACUNA_TIER_COOPMAT, {{"shape", "16x8x16"}, {"hold", "no"}, {"direct", "yes"}}},
        {LACUNA_TIER_COOPMAT, {{"shape", "8x8x8"}, {"hold", "no"}, {"direct", "no"}}},
        {LACUNA_TIER_COOPMAT, {{"shape", "8x16x16"}, {"rescale", "tile"}}},
    };
}

} // namespace

TEST_CASE("attend: hostile lists")
{
    for (const Kernel& kernel : kernels())
    {
        const Shape shape = {.batch = 2, .q_heads = 4, .kv_heads = 2, .q_len = 101, .k_len = 203};
        Case c = makeCase(kernel, shape, "key_spans");
        c.options = {{"block", std::to_string(kBlock)}};
        c.desc.q_strides = c.desc.out_strides =
            tokenMajor(shape.q_heads, shape.q_len, shape.head_dim);
        c.desc.k_strides = c.desc.v_strides =
            tokenMajor(shape.kv_heads, shape.k_len, shape.head_dim);
        if (!isWanted(kernel.text() + c.id()) || !canRun(kernel, c))
            continue;

        runHostile(kernel, c, kBlock);
    }
}

TEST_CASE("attend: lengths")
{
    struct Lengths
    {
        uint32_t q, k;
    };
    for (const Kernel& kernel : {kScalar, kCoopmat})
        for (const Lengths n : {Lengths{1, 1}, {63, 63}, {64, 64}, {65, 65}, {1, 200}, {130, 7}})
        {
            const Case c =
                makeCase(kernel, {.q_heads = 3, .kv_heads = 3, .q_len = n.q, .k_len = n.k});
            if (isWanted(kernel.text() + c.id()) && canRun(kernel, c))
                runTwice(kernel, c, normalInputs(c, 2), {});
        }
}

TEST_CASE("attend: head dimensions")
{
    for (const Kernel& kernel : {kScalar, kCoopmat})
        for (const uint32_t head_dim : {8u, 24u, 40u, 72u, 128u, 256u})
        {
            const Case c = makeCase(kernel, {.head_dim = head_dim});
            if (isWanted(kernel.text() + c.id()) && canRun(kernel, c))
                runTwice(kernel, c, normalInputs(c, 3), {});
        }
}

TEST_CASE("attend: dtypes")
{
    struct Dtypes
    {
        LacunaDtype in, out;
    };
    for (const Kernel& kernel : {kScalar, kCoopmat})
        for (const Dtypes d : {Dtypes{LACUNA_DTYPE_F32, LACUNA_DTYPE_F32},
                               {LACUNA_DTYPE_F16, LACUNA_DTYPE_F32},
                               {LACUNA_DTYPE_F32, LACUNA_DTYPE_F16},
                               {LACUNA_DTYPE_BF16, LACUNA_DTYPE_BF16},
                               {LACUNA_DTYPE_BF16, LACUNA_DTYPE_F32}})
        {
            const Case c = makeCase(kernel, {.head_dim = 40, .dtype = d.in, .out_dtype = d.out});
            if (isWanted(kernel.text() + c.id()) && canRun(kernel, c))
                runTwice(kernel, c, normalInputs(c, 4), {});
        }
}

TEST_CASE("attend: impossible tiles are refused with a reason")
{
    struct Wrong
    {
        Kernel kernel;
        const char* part;
    };
    const Wrong wrong[] = {
        {{LACUNA_TIER_SCALAR, {{"split", "3"}}}, "split is 3"},
        {{LACUNA_TIER_SCALAR, {{"speed", "9"}}}, "speed"},
        {{LACUNA_TIER_COOPMAT, {{"shape", "12x8x8"}}}, "12x8x8"},
        {{LACUNA_TIER_COOPMAT, {{"keys", "100"}}}, "100"},
        {{LACUNA_TIER_COOPMAT, {{"softmax", "registers"}, {"slices", "2"}}}, "slices is 2"},
        {{LACUNA_TIER_COOPMAT, {{"orientation", "rows"}, {"shape", "16x8x8"}}},
         "softmax is registers, expected shared: the probe shows no regular layout"},
        {{LACUNA_TIER_COOPMAT, {{"keys", "256"}, {"strips", "16"}}}, "shared memory"},
        {{LACUNA_TIER_COOPMAT, {{"shape", "8x16x16"}, {"slices", "2"}, {"direct", "yes"}}},
         "direct is yes"},
    };
    for (const Wrong& w : wrong)
    {
        if (w.kernel.tier == LACUNA_TIER_COOPMAT && !canRun(kCoopmat, makeCase(kCoopmat, {})))
            continue;
        const Case c = makeCase(w.kernel, {.head_dim = 248});
        std::vector<LacunaOption> storage;
        std::string sentence;
        try
        {
            const host::Attention attention(device(), c.description(storage));
        }
        catch (const Error& error)
        {
            sentence = error.what();
        }
        INFO(w.kernel.text(), ": ", sentence);
        CHECK(sentence.find(w.part) != std::string::npos);
    }
}

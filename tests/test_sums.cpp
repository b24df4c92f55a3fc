// test_sums.cpp - sums in fp16 on request (LACUNA_SUMS_F16): as exact as their short chains allow,
// never NaN, and refused where they cannot be had. ctest: label=vk timeout=900 app
//
// SPDX-License-Identifier: Apache-2.0
#include "harness_mask.h"
#include "harness_sums.h"
#include "passes/attend.h"
#include "run_tool.h"

#include <algorithm>
#include <cmath>
#include <limits>

using namespace lacuna;
using namespace lacuna::test;

namespace
{

const Kernel kWhole = {LACUNA_TIER_SCALAR, {{"keys", "4"}}};
const Kernel kParts = {LACUNA_TIER_SCALAR,
                       {{"keys", "4"}, {"rows_per_lane", "2"}, {"work_keys", "32"}}};
const Kernel kSplit = {
    LACUNA_TIER_SCALAR,
    {{"keys", "8"}, {"split", "2"}, {"rows_per_lane", "1"}, {"work_keys", "32"}}};

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
        const Case c = hostileCase(kernel, LACUNA_SUMS_F16, dtype);
        if (!isWanted(kernel.text() + c.id()) || !canRun(kernel, c))
            continue;
        CHECK((explanationOf(c).find("merge split rows") != std::string::npos) ==
              (kernel.tuning.size() > 1));
        runHostile(kernel, c, kHostileBlock);
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

    const Case c = halfCase(kWhole, {.k_len = 37, .head_dim = 64, .out_dtype = LACUNA_DTYPE_F32});
    if (isWanted(c.id()) && canRun(kWhole, c))
        checkOverflow(c);
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

TEST_CASE("fp16 sums: what cannot have them is refused by name, and skipped with the reason")
{
    const char* const kReason = "it has no sums in fp16";
    std::string automatic;
    const Case c = halfCase({LACUNA_TIER_AUTO, {}}, {});
    if (canRun(kWhole, halfCase(kWhole, {})))
        automatic = explanationOf(c);
    const Kernel tiled = {LACUNA_TIER_COOPMAT2, {}};
    if (canRun(tiled, makeCase(tiled, {})))
    {
        CHECK(refusalOf(halfCase(tiled, {})).find(kReason) != std::string::npos);
        CHECK((automatic.empty() || automatic.find(kReason) != std::string::npos));
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

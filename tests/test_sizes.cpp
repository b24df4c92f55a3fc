// test_sizes.cpp - long sequences, many heads, and memory known beforehand.
// ctest: label=vk timeout=600
//
// SPDX-License-Identifier: Apache-2.0
#include "harness_attend.h"
#include "harness_mask.h"

#include <chrono>

using namespace lacuna;
using namespace lacuna::test;

namespace
{

const Kernel kScalar = {LACUNA_TIER_SCALAR, {}};

struct Made
{
    LacunaPlanInfo info = {};
    double seconds = 0;
};

Made makePlan(const Case& c)
{
    std::vector<LacunaOption> storage;
    const LacunaPlanDesc desc = c.description(storage);
    const auto begin = std::chrono::steady_clock::now();
    const Plan plan = createPlan(device().context(), desc);
    const std::chrono::duration<double> time = std::chrono::steady_clock::now() - begin;
    Made made;
    made.seconds = time.count();
    REQUIRE(lacunaGetPlanInfo(plan.get(), &made.info) == LACUNA_SUCCESS);
    return made;
}

// A method at 75,600 tokens, the size of Wan at 480p and 81 frames, with about a tenth of the
// pairs.
Case wanCase(const Kernel& kernel, const char* method, const OptionValues& options,
             const LacunaVideoGrid& grid)
{
    Case c = makeCase(
        kernel, {.q_heads = 40, .kv_heads = 40, .q_len = 75600, .k_len = 75600, .head_dim = 128},
        method);
    c.options = options;
    c.desc.grid = grid;
    return c;
}

void checkWorkspace(const Case& c)
{
    if (!isWanted(c.id()))
        return;
    const Made made = makePlan(c);
    INFO(c.id(), ": ", made.info.workspace_bytes, " bytes, ", made.info.constants_bytes,
         " of constants, ", made.info.part_count, " parts, density ", made.info.max_density, ", ",
         made.seconds, " s");
    CHECK(made.info.workspace_bytes <= 256'000'000);
    CHECK(made.info.constants_bytes <= 64'000'000);
    CHECK(made.seconds < 20);
}

// The result at a few queries, on the device and by definition.
void checkSomeQueries(const Case& c, uint64_t seed)
{
    INFO(c.id());
    const Request request = c.request();
    const Problem& p = request.problem;
    const Inputs in = normalInputs(c, seed);
    const Output output = runOnDevice(c, in);
    for (const uint32_t query : {0u, p.q_len / 3, p.q_len / 2 + 17, p.q_len - 1})
    {
        std::vector<uint8_t> mask(size_t(p.heads()) * p.k_len);
        std::vector<double> out(size_t(p.heads()) * p.head_dim), lse(p.heads());
        request.method->reference(p, request.options, {in.q.data(), in.k.data()}, query, 1,
                                  mask.data());
        attendReference(p, in.q.data(), in.k.data(), in.v.data(), query, 1, mask.data(), out.data(),
                        lse.data());
        for (uint32_t head = 0; head < p.heads(); ++head)
        {
            const size_t row = size_t(head) * p.q_len + query;
            CHECK(std::abs(output.lse[row] - lse[head]) <= 1e-5);
            for (uint32_t d = 0; d < p.head_dim; ++d)
                CHECK(std::abs(output.out[row * p.head_dim + d] - out[head * p.head_dim + d]) <=
                      2e-5);
        }
    }
}

} // namespace

TEST_CASE("sizes: more heads than a dispatch has workgroups, where blocks are selected")
{
    // Text beside the video: a row that keeps all keys, and orders of their own.
    Case c = makeCase(
        kScalar,
        {.batch = 2, .q_heads = 33000, .kv_heads = 11000, .q_len = 5, .k_len = 5, .head_dim = 8},
        "block_topk");
    c.desc.grid = {1, 2, 2, 0, 1};
    c.options = {{"tile", "1x1x2"}, {"keep_ratio", "0.5"}};
    if (!isWanted(c.id()))
        return;
    const Request request = c.request();
    const Problem& p = request.problem;
    const Inputs in = normalInputs(c, 41);
    std::vector<uint8_t> mask(size_t(p.heads()) * p.q_len * p.k_len);
    request.method->reference(p, request.options, {in.q.data(), in.k.data()}, 0, p.q_len,
                              mask.data());
    runTwice(kScalar, c, in, mask);
}

TEST_CASE("sizes: workspace of 75,600 tokens, 40 heads and 128 channels is known, and small")
{
    const std::pair<const char*, OptionValues> sequences[] = {
        {"causal", {{"window", "8000"}}},
        {"block_topk", {{"block", "128"}, {"keep_ratio", "0.1"}}},
        {"block_topk", {{"block", "64"}, {"keep_ratio", "0.1"}}},
        {"streaming", {{"radius", "60"}}},
        {"key_spans", {}},
    };
    const std::pair<const char*, OptionValues> videos[] = {
        {"block_topk", {{"tile", "4x4x4"}, {"keep_ratio", "0.1"}}},
        {"axial", {{"radius", "1"}}},
        {"svg1", {{"density", "0.1"}}},
        {"svg1", {{"density", "0.1"}, {"heads", "spatial*20,temporal*20"}}},
        {"sliding_tile", {{"window", "3x7x7"}}},
        {"radial", {{"decay", "0.05"}}},
        {"paro", {{"density", "0.1"}, {"heads", "hwt*15,thw*10,wth*15"}}},
        {"jenga", {{"keep_ratio", "0.1"}, {"top_p", "0"}}},
        {"rainfusion2", {{"keep_ratio", "0.1"}}},
        {"vorta", {{"heads", "coreset*20,sliding*20"}, {"merge", "0.9"}, {"window", "3x7x7"}}},
    };
    for (const Kernel& kernel : {kScalar, Kernel{LACUNA_TIER_COOPMAT, {}}})
    {
        if (!canRun(kernel, makeCase(kernel, {.head_dim = 128})))
            continue;
        for (const auto& [method, options] : sequences)
            checkWorkspace(wanCase(kernel, method, options, {}));
        for (const auto& [method, options] : videos)
            checkWorkspace(wanCase(kernel, method, options, {21, 45, 80, 0, 0}));
    }
}

TEST_CASE("sizes: a million tokens")
{
    constexpr uint32_t kTokens = 1u << 20;
    Case c = makeCase(kScalar,
                      {.q_heads = 1,
                       .q_len = kTokens,
                       .k_len = kTokens,
                       .head_dim = 8,
                       .dtype = LACUNA_DTYPE_F32,
                       .out_dtype = LACUNA_DTYPE_F32},
                      "streaming");
    if (isWanted(c.id()))
        checkSomeQueries(c, 42);
    c.method = "sliding_tile"; // with an order of its own: K and V are copied
    c.desc.grid = {16, 256, 256, 0, 0};
    c.options = {{"window", "1x3x3"}};
    if (isWanted(c.id()))
        checkSomeQueries(c, 43);

    // The copies of 128 channels have more workgroups than one dimension of a dispatch.
    c.desc.head_dim = 128;
    const Made made = makePlan(c);
    INFO(made.seconds, " s");
    CHECK(made.info.part_count == 1); // the smallest one
    CHECK(made.info.workspace_bytes < (uint64_t(5) << 30) / 4);
    CHECK(made.seconds < 20);
}

// test_neighborhood.cpp - neighborhood: windows, strides, dilations and causal axes at random.
// ctest: label=vk timeout=240
//
// SPDX-License-Identifier: Apache-2.0
#include "harness_mask.h"

#include <algorithm>
#include <string>

using namespace lacuna;
using namespace lacuna::test;

namespace
{

std::string sizeText(Rng& rng, int limit_t, int limit_h, int limit_w)
{
    return std::to_string(1 + rng.below(limit_t)) + "x" + std::to_string(1 + rng.below(limit_h)) +
           "x" + std::to_string(1 + rng.below(limit_w));
}

Case randomCase(Rng& rng, const LacunaVideoGrid& grid)
{
    const char* const causal[] = {"none", "t", "h", "th", "w", "tw", "hw", "thw"};
    Case c;
    c.method = "neighborhood";
    c.desc.batch = 1;
    c.desc.q_heads = 1 + 2 * uint32_t(rng.below(2));
    c.desc.q_len = grid.text_before + grid.frames * grid.height * grid.width + grid.text_after;
    c.desc.head_dim = 16;
    c.desc.dtype = LACUNA_DTYPE_F16;
    c.desc.grid = grid;
    c.options = {{"window", sizeText(rng, 6, 8, 10)},
                 {"stride", sizeText(rng, 4, 5, 6)},
                 {"dilation", sizeText(rng, 3, 3, 4)},
                 {"causal", causal[rng.below(8)]},
                 {"border", rng.below(3) == 0 ? "cut" : "inward"}};
    return c;
}

bool isServed(const Case& c)
{
    std::vector<LacunaOption> storage;
    const LacunaPlanDesc desc = c.description(storage);
    Request request;
    std::string sentence;
    return makeRequest(&desc, request, sentence) == LACUNA_SUCCESS;
}

} // namespace

TEST_CASE("neighborhood: any combination keeps what the definition keeps, and attends to it in "
          "both tiers")
{
    Rng rng(5);
    const LacunaVideoGrid grids[] = {
        {5, 7, 9, 0, 0}, {4, 5, 8, 3, 0}, {3, 7, 6, 0, 13}, {1, 9, 11, 2, 5}};
    int served = 0;
    for (int i = 0; i < 60; ++i)
    {
        Case c = randomCase(rng, grids[i % 4]);
        const std::string id = c.id();
        INFO(id);
        if (!isWanted(id) || !isServed(c)) // a stride beyond its window is refused
            continue;
        ++served;
        const Request request = c.request();
        const Problem& p = request.problem;
        const Inputs inputs = normalInputs(c, uint64_t(i));
        std::vector<uint8_t> mask(size_t(p.heads()) * p.q_len * p.k_len);
        request.method->reference(p, request.options, {}, 0, p.q_len, mask.data());
        CHECK(selectOnDevice(c, inputs).tokenMask() == mask);
        if (i % 5 != 0)
            continue;
        for (const LacunaTier tier : {LACUNA_TIER_SCALAR, LACUNA_TIER_COOPMAT})
        {
            c.desc.tier = tier;
            try
            {
                checkAttention(c, inputs, mask, runOnDevice(c, inputs));
            }
            catch (const Error& error)
            {
                REQUIRE(error.result() == LACUNA_ERROR_UNSUPPORTED);
                skip(c.id(), error.what());
            }
        }
    }
    CAPTURE(served);
    CHECK((served >= 15 || !isWanted("all of them"))); // fewer only when --case picks some
}

namespace
{

Case neighborhoodCase(const LacunaVideoGrid& grid, const OptionValues& options)
{
    Case c;
    c.method = "neighborhood";
    c.desc.batch = 1;
    c.desc.q_heads = 2;
    c.desc.kv_heads = 1;
    c.desc.q_len = grid.text_before + grid.frames * grid.height * grid.width + grid.text_after;
    c.desc.head_dim = 64;
    c.desc.dtype = LACUNA_DTYPE_F16;
    c.desc.grid = grid;
    c.desc.tier = LACUNA_TIER_SCALAR;
    c.options = options;
    return c;
}

// How the plan tells what its queries keep.
LacunaList listOf(const Case& c, Plan& plan)
{
    std::vector<LacunaOption> storage;
    plan = createPlan(device().context(), c.description(storage));
    LacunaList list = {};
    REQUIRE(lacunaGetPlanList(plan.get(), &list) == LACUNA_SUCCESS);
    return list;
}

} // namespace

TEST_CASE("neighborhood: boxes of queries that share a row, on every kernel")
{
    const OptionValues cases[] = {
        {{"window", "3x3x3"}},
        {{"window", "2x5x4"}, {"border", "cut"}},
        {{"window", "3x16x16"}, {"border", "cut"}}, // the distance of frames alone
        {{"window", "1x1x1"}},
        {{"window", "4x5x6"}, {"stride", "2x1x3"}, {"causal", "t"}},
    };
    const LacunaVideoGrid grids[] = {{5, 7, 9, 3, 0}, {3, 6, 11, 0, 0}, {4, 4, 8, 0, 21}};
    int i = 0;
    for (const OptionValues& options : cases)
    {
        const Case c = neighborhoodCase(grids[i++ % 3], options);
        checkOnEveryKernel(c, normalInputs(c, 21));
    }
}

TEST_CASE("neighborhood: a key outside of the box is not heard, however loud")
{
    const Case c = neighborhoodCase({4, 6, 8, 0, 5}, {{"window", "3x3x3"}});
    Inputs inputs = normalInputs(c, 22);
    for (size_t i = 0; i < inputs.k.size(); ++i)
        if (i / 64 % 40 == 39) // logits of some tens
            inputs.k[i] = inputs.k[i] > 0 ? 12.0f : -12.0f;
    checkOnEveryKernel(c, inputs);
}

TEST_CASE("neighborhood: rows are full, and pairs are tested only where queries of a row differ")
{
    Plan plan;
    const LacunaList boxes =
        listOf(neighborhoodCase({8, 16, 16, 0, 0}, {{"window", "3x7x7"}}), plan);
    CHECK(boxes.boxes != nullptr);
    CHECK(boxes.places != nullptr);
    CHECK(boxes.windows == nullptr);
    CHECK(boxes.row_count <= 8 * 16 * 16 / 16);

    const LacunaList whole =
        listOf(neighborhoodCase({8, 16, 16, 0, 0}, {{"window", "8x16x16"}}), plan);
    CHECK(whole.boxes == nullptr);
    CHECK(whole.places == nullptr);

    Case c = neighborhoodCase({8, 16, 16, 0, 0}, {{"window", "6x12x12"}, {"stride", "2x4x4"}});
    const LacunaOption tuning[] = {{"threads", "32"}, {"rows_per_lane", "1"}, {"split", "1"}};
    c.desc.tuning = tuning; // as many queries as a group has
    c.desc.tuning_count = 3;
    CHECK(listOf(c, plan).boxes == nullptr);
}

TEST_CASE("neighborhood: a long line and a tall one have room in the words of their places")
{
    const LacunaVideoGrid grids[] = {{1, 1, 3000, 0, 0}, {700, 1, 3, 0, 0}, {1, 999, 2, 7, 0}};
    for (const LacunaVideoGrid& grid : grids)
        for (const char* border : {"inward", "cut"})
        {
            Case c = neighborhoodCase(grid, {{"window", "5x9x11"}, {"border", border}});
            c.desc.q_heads = 1;
            c.desc.head_dim = 8;
            const std::string id = c.id();
            INFO(id);
            CHECK(selectOnDevice(c, normalInputs(c, 23)).tokenMask() == definitionOf(c));
        }
}

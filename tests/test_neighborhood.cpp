// test_neighborhood.cpp - neighborhood: windows, strides, dilations and causal axes at random.
// ctest: label=vk timeout=120
//
// SPDX-License-Identifier: Apache-2.0
#include "harness.h"

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
                 {"causal", causal[rng.below(8)]}};
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

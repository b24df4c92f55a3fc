// test_rainfusion2.cpp - rainfusion2: the authors' order, how many blocks are kept, and which.
// ctest: label=vk timeout=300
//
// SPDX-License-Identifier: Apache-2.0
#include "harness_mask.h"

#include <algorithm>
#include <limits>
#include <set>

using namespace lacuna;
using namespace lacuna::test;

namespace
{

Case caseOf(const OptionValues& options, const LacunaVideoGrid& grid, uint32_t heads = 1,
            uint32_t head_dim = 16)
{
    return videoCase("rainfusion2", options, grid, heads, head_dim);
}

std::vector<uint32_t> orderOf(const OptionValues& options, const LacunaVideoGrid& grid)
{
    const Case c = caseOf(options, grid);
    return selectOnDevice(c, normalInputs(c, 1)).k_order;
}

// Of one row of a mask: the numbers of the blocks of `block` tokens with kept keys.
std::set<uint32_t> blocksOf(const std::vector<uint8_t>& mask, uint32_t tokens, uint32_t query,
                            uint32_t block)
{
    std::set<uint32_t> blocks;
    for (uint32_t key = 0; key < tokens; ++key)
        if (mask[query * tokens + key])
            blocks.insert(key / block);
    return blocks;
}

const LacunaVideoGrid kGrids[] = {{5, 7, 9, 0, 0},   {5, 7, 9, 3, 0},  {5, 7, 9, 0, 13},
                                  {4, 12, 20, 0, 0}, {4, 12, 20, 7, 5}, {1, 9, 17, 2, 0},
                                  {3, 1, 1, 0, 1},   {3, 8, 16, 0, 4}};

} // namespace

TEST_CASE("rainfusion2: windows, then the rows below them, then the columns beside them")
{
    // Frame 0 stays as it is where a row or a column is left over.
    std::vector<uint32_t> expected(35);
    for (uint32_t token = 0; token < 35; ++token)
        expected[token] = token;
    for (const uint32_t token :
         {0,  1,  7,  8,  2,  3,  9,  10, 4,  5,  11, 12, 14, 15, 21, 22, 16, 17,
          23, 24, 18, 19, 25, 26, 28, 29, 30, 31, 32, 33, 34, 6,  13, 20, 27})
        expected.push_back(35 + token);
    CHECK(orderOf({{"window", "2"}, {"block", "4"}}, {2, 5, 7, 0, 0}) == expected);

    expected.clear();
    for (const uint32_t frame : {0, 24})
        for (const uint32_t token : {0,  1,  6,  7,  2,  3,  8,  9,  4,  5,  10, 11,
                                     12, 13, 18, 19, 14, 15, 20, 21, 16, 17, 22, 23})
            expected.push_back(frame + token);
    CHECK(orderOf({{"window", "2"}, {"block", "4"}}, {2, 4, 6, 0, 0}) == expected);
}

TEST_CASE("rainfusion2: a block of 128 is two windows side by side, where windows fill a frame")
{
    const LacunaVideoGrid whole = {2, 16, 32, 0, 0};
    const std::vector<uint32_t> order = orderOf({}, whole);
    for (uint32_t place = 0; place < order.size(); ++place)
    {
        const uint32_t block = place / 128, h = order[place] % 512 / 32, w = order[place] % 32;
        if (block / 4 != order[place] / 512 || block % 4 / 2 != h / 8 || block % 2 != w / 16)
            FAIL_CHECK("place ", place);
    }
}

TEST_CASE("rainfusion2: frame 0 keeps and is kept, another row keeps its best blocks beside it")
{
    const LacunaVideoGrid grid = {6, 2, 4, 0, 0}; // 12 blocks of half a frame
    const uint32_t tokens = 48;
    for (const auto& [ratio, wanted] :
         std::vector<std::pair<const char*, size_t>>{{"0", 1}, {"0.2", 3}, {"0.25", 3}, {"1", 12}})
        for (const bool has_first : {true, false})
        {
            const Case c = caseOf({{"block", "4"},
                                   {"window", "4"}, // no whole window: raster order
                                   {"keep_ratio", ratio},
                                   {"first_frame", has_first ? "on" : "off"}},
                                  grid);
            const std::vector<uint8_t> mask = selectedMask(c, normalInputs(c, 2));
            for (uint32_t query = 0; query < tokens; ++query)
            {
                std::set<uint32_t> blocks = blocksOf(mask, tokens, query, 4);
                if (!has_first)
                    CHECK(blocks.size() == wanted);
                else if (query < 8)
                    CHECK(blocks.size() == 12);
                else
                {
                    CHECK((blocks.contains(0) && blocks.contains(1)));
                    CHECK(blocks.size() >= wanted);
                    CHECK(blocks.size() <= wanted + 2);
                }
            }
        }
}

TEST_CASE("rainfusion2: odd videos, text before, after and none, one head and three")
{
    for (const LacunaVideoGrid& grid : kGrids)
        for (const uint32_t heads : {1u, 3u})
            for (const OptionValues& options :
                 {OptionValues{}, {{"block", "13"}, {"window", "3"}, {"keep_ratio", "0.4"}},
                  {{"block", "8"}, {"window", "2"}, {"first_frame", "off"}}})
            {
                const Case c = caseOf(options, grid, heads);
                selectedMask(c, normalInputs(c, 3));
            }
}

TEST_CASE("rainfusion2: of equal blocks the first ones; NaN comes last, and alone keeps everything")
{
    const float nan = std::numeric_limits<float>::quiet_NaN();
    const Case c = caseOf({{"block", "4"}, {"keep_ratio", "0.3"}, {"first_frame", "off"}},
                          {2, 5, 7, 3, 2}, 2);
    Inputs inputs = normalInputs(c, 4);
    for (const size_t token : {3u, 17u, 40u, 41u, 60u})
        inputs.k[token * 16] = nan;
    selectedMask(c, inputs);
    std::fill(inputs.k.begin(), inputs.k.end(), nan);
    const std::vector<uint8_t> all = selectedMask(c, inputs);
    CHECK(std::count(all.begin(), all.end(), 0) == 0);

    std::fill(inputs.k.begin(), inputs.k.end(), 1.0f);
    const std::vector<uint8_t> first = selectedMask(c, inputs); // 18 blocks of 4
    CHECK(std::count(first.begin() + 3 * 75, first.begin() + 4 * 75, 1) == 6 * 4 + 5);
}

TEST_CASE("rainfusion2: attention under its mask, on every kernel")
{
    for (const LacunaVideoGrid& grid : {LacunaVideoGrid{5, 7, 9, 3, 0}, {4, 12, 20, 0, 5}})
    {
        const Case c = caseOf({{"block", "32"}, {"window", "4"}}, grid, 3, 32);
        checkOnEveryKernel(c, normalInputs(c, 5));
    }
}

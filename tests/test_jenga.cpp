// test_jenga.cpp - jenga: published selections by mass, equal scores, NaN, and which blocks touch.
// ctest: label=vk timeout=120
//
// SPDX-License-Identifier: Apache-2.0
#include "harness_mask.h"

#include <algorithm>
#include <cmath>
#include <limits>

using namespace lacuna;
using namespace lacuna::test;

namespace
{

Case jengaCase(const OptionValues& options, const LacunaVideoGrid& grid, uint32_t heads = 1)
{
    Case c;
    c.method = "jenga";
    c.options = options;
    c.desc.batch = 1;
    c.desc.q_heads = heads;
    c.desc.q_len = grid.text_before + grid.frames * grid.height * grid.width + grid.text_after;
    c.desc.head_dim = 8;
    c.desc.dtype = LACUNA_DTYPE_F32;
    c.desc.tier = LACUNA_TIER_SCALAR;
    c.desc.grid = grid;
    c.desc.scale = 1;
    return c;
}

// Keys 0 .. 4 of 12 on a line with these weights, as query 11 keeps them: it touches 10 and 11
// only, and the other keys weigh nothing.
std::vector<int> keptOf(const std::vector<double>& weights, const char* top_p, const char* ratio)
{
    const Case c =
        jengaCase({{"block", "1"}, {"top_p", top_p}, {"keep_ratio", ratio}}, {1, 1, 12, 0, 0});
    Inputs inputs = normalInputs(c, 1);
    std::fill(inputs.q.begin(), inputs.q.end(), 0.0f);
    std::fill(inputs.k.begin(), inputs.k.end(), 0.0f);
    for (size_t token = 0; token < 12; ++token)
    {
        inputs.q[token * 8] = 1;
        inputs.k[token * 8] = token < weights.size() ? float(std::log(weights[token])) : -1000;
    }
    const std::vector<uint8_t> mask = selectedMask(c, inputs);
    std::vector<int> kept;
    for (int key = 0; key < 10; ++key)
        if (mask[11 * 12 + size_t(key)])
            kept.push_back(key);
    return kept;
}

} // namespace

TEST_CASE("jenga: blocks are kept until they hold more than the share, and at least so many")
{
    const std::vector<double> weights = {0.05, 0.5, 0.3, 0.1, 0.05};
    CHECK(keptOf(weights, "0.79", "0") == std::vector<int>{1, 2});
    CHECK(keptOf(weights, "0.81", "0") == std::vector<int>{1, 2, 3});
    CHECK(keptOf(weights, "0.91", "0") == std::vector<int>{0, 1, 2, 3});
    CHECK(keptOf(weights, "0.3", "0.17") == std::vector<int>{1, 2}); // int(0.17 * 12) = 2
    CHECK(keptOf(weights, "0.3", "0") == std::vector<int>{1});
    CHECK(keptOf(weights, "0", "0") == std::vector<int>{1});
}

TEST_CASE("jenga: the block that reaches the share exactly is not the last one, equal ones ascend")
{
    const Case c =
        jengaCase({{"block", "1"}, {"top_p", "0.5"}, {"keep_ratio", "0"}}, {1, 1, 16, 0, 0});
    Inputs inputs = normalInputs(c, 1);
    std::fill(inputs.q.begin(), inputs.q.end(), 0.0f); // all 16 weigh the same
    const std::vector<uint8_t> mask = selectedMask(c, inputs);
    for (size_t key = 0; key < 16; ++key)
        CHECK(mask[15 * 16 + key] == (key <= 8 || key >= 14)); // 8 hold 0.5, the 9th exceeds it
}

TEST_CASE("jenga: NaN weighs nothing and comes last, infinity takes all")
{
    const float nan = std::numeric_limits<float>::quiet_NaN();
    for (const char* top_p : {"0", "0.6", "1"})
        for (const char* ratio : {"0", "0.3", "1"})
        {
            const Case c = jengaCase({{"block", "4"}, {"top_p", top_p}, {"keep_ratio", ratio}},
                                     {2, 7, 11, 3, 2}, 2);
            Inputs inputs = normalInputs(c, 2);
            for (size_t token : {17u, 40u, 41u, 90u})
                inputs.k[token * 8] = nan;
            selectedMask(c, inputs);
            std::fill(inputs.k.begin(), inputs.k.end(), nan);
            selectedMask(c, inputs);
            inputs = normalInputs(c, 3);
            inputs.k[60 * 8] = std::numeric_limits<float>::infinity();
            selectedMask(c, inputs);
        }
}

TEST_CASE("jenga: hundreds of blocks in one row")
{
    for (const char* top_p : {"0.1", "0.7"})
    {
        const Case c = jengaCase({{"block", "1"}, {"top_p", top_p}, {"keep_ratio", "0.01"}},
                                 {3, 7, 18, 0, 1});
        selectedMask(c, normalInputs(c, 4));
    }
}

TEST_CASE("jenga: blocks that touch are kept both ways, and with them frame 0 if that is wanted")
{
    const OptionValues least = {{"block", "6"}, {"top_p", "0"}, {"keep_ratio", "0"}};
    for (const char* curve : {"gilbert", "sliced_gilbert"})
    {
        OptionValues options = least;
        options.push_back({"curve", curve});
        const Case c = jengaCase(options, {3, 5, 7, 0, 0});
        const Inputs inputs = normalInputs(c, 5);
        const std::vector<uint8_t> mask = selectedMask(c, inputs);
        bool is_kept = true;
        for (int t = 0; t < 3; ++t)
            for (int h = 0; h < 5; ++h)
                for (int w = 0; w < 7; ++w)
                {
                    const int token = (t * 5 + h) * 7 + w;
                    if (w < 6)
                        is_kept &= mask[size_t(token * 105 + token + 1)] != 0 &&
                                   mask[size_t((token + 1) * 105 + token)] != 0;
                    if (t < 2 && h < 4 && w > 0)
                        is_kept &= mask[size_t(token * 105 + token + 35 + 7 - 1)] != 0;
                }
        CHECK(is_kept);

        options.push_back({"first_frame", "on"});
        const Case first = jengaCase(options, {3, 5, 7, 0, 0});
        const std::vector<uint8_t> with_first = selectedMask(first, inputs);
        CHECK(with_first[0 * 105 + 34] == 1);
        CHECK(with_first[30 * 105 + 4] == 1);
        CHECK(std::count(with_first.begin(), with_first.end(), 1) >=
              std::count(mask.begin(), mask.end(), 1));
    }
}

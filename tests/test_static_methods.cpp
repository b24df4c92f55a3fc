// test_static_methods.cpp - static masks agree with published numbers and with each other.
// ctest: label=cpu timeout=120
//
// SPDX-License-Identifier: Apache-2.0
//
// test_methods holds the device to reference(); here reference() is held to numbers made elsewhere.
#include "harness_mask.h"

#include "data/curves.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

using namespace lacuna;
using namespace lacuna::test;

TEST_CASE("streaming: sinks, a window that is cut off at the borders, and frames to come")
{
    const VideoGrid grid = {{7, 2, 3}};
    CHECK(blocksOf(maskOf("streaming", {}, grid), 6) ==
          std::vector<std::string>{"1100000", "1110000", "1111000", "1011100", "1001110", "1000111",
                                   "1000011"});
    CHECK(blocksOf(maskOf("streaming", {{"direction", "back"}, {"sinks", "2"}}, grid), 6) ==
          std::vector<std::string>{"1000000", "1100000", "1110000", "1111000", "1101100", "1100110",
                                   "1100011"});
    CHECK(maskOf("streaming", {{"radius", "6"}}, grid).density() == 1);
    CHECK(blocksOf(maskOf("streaming", {{"sinks", "0"}, {"radius", "0"}}, grid), 6)[3] ==
          "0001000");
}

TEST_CASE("streaming keeps text both ways")
{
    const Mask mask = maskOf("streaming", {{"sinks", "0"}, {"radius", "0"}, {"direction", "back"}},
                             {{3, 2, 2}, 3, 2});
    for (size_t token = 0; token < mask.tokens; ++token)
        for (const size_t text : {size_t(0), size_t(2), mask.tokens - 2, mask.tokens - 1})
            CHECK((mask.at(token, text) && mask.at(text, token)));
    CHECK_FALSE(mask.at(3, 3 + 4));
}

TEST_CASE("radial: published maps of blocks of 128")
{
    // 6 frames of 256 tokens: only frames 5 apart are thinned out; the sink brings one side of them
    // back.
    const OptionValues half = {{"decay", "0.5"}};
    const OptionValues half_without_sink = {{"decay", "0.5"}, {"sinks", "0"}};
    std::vector<std::string> expected(12, std::string(12, '1'));
    expected[0] = expected[1] = "111111111100";
    expected[10] = expected[11] = "001111111111";
    CHECK(blocksOf(maskOf("radial", half_without_sink, {{6, 16, 16}}), 128) == expected);
    expected[10] = expected[11] = "111111111111";
    CHECK(blocksOf(maskOf("radial", half, {{6, 16, 16}}), 128) == expected);

    // 5 frames of 200 tokens. The authors' rounding of single pairs of frames loses block (2, 6):
    // frame 3 ends in it.
    CHECK(blocksOf(maskOf("radial", half, {{5, 10, 20}}), 128) ==
          std::vector<std::string>{"1111101", "1111110", "1111111", "1111111", "1111111", "1111111",
                                   "1101111"});
}

TEST_CASE("radial: no query without a key, also in the last block")
{
    for (const VideoGrid& grid : {VideoGrid{{9, 5, 51}}, {{12, 10, 13}, 3, 4}, {{4, 12, 20}, 0, 5}})
    {
        const Mask mask = maskOf("radial", {{"sinks", "0"}}, grid);
        bool has_own = true;
        for (size_t token = 0; token < mask.tokens; ++token)
            has_own &= mask.at(token, token);
        CHECK(has_own);
    }
}

TEST_CASE("grat: 27 of 480 groups around a group, fewer at borders, and three planes")
{
    const VideoGrid grid = {{8, 6, 10}}; // one token a group
    const Mask around = maskOf("grat", {{"tile", "1x1x1"}}, grid);
    const auto count = [](const Mask& mask, size_t query)
    {
        size_t sum = 0;
        for (size_t key = 0; key < mask.tokens; ++key)
            sum += mask.at(query, key);
        return sum;
    };
    CHECK(count(around, (3 * 6 + 3) * 10 + 4) == 27);
    CHECK(count(around, 0) == 8);

    const Mask cross = maskOf("grat", {{"tile", "1x1x1"}, {"pattern", "cross"}}, grid);
    CHECK(count(cross, 0) == 6 * 10 + 7 * 10 + 7 * 5);
    CHECK(cross.density() == doctest::Approx(1 - (1 - 1.0 / 8) * (1 - 1.0 / 6) * (1 - 1.0 / 10)));
}

TEST_CASE("grat is sliding_tile away from the borders, and keeps less at them")
{
    const VideoGrid grid = {{5, 7, 9}};
    const OptionValues tile = {{"tile", "1x2x2"}};
    const Mask grat = maskOf("grat", tile, grid), sliding = maskOf("sliding_tile", tile, grid);
    size_t differences = 0;
    for (size_t query = 0; query < grat.tokens; ++query)
    {
        const size_t t = query / 63, h = query / 9 % 7 / 2, w = query % 9 / 2;
        const bool is_inner = t > 0 && t < 4 && h > 0 && h < 3 && w > 0 && w < 4;
        for (size_t key = 0; key < grat.tokens; ++key)
        {
            differences += is_inner && grat.at(query, key) != sliding.at(query, key);
            differences += grat.at(query, key) && !sliding.at(query, key);
        }
    }
    CHECK(differences == 0);
    CHECK(grat.density() < sliding.density());
}

TEST_CASE("neighborhood: NATTEN's window starts")
{
    const auto starts = [](uint32_t length, const char* window, const char* stride)
    {
        const Mask mask =
            maskOf("neighborhood", {{"window", window}, {"stride", stride}}, {{length, 1, 1}});
        std::vector<uint32_t> result;
        for (uint32_t query = 0; query < length; ++query)
        {
            const auto row = mask.kept.begin() + query * length;
            result.push_back(uint32_t(std::find(row, row + length, 1) - row));
        }
        return result;
    };
    const auto runs = [](const std::vector<std::pair<uint32_t, uint32_t>>& value_counts)
    {
        std::vector<uint32_t> result;
        for (const auto& [value, count] : value_counts)
            result.insert(result.end(), count, value);
        return result;
    };
    CHECK(starts(8, "3x1x1", "1x1x1") == std::vector<uint32_t>{0, 0, 1, 2, 3, 4, 5, 5});
    CHECK(starts(8, "4x1x1", "1x1x1") == std::vector<uint32_t>{0, 0, 0, 1, 2, 3, 4, 4});
    CHECK(starts(8, "4x1x1", "2x1x1") == std::vector<uint32_t>{0, 0, 1, 1, 3, 3, 4, 4});
    CHECK(starts(30, "18x1x1", "16x1x1") == runs({{0, 16}, {12, 14}}));
    CHECK(starts(48, "24x1x1", "8x1x1") == runs({{0, 16}, {8, 8}, {16, 8}, {24, 16}}));
    CHECK(starts(80, "24x1x1", "8x1x1") ==
          runs({{0, 16}, {8, 8}, {16, 8}, {24, 8}, {32, 8}, {40, 8}, {48, 8}, {56, 16}}));
}

TEST_CASE("sliding_tile: an even window acts like the next odd one")
{
    const VideoGrid line = {{60, 1, 1}}; // 10 tiles
    const Mask even = maskOf("sliding_tile", {{"tile", "6x1x1"}, {"window", "4x1x1"}}, line);
    CHECK(blocksOf(even, 6) ==
          std::vector<std::string>{"1111100000", "1111100000", "1111100000", "0111110000",
                                   "0011111000", "0001111100", "0000111110", "0000011111",
                                   "0000011111", "0000011111"});
}

TEST_CASE(
    "sliding_tile is neighborhood with window k t and stride t, on whole tiles and odd k, in 3-D")
{
    const VideoGrid grid = {{6, 10, 12}, 2, 3};
    const Mask tiles = maskOf("sliding_tile", {{"tile", "2x5x3"}, {"window", "1x1x3"}}, grid);
    CHECK(tiles.kept ==
          maskOf("neighborhood", {{"window", "2x5x9"}, {"stride", "2x5x3"}}, grid).kept);
    CHECK(maskOf("sliding_tile", {{"tile", "1x2x3"}, {"window", "3x3x1"}}, grid).kept ==
          maskOf("neighborhood", {{"window", "3x6x3"}, {"stride", "1x2x3"}}, grid).kept);
}

TEST_CASE(
    "neighborhood: dilation keeps residue classes apart, causal axes keep no key behind the query")
{
    const VideoGrid line = {{11, 1, 1}};
    const Mask dilated = maskOf("neighborhood", {{"window", "3x1x1"}, {"dilation", "3x1x1"}}, line);
    const Mask causal =
        maskOf("neighborhood", {{"window", "4x1x1"}, {"stride", "2x1x1"}, {"causal", "t"}}, line);
    const auto keysOf = [](const Mask& mask, size_t query)
    {
        std::vector<size_t> keys;
        for (size_t key = 0; key < mask.tokens; ++key)
            if (mask.at(query, key))
                keys.push_back(key);
        return keys;
    };
    CHECK(keysOf(dilated, 0) == std::vector<size_t>{0, 3, 6}); // 0 3 6 9
    CHECK(keysOf(dilated, 6) == std::vector<size_t>{3, 6, 9});
    CHECK(keysOf(dilated, 2) == std::vector<size_t>{2, 5, 8}); // 2 5 8, a class of three
    CHECK(keysOf(causal, 0) == std::vector<size_t>{0});
    CHECK(keysOf(causal, 4) == std::vector<size_t>{2, 3, 4}); // the leader is 5
    CHECK(keysOf(causal, 5) == std::vector<size_t>{2, 3, 4, 5});
    CHECK(keysOf(causal, 10) == std::vector<size_t>{7, 8, 9, 10}); // a group of one
    const VideoGrid grid = {{5, 7, 9}};
    CHECK(maskOf("neighborhood", {{"window", "5x7x9"}}, grid).density() == 1);
    // Cut windows are distances; of the frames alone, that is streaming without sinks.
    const Mask cut = maskOf("neighborhood", {{"window", "4x1x1"}, {"border", "cut"}}, line);
    CHECK(keysOf(cut, 0) == std::vector<size_t>{0, 1});
    CHECK(keysOf(cut, 5) == std::vector<size_t>{3, 4, 5, 6});
    CHECK(keysOf(cut, 10) == std::vector<size_t>{8, 9, 10});
    CHECK(maskOf("neighborhood", {{"window", "3x15x19"}, {"border", "cut"}}, grid).kept ==
          maskOf("streaming", {{"sinks", "0"}, {"radius", "1"}}, grid).kept);
    // Causal in time with all rows and columns is streaming back without sinks.
    CHECK(maskOf("neighborhood", {{"window", "3x7x9"}, {"causal", "t"}}, grid).kept ==
          maskOf("streaming", {{"sinks", "0"}, {"radius", "2"}, {"direction", "back"}}, grid).kept);
}

TEST_CASE(
    "axial over time is the token-major order and a band, as the temporal heads of Sparse VideoGen")
{
    const VideoGrid grid = {{5, 7, 9}};
    const std::vector<uint32_t> curve = axisCurve(grid.size, AxisOrder::HWT);
    for (const int radius : {0, 1, 4})
    {
        const Mask mask =
            maskOf("axial", {{"axis", "temporal"}, {"radius", std::to_string(radius)}}, grid);
        bool same = true;
        for (int query = 0; query < int(curve.size()); ++query)
            for (int key = 0; key < int(curve.size()); ++key)
                same &= mask.at(curve[size_t(query)], curve[size_t(key)]) ==
                        (std::abs(query / 5 - key / 5) <= radius);
        CHECK(same);
    }
}

TEST_CASE("axial: every axis keeps its share, and all of them meet in the query itself")
{
    const VideoGrid grid = {{5, 7, 9}};
    const Mask spatial = maskOf("axial", {}, grid),
               temporal = maskOf("axial", {{"axis", "temporal"}}, grid),
               height = maskOf("axial", {{"axis", "height"}}, grid),
               width = maskOf("axial", {{"axis", "width"}}, grid);
    CHECK(spatial.density() == doctest::Approx(1.0 / 5));
    CHECK(temporal.density() == doctest::Approx(1.0 / 63));
    CHECK(height.density() == doctest::Approx(1.0 / 45));
    CHECK(width.density() == doctest::Approx(1.0 / 35));
    for (size_t query = 0; query < spatial.tokens; ++query)
        for (size_t key = 0; key < spatial.tokens; ++key)
        {
            const bool is_self =
                temporal.at(query, key) && height.at(query, key) && width.at(query, key);
            if (is_self != (query == key) || (width.at(query, key) && !spatial.at(query, key)))
                FAIL_CHECK("query ", query, ", key ", key);
        }
    // One frame at a time is what streaming does without sinks.
    const Mask frames = maskOf("streaming", {{"sinks", "0"}, {"radius", "2"}}, grid);
    CHECK(maskOf("axial", {{"radius", "2"}}, grid).kept == frames.kept);
}

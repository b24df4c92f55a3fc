// test_curves.cpp - curves are bijections on hostile sizes, and agree with published orders.
// ctest: label=cpu timeout=60
//
// SPDX-License-Identifier: Apache-2.0
#include "data/curves.h"
#include "data/token_order.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <utility>

using namespace lacuna;

namespace
{

using Curve = std::vector<uint32_t>;

// Odd sides, one frame, one row or column, sides smaller than a voxel.
const Size3 kSizes[] = {{5, 7, 9},  {4, 12, 20}, {1, 9, 17}, {3, 2, 30}, {7, 30, 1},
                        {1, 1, 13}, {2, 1, 3},   {1, 1, 1},  {8, 8, 8},  {21, 15, 26}};

std::vector<std::pair<std::string, Curve>> curvesOf(const Size3& size)
{
    std::vector<std::pair<std::string, Curve>> curves = {
        {"rotated", rotatedCurve(size)},
        {"voxel 2x3x4", voxelCurve(size, {2, 3, 4})},
        {"voxel 1x8x8", voxelCurve(size, {1, 8, 8})},
        {"hilbert", hilbertCurve(size)},
        {"gilbert", gilbertCurve(size)},
        {"sliced gilbert", slicedGilbertCurve(size)}};
    for (uint32_t order = 0; order < 6; ++order)
        curves.push_back({"axes " + std::to_string(order), axisCurve(size, AxisOrder(order))});
    return curves;
}

struct Place
{
    int t, h, w;
};

Place placeOf(const Size3& size, uint32_t token)
{
    return {int(token / (size.h * size.w)), int(token / size.w % size.h), int(token % size.w)};
}

// The longest step of the curve, counted along the axes.
int longestStep(const Size3& size, const Curve& curve)
{
    int longest = 0;
    for (size_t i = 1; i < curve.size(); ++i)
    {
        const Place a = placeOf(size, curve[i - 1]), b = placeOf(size, curve[i]);
        longest =
            std::max(longest, std::abs(a.t - b.t) + std::abs(a.h - b.h) + std::abs(a.w - b.w));
    }
    return longest;
}

} // namespace

TEST_CASE("the inverse of every curve undoes it")
{
    for (const Size3& size : kSizes)
        for (const auto& [name, curve] : curvesOf(size))
        {
            const std::string id = name + " of " + std::to_string(size.t) + "x" +
                                   std::to_string(size.h) + "x" + std::to_string(size.w);
            INFO(id);
            REQUIRE(curve.size() == size.volume());
            std::vector<uint32_t> inverse(curve.size(), ~0u);
            for (uint32_t i = 0; i < curve.size(); ++i)
            {
                REQUIRE(curve[i] < curve.size());
                inverse[curve[i]] = i;
            }
            bool is_identity = true;
            for (uint32_t token = 0; token < inverse.size(); ++token)
                is_identity &= inverse[token] != ~0u && curve[inverse[token]] == token;
            CHECK(is_identity);
        }
}

TEST_CASE("the video follows its curve between the texts, in blocks with a smaller last one")
{
    for (const Size3& size : kSizes)
        for (const uint32_t text : {0u, 1u, 13u})
        {
            const VideoGrid grid = {size, text, text / 2};
            const Curve curve = gilbertCurve(size);
            const VideoOrder order = videoOrder(grid, curve, 13);
            CHECK(order.first_block == (text > 0 ? 1 : 0));
            CHECK(order.video_blocks == (size.volume() + 12) / 13);
            CHECK(order.blocks() ==
                  order.first_block + order.video_blocks + (text / 2 > 0 ? 1 : 0));
            CHECK(order.borders.back() == grid.tokens());
            bool follows = true;
            for (uint32_t i = 0; i < curve.size(); ++i)
                follows &= order.token(text + i) == text + curve[i];
            for (uint32_t i = 0; i < text; ++i)
                follows &= order.token(i) == i;
            for (uint32_t i = 0; i < text / 2; ++i)
                follows &= order.token(uint32_t(grid.tokens()) - 1 - i) == grid.tokens() - 1 - i;
            CHECK(follows);
            for (uint32_t i = 0; i < order.video_blocks; ++i)
                CHECK(order.blockSize(order.first_block + i) ==
                      std::min<uint64_t>(13, size.volume() - uint64_t(i) * 13));
        }
    CHECK(videoOrder({{5, 7, 9}, 3, 4}, {}, 64).perm.empty()); // raster order: nothing to gather
}

TEST_CASE("axis permutations: four are their own inverse, the other two are each other's")
{
    const Size3 size = {5, 7, 9};
    const auto composed =
        [](const Size3& first_size, AxisOrder first, const Size3& second_size, AxisOrder second)
    {
        const Curve a = axisCurve(first_size, first), b = axisCurve(second_size, second);
        bool is_identity = true;
        for (uint32_t i = 0; i < a.size(); ++i)
            is_identity &= a[b[i]] == i;
        return is_identity;
    };
    CHECK(composed(size, AxisOrder::THW, size, AxisOrder::THW));
    CHECK(composed(size, AxisOrder::TWH, {5, 9, 7}, AxisOrder::TWH));
    CHECK(composed(size, AxisOrder::HTW, {7, 5, 9}, AxisOrder::HTW));
    CHECK(composed(size, AxisOrder::WHT, {9, 7, 5}, AxisOrder::WHT));
    CHECK(composed(size, AxisOrder::HWT, {7, 9, 5}, AxisOrder::WTH));
    CHECK(composed(size, AxisOrder::WTH, {9, 5, 7}, AxisOrder::HWT));
    CHECK(axisCurve({2, 2, 2}, AxisOrder::HWT) == Curve{0, 4, 1, 5, 2, 6, 3, 7}); // token-major
}

TEST_CASE("gilbert curves of the authors")
{
    CHECK(gilbertCurve({2, 2, 4}) == Curve{0, 4, 12, 8, 9, 13, 5, 1, 2, 6, 14, 10, 11, 15, 7, 3});
    CHECK(gilbertCurve({1, 4, 4}) == Curve{0, 1, 5, 4, 8, 12, 13, 9, 10, 14, 15, 11, 7, 6, 2, 3});
    CHECK(gilbertCurve({2, 3, 5}) == Curve{0,  15, 20, 5,  10, 25, 26, 11, 6,  21,
                                           16, 1,  2,  17, 18, 3,  8,  23, 22, 7,
                                           12, 13, 27, 28, 29, 14, 9,  24, 19, 4});
    const Curve curve = gilbertCurve({2, 4, 6});
    CHECK(Curve(curve.begin(), curve.begin() + 12) ==
          Curve{0, 24, 25, 1, 2, 26, 27, 3, 9, 33, 32, 8});
}

TEST_CASE("curves go from neighbour to neighbour where the sides allow it")
{
    for (const uint32_t side : {2u, 4u, 8u})
        CHECK(longestStep({side, side, side}, hilbertCurve({side, side, side})) == 1);
    for (const Size3& size : {Size3{2, 4, 6}, {4, 12, 20}, {8, 8, 8}, {1, 6, 10}})
    {
        CHECK(longestStep(size, gilbertCurve(size)) == 1);
        CHECK(longestStep(size, slicedGilbertCurve(size)) == 1);
    }
}

TEST_CASE("voxels are whole boxes, and what is left over comes after them")
{
    const Size3 size = {5, 7, 9}, voxel = {2, 3, 4};
    const Curve curve = voxelCurve(size, voxel);
    const uint32_t voxels = 2 * 2 * 2, volume = 24;
    for (uint32_t i = 0; i < voxels * volume; ++i)
    {
        const Place first = placeOf(size, curve[i / volume * volume]),
                    place = placeOf(size, curve[i]);
        CHECK((place.t - first.t) / 2 + (place.h - first.h) / 3 + (place.w - first.w) / 4 == 0);
        CHECK(first.t % 2 + first.h % 3 + first.w % 4 == 0);
    }
    CHECK(std::is_sorted(curve.begin() + voxels * volume, curve.end()));
    CHECK(voxelCurve({1, 2, 3}, {1, 8, 8}) == Curve{0, 1, 2, 3, 4, 5}); // no voxel fits
}

TEST_CASE("a rotated video ends with its first frame")
{
    const Curve curve = rotatedCurve({3, 2, 2});
    CHECK(curve == Curve{4, 5, 6, 7, 8, 9, 10, 11, 0, 1, 2, 3});
    CHECK(rotatedCurve({1, 2, 2}) == Curve{0, 1, 2, 3});
}

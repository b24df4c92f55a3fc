// test_data.cpp - orders are bijections with sound borders, and static masks agree with published numbers.
// ctest: label=cpu timeout=60
//
// SPDX-License-Identifier: Apache-2.0
#include "harness.h"

#include "data/key_spans.h"
#include "data/token_order.h"

#include <algorithm>
#include <numeric>

using namespace lacuna;

namespace
{

void checkOrder(const TokenOrder& order, uint64_t tokens)
{
    if (!order.perm.empty())
    {
        std::vector<uint32_t> sorted = order.perm;
        std::sort(sorted.begin(), sorted.end());
        std::vector<uint32_t> all(tokens);
        std::iota(all.begin(), all.end(), 0u);
        CHECK(sorted == all);
    }
    REQUIRE(order.borders.size() >= 2);
    CHECK(order.borders.front() == 0);
    CHECK(order.borders.back() == tokens);
    for (uint32_t i = 0; i < order.blocks(); ++i)
        CHECK(order.borders[i] < order.borders[i + 1]);
}

// The mask of a static method for one head, [tokens, tokens].
std::vector<uint8_t> staticMask(const VideoGrid& grid, const std::string& tile, const std::string& window)
{
    test::Case c;
    c.method = "sliding_tile";
    c.options = {{"tile", tile}, {"window", window}};
    c.desc.batch = c.desc.q_heads = 1;
    c.desc.q_len = uint32_t(grid.tokens());
    c.desc.head_dim = 8;
    c.desc.dtype = LACUNA_DTYPE_F32;
    c.desc.grid = {grid.size.t, grid.size.h, grid.size.w, grid.text_before, grid.text_after};
    const Request request = c.request();
    std::vector<uint8_t> mask(grid.tokens() * grid.tokens());
    request.method->reference(request.problem, request.options, {}, 0, c.desc.q_len, mask.data());
    return mask;
}

// NATTEN's window of one axis without dilation: the queries of a stride group share the window of its leader.
KeySpan nattenWindow(int query, int length, int window, int stride)
{
    const int left = window / 2, right = window / 2 + window % 2 - 1;
    const int leader = std::min(query / stride * stride + stride / 2, length - 1);
    int start = std::max(leader - left, 0);
    if (leader + right >= length)
        start += length - right - leader - 1;
    return {uint32_t(start), uint32_t(start + window)};
}

} // namespace

TEST_CASE("tile orders are bijections, also on odd grids, one frame, and grids smaller than a tile")
{
    const Size3 tiles[] = {{1, 1, 1}, {4, 4, 4}, {2, 3, 5}, {6, 8, 8}};
    for (const Size3& size : {Size3{5, 7, 9}, {1, 9, 17}, {4, 12, 20}, {3, 2, 30}, {7, 30, 1}, {1, 1, 1}})
        for (const Size3& tile : tiles)
            for (const uint32_t text : {0u, 1u, 13u})
            {
                const VideoGrid grid = {size, text, text / 2};
                const TileOrder order = tileOrder(grid, tile);
                CAPTURE(size.t * 1000000 + size.h * 1000 + size.w);
                checkOrder(order, grid.tokens());
                CHECK(order.blocks() == order.tiles.volume() + (text > 0) + (text / 2 > 0));

                // Every token lies in the block of its own tile.
                for (uint32_t i = 0; i < order.tiles.volume(); ++i)
                {
                    const uint32_t block = order.first_block + i;
                    for (uint32_t at = order.borders[block]; at < order.borders[block + 1]; ++at)
                    {
                        const uint32_t token = order.token(at) - text;
                        const uint32_t t = token / (size.h * size.w), h = token / size.w % size.h,
                                       w = token % size.w;
                        CHECK(order.tileBlock(t / order.tile.t, h / order.tile.h, w / order.tile.w) == block);
                    }
                }
            }
}

TEST_CASE("a tile order that changes nothing needs no gather")
{
    CHECK(tileOrder({{16, 8, 8}, 3, 0}, {4, 8, 8}).perm.empty());
    CHECK(tileOrder({{1, 1, 1}, 0, 0}, {4, 4, 4}).perm.empty());
    CHECK_FALSE(tileOrder({{16, 8, 8}, 3, 0}, {4, 4, 8}).perm.empty());
}

TEST_CASE("tile counts of VSA's models")
{
    CHECK(tileOrder({{21, 30, 52}}, {4, 4, 4}).blocks() == 624);
    CHECK(tileOrder({{21, 30, 52}}, {4, 8, 8}).blocks() == 168);
    CHECK(tileOrder({{21, 45, 80}}, {4, 4, 4}).blocks() == 1440);
    CHECK(tileOrder({{21, 45, 80}}, {4, 8, 8}).blocks() == 360);
    CHECK(tileOrder({{33, 45, 80}}, {4, 4, 4}).blocks() == 2160);
    CHECK(tileOrder({{33, 45, 80}}, {4, 8, 8}).blocks() == 540);
}

TEST_CASE("raster orders have a smaller last block")
{
    checkOrder(rasterOrder(200, 64), 200);
    CHECK(rasterOrder(200, 64).borders == std::vector<uint32_t>{0, 64, 128, 192, 200});
    CHECK(rasterOrder(1, 64).borders == std::vector<uint32_t>{0, 1});
    CHECK(rasterOrder(64, 64).borders == std::vector<uint32_t>{0, 64});
}

TEST_CASE("touching spans are merged within a row, never across rows")
{
    KeySpans spans;
    spans.rows = 3;
    spans.append({{0, 4}, {4, 6}, {8, 9}});
    spans.append({{9, 12}});
    spans.append({});
    CHECK(spans.first == std::vector<uint32_t>{0, 2, 3, 3});
    CHECK(spans.spans == std::vector<KeySpan>{{0, 6}, {8, 9}, {9, 12}});
    CHECK(spans.keys(0) == 7);
    CHECK(spans.keys(2) == 0);
    CHECK(spans.keptPairs({0, 10, 12, 13}) == 76);
}

TEST_CASE("sliding_tile: an even window of 4 tiles of 6 tokens keeps 5, and moves inward at the borders")
{
    const uint32_t begins[10] = {0, 0, 0, 6, 12, 18, 24, 30, 30, 30};
    const std::vector<uint8_t> mask = staticMask({{60, 1, 1}}, "6x1x1", "4x1x1");
    for (uint32_t query = 0; query < 60; ++query)
        for (uint32_t key = 0; key < 60; ++key)
        {
            const uint32_t begin = begins[query / 6];
            CHECK(bool(mask[query * 60 + key]) == (key >= begin && key < begin + 30));
        }
}

TEST_CASE("NATTEN's published window starts")
{
    const auto starts = [](int length, int window, int stride)
    {
        std::vector<uint32_t> result;
        for (int query = 0; query < length; ++query)
            result.push_back(nattenWindow(query, length, window, stride).begin);
        return result;
    };
    CHECK(starts(8, 3, 1) == std::vector<uint32_t>{0, 0, 1, 2, 3, 4, 5, 5});
    CHECK(starts(8, 4, 1) == std::vector<uint32_t>{0, 0, 0, 1, 2, 3, 4, 4});
    CHECK(starts(8, 4, 2) == std::vector<uint32_t>{0, 0, 1, 1, 3, 3, 4, 4});
}

TEST_CASE("sliding_tile with k tiles of t tokens is NATTEN with window k t and stride t")
{
    for (int tile = 1; tile <= 4; ++tile)
        for (int tiles = 1; tiles <= 7; ++tiles)
            for (int window = 1; window <= tiles; window += 2)
            {
                if (tile * window < 2)
                    continue; // NATTEN's smallest window is 2
                const uint32_t length = uint32_t(tile * tiles);
                const std::string one_axis = std::to_string(tile) + "x1x1";
                const std::vector<uint8_t> mask =
                    staticMask({{length, 1, 1}}, one_axis, std::to_string(window) + "x1x1");
                bool same = true;
                for (uint32_t query = 0; query < length; ++query)
                {
                    const KeySpan span = nattenWindow(int(query), int(length), window * tile, tile);
                    for (uint32_t key = 0; key < length; ++key)
                        same &= bool(mask[query * length + key]) == (key >= span.begin && key < span.end);
                }
                CAPTURE(tile);
                CAPTURE(tiles);
                CAPTURE(window);
                CHECK(same);
            }
}

TEST_CASE("sliding_tile: densities of the authors' windows")
{
    // 30x48x80 in tiles of 6x8x8 is 5x6x10 tiles; scaled down to one token a tile.
    const auto density = [](const std::string& window)
    {
        const std::vector<uint8_t> mask = staticMask({{5, 6, 10}}, "1x1x1", window);
        return double(std::count(mask.begin(), mask.end(), 1)) / double(mask.size());
    };
    CHECK(density("3x3x3") == doctest::Approx(0.09));
    CHECK(density("5x3x3") == doctest::Approx(0.15));
    CHECK(density("5x6x1") == doctest::Approx(0.10));
}

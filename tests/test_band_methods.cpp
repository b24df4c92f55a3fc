// test_band_methods.cpp - bands agree with axis permutations, published widths and each other.
// ctest: label=cpu timeout=120
//
// SPDX-License-Identifier: Apache-2.0
#include "harness_mask.h"

#include "data/bands.h"
#include "data/curves.h"

#include <algorithm>
#include <cstdlib>

using namespace lacuna;
using namespace lacuna::test;

namespace
{

const VideoGrid kGrids[] = {{{5, 7, 9}}, {{4, 12, 20}}, {{1, 9, 17}}, {{7, 1, 5}}, {{6, 3, 1}}};

size_t keys(const std::vector<uint8_t>& row)
{
    return size_t(std::count(row.begin(), row.end(), 1));
}

// Kept keys of a query in the middle of the video.
size_t keysInTheMiddle(const OptionValues& options, const VideoGrid& grid)
{
    return keys(rowOf("svg1", options, grid, grid.token(grid.size.t / 2, grid.size.h / 2, 0)));
}

} // namespace

TEST_CASE("a band in token-major order, in raster order, is a span in each frame")
{
    for (const VideoGrid& grid : kGrids)
        for (const uint64_t half_width : {0ull, 1ull, 4ull, 13ull, 100000ull})
        {
            const Size3& size = grid.size;
            const std::vector<uint32_t> curve = axisCurve(size, AxisOrder::HWT);
            std::vector<int64_t> place(curve.size());
            for (size_t i = 0; i < curve.size(); ++i)
                place[curve[i]] = int64_t(i);
            bool same = true;
            const VideoOrder rows = frameBlocks(grid, 4);
            for (uint32_t row = 0; row < rows.blocks(); ++row)
            {
                const uint32_t begin = rows.borders[row], end = rows.borders[row + 1];
                std::vector<uint8_t> kept(curve.size());
                for (const KeySpan& span : tokenMajorBand(size, begin, end, half_width))
                    for (uint32_t key = span.begin; key < span.end; ++key)
                        kept[key] = 1;
                for (uint32_t key = 0; key < curve.size(); ++key)
                {
                    bool is_near = false;
                    for (uint32_t query = begin; query < end; ++query)
                        is_near |= uint64_t(std::abs(place[query] - place[key])) <= half_width;
                    same &= kept[key] == is_near;
                }
            }
            CHECK(same);
        }
}

TEST_CASE("svg1: the temporal heads of Sparse VideoGen are an axis permutation and a band")
{
    const VideoGrid grid = {{5, 7, 9}};
    const std::vector<uint32_t> curve = axisCurve(grid.size, AxisOrder::HWT);
    const OptionValues alone = {{"block", "1"}, {"sinks", "0"}, {"align", "1"}, {"density", "0.19"}};
    for (const char* heads : {"temporal", "spatial"})
    {
        OptionValues options = alone;
        options.push_back({"heads", heads});
        const Mask mask = maskOf("svg1", options, grid);
        bool same = true;
        for (uint32_t i = 0; i < curve.size(); ++i)
            for (uint32_t j = 0; j < curve.size(); ++j)
            {
                const bool is_near = std::abs(int(i) - int(j)) <= 32; // 31.5 of 315
                same &= is_near == (*heads == 't' ? mask.at(curve[i], curve[j]) : mask.at(i, j));
            }
        CHECK(same);
    }
}

TEST_CASE("svg1: the widths of the authors")
{
    const OptionValues wan = {{"block", "1"}, {"sinks", "0"}};
    const auto with = [](OptionValues options, const char* density, const char* heads)
    {
        options.push_back({"density", density});
        options.push_back({"heads", heads});
        return options;
    };
    const VideoGrid grid = {{21, 45, 80}};
    CHECK(keysInTheMiddle(with(wan, "0.3", "spatial"), grid) == 2 * 12416 + 1); // 3.4301 frames
    CHECK(keysInTheMiddle(with(wan, "0.3", "temporal"), grid) == 2 * 12416 + 1);
    CHECK(keysInTheMiddle(with(wan, "0.25", "spatial"), grid) == 2 * 10240 + 1); // 2.8135 frames

    const OptionValues exact = {{"block", "1"}, {"sinks", "0"}, {"align", "1"}};
    const VideoGrid hunyuan = {{33, 45, 80}, 0, 256}, cog = {{11, 48, 85}, 226, 0};
    const size_t hunyuan_keys = keysInTheMiddle(with(exact, "0.25", "temporal"), hunyuan) - 256,
                 cog_keys = keysInTheMiddle(with(exact, "0.25", "spatial"), cog) - 226;
    CHECK(double(hunyuan_keys / 2) / 3600 == doctest::Approx(4.3487).epsilon(1e-4));
    CHECK(double(cog_keys / 2) / 4080 == doctest::Approx(1.4174).epsilon(1e-4));

    // The first frame is a sink for both kinds of heads: frame 0, not the first pixels.
    for (const char* heads : {"spatial", "temporal"})
    {
        const std::vector<uint8_t> row =
            rowOf("svg1", {{"heads", heads}, {"density", "0.05"}}, grid, grid.token(20, 44, 79));
        CHECK(std::count(row.begin(), row.begin() + 3600, 1) == 3600);
        CHECK(std::count(row.begin() + 3600, row.begin() + 7200, 1) < 1800);
    }
}

TEST_CASE("svg1, rainfusion and sparse_vdit are one band after frame 0, whatever they call it")
{
    // Two frames of 5 x 6 and a third, 30 tokens each: 60 of the 90 tokens are not in frame 0.
    const VideoGrid grid = {{3, 5, 6}};
    const OptionValues one = {{"block", "1"}, {"align", "1"}};
    const auto with = [](OptionValues options, const OptionValues& more)
    {
        options.insert(options.end(), more.begin(), more.end());
        return options;
    };
    const Mask rain = maskOf("rainfusion", with(one, {{"bandwidth", "0.2"}}), grid);
    const Mask svg = maskOf("svg1", with(one, {{"heads", "spatial"}, {"density", "0.249"}}), grid);
    const Mask vdit = maskOf("sparse_vdit", {{"block", "1"}, {"density", "0.25"}}, grid);
    bool same = true;
    for (size_t query = 30; query < 90; ++query)
        for (size_t key = 30; key < 90; ++key)
        {
            // Half widths: 0.2 * 60; 90 (1 - sqrt(0.751)) rounded up, 90 (1 - sqrt(0.75)) down.
            const size_t distance = query > key ? query - key : key - query;
            same &= rain.at(query, key) == (distance <= 12);
            same &= svg.at(query, key) == (distance <= 13);
            same &= vdit.at(query, key) == (distance <= 12);
        }
    CHECK(same);

    // Over time: rainfusion leaves frame 0 out, so that its pixels have two places each.
    const Mask rain_temporal =
        maskOf("rainfusion", with(one, {{"heads", "temporal"}, {"bandwidth", "0.2"}}), grid);
    const Mask pixels = maskOf("axial", {{"axis", "temporal"}, {"radius", "6"}}, grid);
    const Mask nearer = maskOf("axial", {{"axis", "temporal"}, {"radius", "5"}}, grid);
    same = true;
    for (size_t query = 30; query < 90; ++query)
        for (size_t key = 30; key < 90; ++key)
        {
            same &= pixels.at(query, key) || !rain_temporal.at(query, key);
            same &= rain_temporal.at(query, key) || !nearer.at(query, key);
        }
    CHECK(same);
}

TEST_CASE("rainfusion: frame 0 and the text are dense both ways, for every kind of head")
{
    const VideoGrid grid = {{4, 5, 6}, 2, 3};
    for (const char* heads : {"temporal", "spatial", "textural"})
    {
        const Mask mask =
            maskOf("rainfusion", {{"heads", heads}, {"bandwidth", "0"}, {"block", "1"}}, grid);
        bool is_dense = true;
        for (size_t i = 0; i < mask.tokens; ++i)
            for (const size_t j : {size_t(0), size_t(2), size_t(31), mask.tokens - 1})
                is_dense &= mask.at(i, j) && mask.at(j, i);
        CHECK(is_dense);
        CHECK(mask.density() < 0.8);
    }
    const size_t first = 2 + 30;
    const Mask board = maskOf("rainfusion", {{"heads", "textural"}}, grid);
    CHECK(!board.at(first, first)); // frame 1, row 0, column 0
    CHECK((board.at(first, first + 1) && board.at(first, first + 6)));
    CHECK((board.at(first, first + 30) && !board.at(first, first + 31)));
}

TEST_CASE("rainfusion: the widths of the authors at 720p")
{
    const VideoGrid grid = {{21, 45, 80}};
    const auto keysAt = [&](const char* heads, uint32_t t, uint32_t h, uint32_t w)
    {
        return keys(rowOf("rainfusion", {{"heads", heads}, {"block", "1"}}, grid,
                          grid.token(t, h, w)));
    };
    // 0.2 * 72000 = 112.5 * 128 tokens; 0.2 * 3600 = 5.6 * 128 pixels, times 20 frames.
    CHECK(keysAt("spatial", 11, 0, 0) == 3600 + 2 * 112 * 128 + 1);
    CHECK(keysAt("temporal", 11, 22, 40) == 3600 + 2 * 5 * 128 * 20 + 1);
    CHECK(keysAt("textural", 11, 22, 40) == 3600 + 20 * 1800);
}

TEST_CASE("sparse_vdit: stripes are the same for all queries, and a skipped head keeps nothing")
{
    const VideoGrid grid = {{3, 5, 6}, 2, 1};
    const Mask stripes = maskOf(
        "sparse_vdit", {{"heads", "stripe"}, {"stripe_width", "2"}, {"stripe_period", "7"}}, grid);
    bool same = true;
    for (size_t query = 2; query < 92; ++query)
        for (size_t key = 2; key < 92; ++key)
            same &= stripes.at(query, key) == ((key - 2) % 7 < 2);
    CHECK(same);
    CHECK(maskOf("sparse_vdit", {{"heads", "skip"}}, grid).density() == 0);
    CHECK(maskOf("sparse_vdit", {{"heads", "full"}}, grid).density() == 1);

    // One diagonal in each pair of frames.
    const Mask diagonals = maskOf(
        "sparse_vdit",
        {{"heads", "multi_diagonal"}, {"density", "0.001"}, {"block", "1"}}, {{3, 5, 60}});
    const Mask pixels = maskOf("axial", {{"axis", "temporal"}}, {{3, 5, 60}});
    size_t extra = 0;
    for (size_t i = 0; i < diagonals.kept.size(); ++i)
        extra += diagonals.kept[i] && !pixels.kept[i];
    CHECK(extra == 0);
    CHECK(diagonals.density() > 0);
}

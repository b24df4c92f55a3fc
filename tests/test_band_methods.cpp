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

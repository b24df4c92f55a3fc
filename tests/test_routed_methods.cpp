// test_routed_methods.cpp - methods whose heads differ: orders, maps and windows for each head.
// ctest: label=cpu timeout=120
//
// SPDX-License-Identifier: Apache-2.0
#include "harness_mask.h"

#include "data/curves.h"

#include <algorithm>
#include <cmath>

using namespace lacuna;
using namespace lacuna::test;

namespace
{

// The masks of all heads, one after the other.
std::vector<uint8_t> masksOf(const std::string& method, const OptionValues& options,
                             const VideoGrid& grid, uint32_t heads)
{
    Case c;
    c.method = method;
    c.options = options;
    c.desc.batch = 1;
    c.desc.q_heads = heads;
    c.desc.q_len = uint32_t(grid.tokens());
    c.desc.head_dim = 8;
    c.desc.dtype = LACUNA_DTYPE_F32;
    c.desc.grid = {grid.size.t, grid.size.h, grid.size.w, grid.text_before, grid.text_after};
    const Request request = c.request();
    std::vector<uint8_t> masks(heads * grid.tokens() * grid.tokens());
    request.method->reference(request.problem, request.options, {}, 0, c.desc.q_len, masks.data());
    return masks;
}

} // namespace

TEST_CASE("paro: blocks of one line of the fastest axis are the groups of axial attention")
{
    const VideoGrid grid = {{5, 7, 9}};
    const struct
    {
        const char *order, *block, *axis;
    } orders[] = {{"thw", "9", "width"},    {"twh", "7", "height"},   {"hwt", "5", "temporal"},
                  {"htw", "9", "width"},    {"wht", "5", "temporal"}, {"wth", "7", "height"},
                  {"thw", "63", "spatial"}, {"twh", "63", "spatial"}};
    for (const auto& o : orders)
    {
        CAPTURE(o.order);
        CHECK(maskOf("paro", {{"heads", o.order}, {"block", o.block}, {"density", "0"}}, grid).kept ==
              maskOf("axial", {{"axis", o.axis}}, grid).kept);
    }
    // Two fast axes: the same row of all frames, the same column of all frames.
    const auto slabs = [&](const char* order, const char* block)
    {
        return maskOf("paro", {{"heads", order}, {"block", block}, {"density", "0"}}, grid);
    };
    const Mask rows = slabs("htw", "45"), pixels_of_rows = slabs("hwt", "45"),
               columns = slabs("wth", "35"), pixels_of_columns = slabs("wht", "35");
    bool same = true;
    for (size_t query = 0; query < rows.tokens; ++query)
        for (size_t key = 0; key < rows.tokens; ++key)
        {
            same &= rows.at(query, key) == (query / 9 % 7 == key / 9 % 7);
            same &= columns.at(query, key) == (query % 9 == key % 9);
        }
    CHECK(same);
    CHECK(rows.kept == pixels_of_rows.kept);
    CHECK(columns.kept == pixels_of_columns.kept);
}

TEST_CASE("paro: a band in token-major order is axial attention over time with neighbours, and the "
          "temporal heads of Sparse VideoGen")
{
    const VideoGrid grid = {{5, 7, 9}};
    CHECK(maskOf("paro", {{"heads", "hwt"}, {"block", "5"}, {"density", "0.04"}}, grid).kept ==
          maskOf("axial", {{"axis", "temporal"}, {"radius", "1"}}, grid).kept); // 1.27 of 63 blocks

    const VideoGrid even = {{4, 6, 8}};
    for (const char* heads : {"spatial", "temporal"})
        CHECK(maskOf("paro",
                     {{"heads", *heads == 's' ? "thw" : "hwt"}, {"block", "1"}, {"density", "0.75"}},
                     even)
                  .kept == maskOf("svg1",
                                  {{"heads", heads},
                                   {"block", "1"},
                                   {"align", "1"},
                                   {"sinks", "0"},
                                   {"density", "0.75"}},
                                  even)
                               .kept); // 96 of 192 tokens
}

TEST_CASE("paro: the blocks of the authors' models, and bands of their densities")
{
    const auto blocks = [](const VideoGrid& grid)
    {
        return videoOrder(grid, axisCurve(grid.size, AxisOrder::WHT), 64).video_blocks;
    };
    const VideoGrid wan = {{21, 45, 80}}, cog = {{13, 30, 45}, 226, 0};
    CHECK(blocks(wan) == 1182);
    CHECK(blocks(cog) == 275); // theirs are 274 and 4 of text and the first 30 tokens

    for (const double density : {0.5, 0.3, 0.2})
    {
        const OptionValues options = {{"density", std::to_string(density)}, {"block", "1"}};
        CHECK(maskOf("paro", options, {{4, 12, 20}}).density() ==
              doctest::Approx(density).epsilon(0.01));
    }
    const std::vector<uint8_t> row = rowOf("paro", {}, wan, wan.token(10, 22, 40));
    CHECK(std::count(row.begin(), row.end(), 1) == (2 * 193 + 1) * 64); // 193.07 of 1182
}

TEST_CASE("paro: a map with a cell for each block is a bit map, a coarser one is laid over them")
{
    const auto mapped = [](const char* map, uint32_t tokens)
    {
        return blocksOf(maskOf("paro", {{"map", map}, {"block", "4"}}, {{1, 1, tokens}}), 4);
    };
    CHECK(mapped("101/010/110", 12) == std::vector<std::string>{"101", "010", "110"});
    CHECK(mapped("10/01", 24) ==
          std::vector<std::string>{"111000", "111000", "111000", "000111", "000111", "000111"});
    CHECK(mapped("10/01", 12) == std::vector<std::string>{"110", "111", "011"});
    CHECK(mapped("1000/0000/0000/0010", 8) == std::vector<std::string>{"10", "01"}); // finer
    CHECK(mapped("01", 8) == std::vector<std::string>{"01", "01"});

    const Mask none = maskOf("paro", {{"map", "0"}}, {{2, 3, 4}, 2, 1});
    CHECK(none.at(0, 5));
    CHECK(none.at(5, 26));
    CHECK_FALSE(none.at(5, 5)); // such a query sees the text only
}

TEST_CASE("a list over the heads gives each head the mask that it would have alone")
{
    const VideoGrid grid = {{5, 7, 9}, 3, 2};
    const auto check = [&](const char* method, const char* option,
                           const std::vector<std::string>& values)
    {
        CAPTURE(method);
        std::string list;
        for (const std::string& value : values)
            list += (list.empty() ? "" : ",") + value;
        const std::vector<uint8_t> masks =
            masksOf(method, {{option, list}}, grid, uint32_t(values.size()));
        const size_t size = grid.tokens() * grid.tokens();
        for (size_t head = 0; head < values.size(); ++head)
        {
            const Mask alone = maskOf(method, {{option, values[head]}}, grid);
            CHECK(std::equal(alone.kept.begin(), alone.kept.end(),
                             masks.begin() + std::ptrdiff_t(head * size)));
        }
    };
    check("paro", "heads", {"thw", "hwt", "wth", "hwt"});
    check("paro", "map", {"10/01", "band", "1"});
    check("sliding_tile", "window", {"1x1x1", "3x1x3", "1x1x1"});
}

TEST_CASE("a list over the heads that cannot be read is refused, with what is expected")
{
    const auto refusal = [](const char* method, const char* option, const std::string& value)
    {
        Case c;
        c.method = method;
        c.options = {{option, value}};
        c.desc.batch = 1;
        c.desc.q_heads = 2;
        c.desc.q_len = 16;
        c.desc.head_dim = 8;
        c.desc.dtype = LACUNA_DTYPE_F32;
        c.desc.grid = {1, 4, 4, 0, 0};
        std::vector<LacunaOption> storage;
        const LacunaPlanDesc desc = c.description(storage);
        Request request;
        std::string sentence;
        CHECK(makeRequest(&desc, request, sentence) == LACUNA_ERROR_INVALID_ARGUMENT);
        return sentence;
    };
    for (const char* window : {"3x3", "3x3x3,", "0x1x1", "3x3x3,1x1x1x1", "3x3x3*0", "3x3x3x", ""})
        CHECK(refusal("sliding_tile", "window", window) ==
              std::string("option 'window' of method 'sliding_tile' is '") + window +
                  "', expected FRAMESxROWSxCOLUMNS, each in 1..1024, for all heads, or one for each, "
                  "as in a,b*3");
    for (const char* map : {"12", "11/1", "1//1", "/1", "1/", "bands", "band/1", "", "1,,1"})
        CHECK(refusal("paro", "map", map) ==
              std::string("option 'map' of method 'paro' is '") + map +
                  "', expected band or rows of 0 and 1 of one length, as in 110/011, for all heads, "
                  "or one for each, as in a,b*3");
    CHECK(refusal("paro", "map", "1,0,band") ==
          "option 'map' of method 'paro' is for 3 heads, expected 1 or 2");
}

TEST_CASE("interspatial: a frame keeps the condition tokens of its frame, whatever their number")
{
    const auto masksOfCross = [](const OptionValues& options, uint32_t queries, uint32_t keys)
    {
        Case c;
        c.method = "interspatial";
        c.options = options;
        c.desc.batch = c.desc.q_heads = 1;
        c.desc.q_len = queries;
        c.desc.k_len = keys;
        c.desc.head_dim = 8;
        c.desc.dtype = LACUNA_DTYPE_F32;
        const Request request = c.request();
        std::vector<uint8_t> mask(queries * keys);
        request.method->reference(request.problem, request.options, {}, 0, queries, mask.data());
        std::vector<std::string> rows;
        for (uint32_t query = 0; query < queries; ++query)
        {
            rows.emplace_back();
            for (uint32_t key = 0; key < keys; ++key)
                rows.back() += mask[query * keys + key] ? '1' : '0';
        }
        return rows;
    };
    CHECK(masksOfCross({{"frames", "3"}}, 6, 9) ==
          std::vector<std::string>{"111000000", "111000000", "000111000", "000111000", "000000111",
                                   "000000111"});
    CHECK(masksOfCross({{"frames", "3"}, {"shared", "2"}, {"radius", "1"}}, 3, 5) ==
          std::vector<std::string>{"11110", "11111", "11011"});
    CHECK(masksOfCross({{"frames", "2"}}, 3, 5) == // uneven: 2 and 1 queries, 3 and 2 keys
          std::vector<std::string>{"11100", "11100", "00011"});

    // Its blocks in space are those of a frame.
    const VideoGrid grid = {{5, 7, 9}, 3, 2};
    CHECK(maskOf("interspatial", {{"radius", "1"}}, grid).kept ==
          maskOf("axial", {{"radius", "1"}}, grid).kept);
}

TEST_CASE("vorta: of 12 tokens the centre, at place 9, and the 5 least similar to it stay")
{
    const VideoGrid grid = {{4, 6, 4}, 1, 2}; // 8 buckets of 2 x 3 x 2
    Case c;
    c.method = "vorta";
    c.desc.batch = c.desc.q_heads = 1;
    c.desc.q_len = uint32_t(grid.tokens());
    c.desc.head_dim = 8;
    c.desc.dtype = LACUNA_DTYPE_F32;
    c.desc.grid = {4, 6, 4, 1, 2};

    // The angle between a token and its centre decides; its length does not.
    const double angles[12] = {0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0, 0.05, 0.15};
    std::vector<float> x(grid.tokens() * 8);
    std::vector<uint8_t> expected(grid.tokens(), 1);
    for (uint32_t t = 0; t < 4; ++t)
        for (uint32_t h = 0; h < 6; ++h)
            for (uint32_t w = 0; w < 4; ++w)
            {
                const uint32_t place = (t % 2 * 3 + h % 3) * 2 + w % 2, token = grid.token(t, h, w);
                x[token * 8] = float((1 + t + h + w) * std::cos(angles[place]));
                x[token * 8 + 1] = float((1 + t + h + w) * std::sin(angles[place]));
                expected[token] = place < 5 || place == 9;
            }
    CHECK(std::count(expected.begin(), expected.end(), 1) == 48 + 3);
    for (const char* match : {"q", "k"})
    {
        c.options = {{"match", match}};
        const Request request = c.request();
        std::vector<uint8_t> row(grid.tokens());
        request.method->reference(request.problem, request.options, {x.data(), x.data()}, 40, 1,
                                  row.data());
        CHECK(row == expected);
    }
}

TEST_CASE("vorta: its sliding heads are sliding_tile, its full heads keep everything")
{
    const VideoGrid grid = {{5, 7, 9}, 3, 2};
    const OptionValues sliding = {{"tile", "2x3x4"}, {"window", "3x1x3"}};
    OptionValues routed = sliding;
    routed.push_back({"heads", "sliding,full"});
    const std::vector<uint8_t> masks = masksOf("vorta", routed, grid, 2);
    const Mask alone = maskOf("sliding_tile", sliding, grid);
    CHECK(std::equal(alone.kept.begin(), alone.kept.end(), masks.begin()));
    CHECK(std::count(masks.begin() + std::ptrdiff_t(alone.kept.size()), masks.end(), 1) ==
          std::ptrdiff_t(alone.kept.size()));
}

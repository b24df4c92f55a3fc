// ctest: label=vk timeout=200 app
// test_simulate.cpp - `lacuna simulate`: visited tiles against numbers counted by hand.
//
// SPDX-License-Identifier: Apache-2.0
#include "run_tool.h"

#include "lacuna/errors.h"
#include "lacuna/tile_visits.h"

#include <nlohmann/json.hpp>

using namespace lacuna;
using namespace lacuna::test;
using namespace lacuna::tool;
using Json = nlohmann::json;

namespace
{

// The rows of "tiles" for the given method, options and tiles.
Json simulate(const Folder& folder, const std::string& arguments)
{
    const Ran ran = runTool(folder.path, "simulate --json " + arguments);
    INFO("lacuna simulate ", arguments, "\n", ran.err);
    REQUIRE(ran.status == 0);
    return Json::parse(ran.out);
}

struct Wanted
{
    const char* arguments;
    double visited, all; // pairs of tiles
    uint64_t kept_pairs;
    bool is_perfect;
};

} // namespace

TEST_CASE("runs end where rows and spans of the list end")
{
    host::Attention::Kept kept;
    kept.heads = 1;
    kept.row_borders = {0, 5, 8};
    kept.key_borders = {0, 8};
    kept.spans = {{{0, 3}, {5, 8}}, {{2, 8}}};
    CHECK(keptPairs(kept) == 5 * 6 + 3 * 6);
    const TileVisits visits = countRuns(kept, kept.row_borders, 2, 4);
    CHECK(visits.visited == 3 * 2 + 2 * 2); // tiles of a row times steps over its spans
    CHECK(visits.all == 4 * 2);
    CHECK(visits.pairs == 8);

    // Rows of one query each, two of which are one row of the list: their spans together.
    kept.row_borders = {0, 1, 2, 3};
    kept.spans = {{{0, 3}}, {{2, 6}}, {{7, 8}}};
    const std::vector<uint32_t> list_rows = {0, 2, 3};
    CHECK(countRuns(kept, list_rows, 2, 4).visited == 2 + 1);
    CHECK(countRuns(kept, list_rows, 1, 8).visited == 2 + 1);
}

TEST_CASE("boxes of a video: ragged ones at its borders, text in runs, dilated ones by residue")
{
    const Tiling ragged = boxTiling({1, 2, 5, 0, 0}, {1, 2, 2}, {1, 1, 1});
    CHECK(ragged.tile == std::vector<uint32_t>{0, 0, 1, 1, 2, 0, 0, 1, 1, 2});
    CHECK(ragged.count == 3);
    CHECK(ragged.tokens == 4);
    const Tiling text = boxTiling({1, 1, 3, 5, 1}, {1, 1, 4}, {1, 1, 1});
    CHECK(text.tile == std::vector<uint32_t>{0, 0, 0, 0, 1, 2, 2, 2, 3});
    const Tiling dilated = boxTiling({1, 1, 7, 0, 0}, {1, 1, 2}, {1, 1, 3});
    CHECK(dilated.tile == std::vector<uint32_t>{0, 2, 3, 0, 2, 3, 1});
    CHECK(dilated.count == 4);

    host::Attention::Kept kept;
    kept.heads = 2;
    kept.row_borders = {0, 2, 10};
    kept.key_borders = {0, 10};
    for (uint32_t i = 0; i < 10; ++i)
    {
        kept.q_order.push_back(i);
        kept.k_order.push_back(9 - i); // the last token first
    }
    kept.spans = {{{0, 1}}, {{4, 6}}, {}, {{0, 10}}};
    // Head 0: tile 0 keeps key 9 in tile 2; tiles 0, 1 and 2 keep keys 5 and 4, in 0 and 2.
    // Head 1: the queries 2 .. 9 lie in all tiles and keep all.
    const TileVisits visits = countBoxes(kept, ragged, ragged);
    CHECK(visits.visited == 3 * 2 + 3 * 3);
    CHECK(visits.all == 2 * 3 * 3);
    CHECK_THROWS_AS(countBoxes(kept, {{}, 1u << 17, 1}, {{}, (1u << 16) + 1, 1}), InputError);
}

TEST_CASE("neighborhood: tiles counted by hand, and NATTEN's windows that waste nothing")
{
    const Folder folder("test_simulate_files");
    const Wanted wanted[] = {
        // Windows begin at 0 0 1 2 3 4 5 5: two, three, three and two tiles of two tokens.
        {"--grid 1x1x8 --set window=1x1x3 --tiles 1x1x2/1x1x2", 10, 16, 24, false},
        // 0 for 16 queries and 12 for 14: tiles 0 .. 2 and 1 .. 3.
        {"--grid 1x1x30 --set window=1x1x18 --set stride=1x1x16 --tiles 1x1x8/1x1x8", 12, 16,
         30 * 18, false},
        // Classes of four tokens, begins 0 0 1 1: both tiles of the class.
        {"--grid 1x1x8 --set window=1x1x3 --set dilation=1x1x2 --tiles 1x1x2/1x1x2", 8, 16, 24,
         false},
        {"--grid 8x1x1 --set window=3x1x1 --set causal=t --tiles 2x1x1/2x1x1", 7, 16, 21, false},
        // Whole tiles: the bound is reached.
        {"--grid 4x8x8 --set window=2x4x4 --set stride=2x4x4 --tiles 2x4x4/2x4x4", 8, 64, 8192,
         true},
        {"--grid 4x8x8 --set window=2x4x4 --set stride=2x4x4 --tiles 1x2x2/2x4x4", 64, 512, 8192,
         true},
        // As the authors took it for HunyuanVideo: 9 of 15, 3 of 6 and 3 of 10 tiles.
        {"--grid 30x48x80 --set window=18x24x24 --set stride=16x8x8 --tiles 2x8x8/2x8x8", 900 * 81,
         900 * 900, uint64_t(115200) * 10368, true},
        {"--grid 1x1x8 --text-before 3 --set window=1x1x8 --tiles 1x1x4/1x1x4", 9, 9, 121, false}};
    for (const Wanted& w : wanted)
    {
        const std::string arguments = std::string("--method neighborhood ") + w.arguments;
        const Json report = simulate(folder, arguments);
        CAPTURE(arguments);
        const Json& row = report["tiles"][0];
        const double q_tiles = row["q_tiles"].get<double>();
        CHECK(report["kept_pairs"] == w.kept_pairs);
        CHECK(row["visited_per_q_tile"].get<double>() * q_tiles == doctest::Approx(w.visited));
        CHECK(row["k_tiles"].get<double>() * q_tiles == w.all);
        CHECK(row["speedup"].get<double>() == doctest::Approx(w.all / w.visited));
        CHECK(row["is_perfect"] == w.is_perfect);
        if (w.is_perfect)
            CHECK(row["speedup"].get<double>() ==
                  doctest::Approx(report["flop_bound"].get<double>()));
    }
}

TEST_CASE("any method: rows of its list, tokens and text, windows within a row, wrong arguments")
{
    const Folder folder("test_simulate_files");
    // Two tiles of 32 tokens, each keeps itself; a query tile of 16 wastes nothing, one of 64 half.
    const std::string tiles = "--method sliding_tile --grid 2x4x8 --set tile=1x4x8 "
                              "--set window=1x1x1 --heads 3 ";
    const Json report = simulate(folder, tiles + "--tiles 16/32 --tiles 64/32 --tiles 64/64");
    CHECK(report["heads"] == 3);
    CHECK(report["density"] == 0.5);
    CHECK(report["tiles"][0]["speedup"] == 2.0);
    CHECK(report["tiles"][0]["is_perfect"] == true);
    CHECK(report["tiles"][1]["visited_per_q_tile"] == 2.0); // a tile in each of two rows
    CHECK(report["tiles"][1]["used"] == 0.5);
    CHECK(report["tiles"][2]["used"] == 0.25);
    CHECK(simulate(folder, tiles)["tiles"].size() == 4);
    // Ten queries in rows of four that keep the keys up to themselves: 4, 8 and 10 keys.
    const Json causal = simulate(folder, "--method causal --tokens 10 --set block=4 --tiles 4/4");
    CHECK(causal["kept_pairs"] == 55);
    CHECK(causal["tiles"][0]["visited_per_q_tile"].get<double>() == doctest::Approx(6.0 / 3));
    const Json chosen = simulate(folder, "--method block_topk --set tile=2x2x2 --tiles 2x2x2/2x2x2 "
                                         "--set keep_ratio=0.3 " +
                                             writeSmallQk(folder.path));
    CHECK(chosen["heads"] == 2);
    CHECK(chosen["tiles"][0]["speedup"].get<double>() > 1);
    const Ran table = runTool(folder.path, "simulate " + tiles + "--tiles 1x4x8/1x4x8");
    CHECK(table.status == 0);
    CHECK(contains(table.out, "1.0 of 2"));
    CHECK(contains(table.out, "kept whole"));

    checkToolRefuses(folder.path, "simulate " + tiles + "--tiles 64", "--tiles is '64'");
    checkToolRefuses(folder.path, "simulate " + tiles + "--tiles 2x2/2x2", "--tiles is '2x2/2x2'");
    checkToolRefuses(folder.path, "simulate " + tiles + "--tiles 64/0", "--tiles is '0'");
    checkToolRefuses(folder.path, "simulate " + tiles + "--tiles 64/2097152", "1048576 tokens");
    checkToolRefuses(folder.path, "simulate " + tiles + "--tiles 1x1x1/65536x65536x1", "1048576");
    checkToolRefuses(folder.path, "simulate --method causal --tokens 9 --tiles 1x2x2/1x2x2",
                     "need --grid");
    checkToolRefuses(folder.path, "simulate --method block_topk --grid 2x4x8", "--q and --k");
    checkToolRefuses(folder.path,
                     "simulate --method sparse_vdit --set heads=skip --grid 2x4x8", "nothing", 1);
}

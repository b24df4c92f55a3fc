// simulate.cpp - `lacuna simulate`: the speed-up that a kernel's tiles leave of what a method skips.
//
// SPDX-License-Identifier: Apache-2.0
#include "method_options.h"
#include "registry.h"
#include "selection.h"
#include "tile_visits.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

namespace lacuna::tool
{
namespace
{

using Json = nlohmann::json;

struct Flags
{
    SelectionFlags selection;
    std::vector<std::string> tiles = {"16/64", "32/64", "64/64", "128/64"};
    bool is_json = false;
};

// Tiles of queries and keys: runs of the list, or boxes of the video.
struct TilePair
{
    std::string q_text, k_text;
    std::vector<uint32_t> q, k; // one number or three
};

TilePair parseTiles(const std::string& text)
{
    const auto numbers = [](const std::string& part)
    {
        return size_t(std::count(part.begin(), part.end(), 'x')) + 1;
    };
    const size_t slash = std::min(text.find('/'), text.size());
    TilePair pair = {text.substr(0, slash), text.substr(std::min(slash + 1, text.size())), {}, {}};
    const size_t count = numbers(pair.q_text);
    if (slash == text.size() || count != numbers(pair.k_text) || (count != 1 && count != 3))
        throw InputError(fmt::format("--tiles is '{}', expected QUERIES/KEYS of the list, as in "
                                     "64/64, or of the video, as in 2x8x8/2x8x8",
                                     text));
    constexpr uint64_t kMost = 1 << 20;
    for (const auto& [part, sizes] : {std::pair(&pair.q_text, &pair.q), {&pair.k_text, &pair.k}})
    {
        *sizes = parseSizes(*part, count, "--tiles");
        uint64_t tokens = 1;
        for (const uint32_t size : *sizes)
            tokens = std::min(tokens * size, kMost + 1);
        if (tokens > kMost)
            throw InputError(fmt::format("--tiles is '{}', expected at most {} tokens in a tile",
                                         text, kMost));
    }
    return pair;
}

// That of `neighborhood`: its tiles are boxes of tokens that see each other.
Box dilationOf(const MethodFlags& method)
{
    std::string value = "1x1x1";
    for (const Json& option : registryRow(method.method)["options"])
        if (option["name"] == "dilation" && option["type"] == "size3")
            value = option["default"];
    for (const std::string& setting : method.settings)
        if (setting.starts_with("dilation="))
            value = parseSetting(setting, "--set").second;
    const std::vector<uint32_t> sizes = parseSizes(value, 3, "dilation");
    return {sizes[0], sizes[1], sizes[2]};
}

void requireVideo(const host::Attention::Kept& kept, const LacunaVideoGrid& grid)
{
    const uint64_t video = uint64_t(grid.frames) * grid.height * grid.width;
    const uint64_t tokens = video + grid.text_before + grid.text_after;
    if (video == 0)
        throw InputError("--tiles of a video need --grid");
    if (kept.queries() != tokens || kept.keys() != tokens)
        throw InputError(fmt::format("--tiles of a video need queries and keys that are its {} "
                                     "tokens, there are {} and {}",
                                     tokens, kept.queries(), kept.keys()));
}

TileVisits count(const TilePair& tiles, const host::Attention::Kept& kept, const LacunaList& list,
                 const LacunaVideoGrid& grid, const Box& dilation)
{
    if (tiles.q.size() == 1)
        return countRuns(kept, {list.row_borders, list.row_count + 1}, tiles.q[0], tiles.k[0]);
    requireVideo(kept, grid);
    return countBoxes(kept, boxTiling(grid, {tiles.q[0], tiles.q[1], tiles.q[2]}, dilation),
                      boxTiling(grid, {tiles.k[0], tiles.k[1], tiles.k[2]}, dilation));
}

Json makeReport(const Flags& flags, const host::Attention::Kept& kept,
                const std::vector<TilePair>& tiles, const std::vector<TileVisits>& visits)
{
    const uint64_t pairs = keptPairs(kept);
    const double density = kept.density();
    Json json = {{"method", flags.selection.method.method},
                 {"settings", flags.selection.method.settings},
                 {"heads", kept.heads},
                 {"queries", kept.queries()},
                 {"keys", kept.keys()},
                 {"kept_pairs", pairs},
                 {"density", density},
                 {"flop_bound", 1 / density}};
    for (size_t i = 0; i < tiles.size(); ++i)
    {
        const TileVisits& v = visits[i];
        json["tiles"].push_back({{"q_tile", tiles[i].q_text},
                                 {"k_tile", tiles[i].k_text},
                                 {"q_tiles", v.q_tiles / kept.heads},
                                 {"k_tiles", v.all / v.q_tiles},
                                 {"visited_per_q_tile", double(v.visited) / double(v.q_tiles)},
                                 {"visited", v.share()},
                                 {"speedup", v.speedup()},
                                 {"used", double(pairs) / double(v.visited) / double(v.pairs)},
                                 {"is_perfect", v.visited * v.pairs == pairs}});
    }
    return json;
}

void print(const Flags& flags, const Json& report)
{
    std::string name = flags.selection.method.method;
    for (const std::string& setting : flags.selection.method.settings)
        name += " " + setting;
    fmt::print("{}: {} queries, {} keys, density {:.4f}: at most {:.2f}x dense\n\n", name,
               report["queries"].get<uint32_t>(), report["keys"].get<uint32_t>(),
               report["density"].get<double>(), report["flop_bound"].get<double>());
    fmt::print("{:>10} {:>10} {:>17} {:>8} {:>9} {:>7}\n", "q tile", "k tile", "visits each",
               "share", "speed-up", "used");
    for (const Json& row : report["tiles"])
        fmt::print("{:>10} {:>10} {:>17} {:>8.4f} {:>8.2f}x {:>7.4f}{}\n",
                   row["q_tile"].get<std::string>(), row["k_tile"].get<std::string>(),
                   fmt::format("{:.1f} of {}", row["visited_per_q_tile"].get<double>(),
                               row["k_tiles"].get<uint64_t>()),
                   row["visited"].get<double>(), row["speedup"].get<double>(),
                   row["used"].get<double>(),
                   row["is_perfect"].get<bool>() ? "  every visited tile is kept whole" : "");
}

void run(Flags& flags)
{
    std::vector<TilePair> tiles;
    for (const std::string& text : flags.tiles)
        tiles.push_back(parseTiles(text));
    const Selection selection(flags.selection);
    const Box dilation = dilationOf(flags.selection.method);

    host::Device device = flags.selection.device.open();
    const host::Attention attention = selection.select(device);
    const host::Attention::Kept kept = attention.kept();
    if (keptPairs(kept) == 0)
        throw CheckFailed("the method keeps nothing: there is no speed-up to tell");
    LacunaList list = {};
    device.check(lacunaGetPlanList(attention.plan(), &list));
    std::vector<TileVisits> visits;
    for (const TilePair& pair : tiles)
        visits.push_back(count(pair, kept, list, selection.desc().grid, dilation));
    flags.selection.device.checkValidation(device);
    const Json report = makeReport(flags, kept, tiles, visits);
    if (flags.is_json)
        fmt::print("{}\n", report.dump(2));
    else
        print(flags, report);
}

} // namespace

void addSimulate(CLI::App& app)
{
    CLI::App* const command =
        app.add_subcommand("simulate", "how much of what a method skips a kernel's tiles can skip");
    const auto flags = std::make_shared<Flags>();
    flags->selection.add(*command);
    command
        ->add_option("--tiles", flags->tiles,
                     "runs of the list, as Lacuna's kernels walk it: 64/64 (default: four of them), "
                     "or boxes of the video, as NATTEN's: 2x8x8/2x8x8; may be repeated")
        ->type_name("QUERIES/KEYS");
    command->add_flag("--json", flags->is_json, "the report as one JSON object");
    command->callback([flags] { run(*flags); });
}

} // namespace lacuna::tool

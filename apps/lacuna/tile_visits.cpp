// tile_visits.cpp - counts the pairs of tiles that a list of kept keys touches.
//
// SPDX-License-Identifier: Apache-2.0
#include "tile_visits.h"

#include "errors.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

namespace lacuna::tool
{
namespace
{

using Kept = host::Attention::Kept;
using Span = host::Attention::Span;

uint64_t divideUp(uint64_t a, uint64_t b)
{
    return (a + b - 1) / b;
}

// The spans of the rows first .. last - 1 of a head together, ascending and apart from each other.
std::vector<Span> spansOf(const Kept& kept, size_t head, size_t first, size_t last)
{
    const size_t rows = kept.row_borders.size() - 1;
    if (last - first == 1)
        return kept.spans[head * rows + first];
    std::vector<Span> all;
    for (size_t row = first; row < last; ++row)
        all.insert(all.end(), kept.spans[head * rows + row].begin(),
                   kept.spans[head * rows + row].end());
    std::sort(all.begin(), all.end(),
              [](const Span& a, const Span& b) { return a.begin < b.begin; });
    std::vector<Span> apart;
    for (const Span& span : all)
        if (!apart.empty() && span.begin <= apart.back().end)
            apart.back().end = std::max(apart.back().end, span.end);
        else
            apart.push_back(span);
    return apart;
}

// Tiles along one axis, residue classes behind each other.
struct AxisTiles
{
    std::vector<uint32_t> tile; // of each coordinate
    uint32_t count = 0;
};

AxisTiles axisTiles(uint32_t length, uint32_t size, uint32_t dilation)
{
    AxisTiles axis;
    axis.tile.resize(length);
    for (uint32_t residue = 0; residue < std::min(dilation, length); ++residue)
    {
        const uint32_t tokens = uint32_t(divideUp(length - residue, dilation));
        for (uint32_t u = 0; u < tokens; ++u)
            axis.tile[residue + u * dilation] = axis.count + u / size;
        axis.count += uint32_t(divideUp(tokens, size));
    }
    return axis;
}

// Which tile lies at each position of a head, and the first position behind it with another one.
struct Positions
{
    std::vector<uint32_t> tile, end;

    Positions(const Kept& kept, const Tiling& keys, uint32_t head)
        : tile(kept.keys()), end(kept.keys())
    {
        for (uint32_t i = kept.keys(); i-- > 0;)
        {
            tile[i] = keys.tile[kept.keyToken(head, i)];
            end[i] = i + 1 < tile.size() && tile[i + 1] == tile[i] ? end[i + 1] : i + 1;
        }
    }
};

// The visited pairs of one head.
uint64_t countHead(const Kept& kept, const Tiling& queries, const Tiling& keys, uint32_t head)
{
    const size_t rows = kept.row_borders.size() - 1, words = divideUp(keys.count, 64);
    const Positions positions(kept, keys, head);
    std::vector<uint64_t> visited(queries.count * words), row_tiles(words);
    for (size_t row = 0; row < rows; ++row)
    {
        std::fill(row_tiles.begin(), row_tiles.end(), uint64_t(0));
        for (const Span& span : kept.spans[head * rows + row])
            for (uint32_t key = span.begin; key < span.end; key = positions.end[key])
                row_tiles[positions.tile[key] / 64] |= uint64_t(1) << positions.tile[key] % 64;
        uint32_t last = queries.count;
        for (uint32_t i = kept.row_borders[row]; i < kept.row_borders[row + 1]; ++i)
        {
            const uint32_t tile = queries.tile[kept.queryToken(head, i)];
            for (size_t word = 0; word < words && tile != last; ++word)
                visited[tile * words + word] |= row_tiles[word];
            last = tile;
        }
    }
    uint64_t count = 0;
    for (const uint64_t word : visited)
        count += uint64_t(std::popcount(word));
    return count;
}

} // namespace

TileVisits countRuns(const Kept& kept, std::span<const uint32_t> list_rows, uint32_t q_run,
                     uint32_t k_run)
{
    TileVisits visits;
    visits.pairs = uint64_t(q_run) * k_run;
    visits.q_tiles = kept.heads * divideUp(kept.queries(), q_run);
    visits.all = visits.q_tiles * divideUp(kept.keys(), k_run);
    for (size_t head = 0; head < kept.heads; ++head)
        for (size_t row = 0, first = 0; row + 1 < list_rows.size(); ++row)
        {
            size_t last = first;
            while (kept.row_borders[last] < list_rows[row + 1])
                ++last;
            uint64_t steps = 0;
            for (const Span& span : spansOf(kept, head, first, last))
                steps += divideUp(span.end - span.begin, k_run);
            visits.visited += steps * divideUp(list_rows[row + 1] - list_rows[row], q_run);
            first = last;
        }
    return visits;
}

Tiling boxTiling(const LacunaVideoGrid& grid, const Box& box, const Box& dilation)
{
    const AxisTiles t = axisTiles(grid.frames, box[0], dilation[0]),
                    h = axisTiles(grid.height, box[1], dilation[1]),
                    w = axisTiles(grid.width, box[2], dilation[2]);
    Tiling tiling;
    tiling.tokens = box[0] * box[1] * box[2];
    const auto addText = [&](uint32_t tokens)
    {
        for (uint32_t i = 0; i < tokens; ++i)
            tiling.tile.push_back(tiling.count + i / tiling.tokens);
        tiling.count += uint32_t(divideUp(tokens, tiling.tokens));
    };
    addText(grid.text_before);
    for (const uint32_t tile_t : t.tile)
        for (const uint32_t tile_h : h.tile)
            for (const uint32_t tile_w : w.tile)
                tiling.tile.push_back(tiling.count + (tile_t * h.count + tile_h) * w.count +
                                      tile_w);
    tiling.count += t.count * h.count * w.count;
    addText(grid.text_after);
    return tiling;
}

TileVisits countBoxes(const Kept& kept, const Tiling& queries, const Tiling& keys)
{
    constexpr uint64_t kMaxPairs = uint64_t(1) << 33; // a bit each
    const uint64_t all = uint64_t(queries.count) * keys.count;
    if (all > kMaxPairs)
        throw InputError(fmt::format("these are {} x {} tiles, expected at most {} pairs of them: "
                                     "take larger ones",
                                     queries.count, keys.count, kMaxPairs));
    TileVisits visits;
    visits.pairs = uint64_t(queries.tokens) * keys.tokens;
    visits.q_tiles = uint64_t(kept.heads) * queries.count;
    visits.all = kept.heads * all;
    for (uint32_t head = 0; head < kept.heads; ++head)
    {
        throwIfInterrupted();
        visits.visited += countHead(kept, queries, keys, head);
    }
    return visits;
}

uint64_t keptPairs(const Kept& kept)
{
    const size_t rows = kept.row_borders.size() - 1;
    uint64_t pairs = 0;
    for (size_t i = 0; i < kept.spans.size(); ++i)
        for (const Span& span : kept.spans[i])
            pairs += uint64_t(kept.row_borders[i % rows + 1] - kept.row_borders[i % rows]) *
                     (span.end - span.begin);
    return pairs;
}

} // namespace lacuna::tool

// tile_windows.cpp - the keys of boxes of tiles, one span per row of tiles.
//
// SPDX-License-Identifier: Apache-2.0

#include "tile_windows.h"

#include <algorithm>

namespace lacuna
{
namespace
{

struct TileRange
{
    uint32_t begin, end;
};

// The tiles that `tile` keeps on one axis of `tiles` tiles.
TileRange keptTiles(uint32_t tile, uint32_t tiles, uint32_t window)
{
    const uint32_t radius = window / 2;
    if (2 * radius + 1 >= tiles)
        return {0, tiles};
    const uint32_t centre = std::clamp(tile, radius, tiles - 1 - radius);
    return {centre - radius, centre + radius + 1};
}

} // namespace

KeySpans tileWindowSpans(const VideoGrid& grid, const TileOrder& order, const Size3& window)
{
    const uint32_t tokens = uint32_t(grid.tokens());
    KeySpans spans;
    spans.rows = order.blocks();
    if (grid.text_before > 0)
        spans.append({{0, tokens}});

    std::vector<KeySpan> row;
    for (uint32_t i = 0; i < order.video_blocks; ++i)
    {
        const Size3 tile = order.tileAt(i);
        const TileRange kept_t = keptTiles(tile.t, order.tiles.t, window.t);
        const TileRange kept_h = keptTiles(tile.h, order.tiles.h, window.h);
        const TileRange kept_w = keptTiles(tile.w, order.tiles.w, window.w);
        row.clear();
        if (grid.text_before > 0)
            row.push_back({0, grid.text_before});
        for (uint32_t t = kept_t.begin; t < kept_t.end; ++t)
            for (uint32_t h = kept_h.begin; h < kept_h.end; ++h)
                row.push_back({order.borders[order.tileBlock(t, h, kept_w.begin)],
                               order.borders[order.tileBlock(t, h, kept_w.end - 1) + 1]});
        if (grid.text_after > 0)
            row.push_back({tokens - grid.text_after, tokens});
        spans.append(row);
    }

    if (grid.text_after > 0)
        spans.append({{0, tokens}});
    return spans;
}

} // namespace lacuna

// sliding_tile.cpp - Sliding Tile Attention: every tile of the video keeps a box of tiles around it, of a size that may
// differ from head to head.
//
// SPDX-License-Identifier: Apache-2.0
//
//   tiles of one axis    0   1   2   3   4   5       window 3
//   tile 0 keeps        [x   x   x]                  at a border the window is moved inward,
//   tile 3 keeps                [x   x   x]          so that every tile keeps the same number
//   tile 5 keeps                    [x   x   x]
//
// Idea     attention of video models is local in time and space. Whole tiles are kept or dropped, so that no attention
//          block is half used. Per axis with n tiles: centre c = clamp(tile, k/2, n - 1 - k/2), and tiles with
//          |key - c| <= k/2 are kept; the whole axis if 2 * (k/2) + 1 >= n. Text queries keep every key, text keys are
//          kept by every query.
// Paper    arXiv 2502.04507; with odd k it is GNA / NATTEN with window k * tile and stride tile.
//          Their search writes a window for each step, layer and head, the one whose output is nearest to that of full
//          attention; `window` takes the table of one layer in one step: 3x3x5*2,1x6x10. A window of all tiles is full.
// Cost     product over the axes of min(2 * (k/2) + 1, n) / n of dense, the mean over the heads.
// Passes   gather V, gather K, attend; the list is made on the host, one for all heads when their windows are the same
// Limits   An even k acts like k + 1, as in the authors' code. Their code needs grids that are multiples of the tile,
//          and pads the text; here border tiles hold just the tokens that exist.

#include "method.h"

#include "../data/tile_windows.h"

#include <algorithm>

namespace lacuna
{
namespace
{

enum
{
    kTile,
    kWindow
};

const OptionDesc kOptions[] = {
    {"tile", OptionType::Size3, "4x4x4", 1, 64, "tokens of one tile: frames x rows x columns"},
    {"window", OptionType::PerHeadSize3, "3x3x3", 1, 1024, "tiles kept around each tile, per axis"},
};

std::string unsupportedReason(const Problem& p, const Options&)
{
    return p.grid.empty() ? "needs a video grid" : "";
}

Built build(PlanBuilder& b, const Problem& p, const Options& options)
{
    const TileOrder order = tileOrder(p.grid, options.size3(kTile));
    std::vector<KeySpans> lists; // one for each of the windows
    for (const OptionValue::Entry& entry : options.entries(kWindow))
        lists.push_back(tileWindowSpans(p.grid, order, entry.size));
    if (lists.size() == 1)
        return attendSpans(b, lists[0], order, order);

    KeySpans spans;
    spans.rows = order.blocks();
    spans.heads = p.heads();
    for (uint32_t slice = 0; slice < p.heads(); ++slice)
        spans.appendHead(lists[options.choice(kWindow, slice % p.q_heads)]);
    return attendSpans(b, spans, order, order);
}

// The definition, token by token, from (t, h, w) coordinates.
bool keepsOnAxis(uint32_t query, uint32_t key, uint32_t length, uint32_t tile, uint32_t window)
{
    const int64_t tiles = (int64_t(length) + tile - 1) / tile;
    const int64_t query_tile = query / tile, key_tile = key / tile, half = window / 2;
    if (2 * half + 1 >= tiles)
        return true;
    const int64_t centre = std::min(std::max(query_tile, half), tiles - 1 - half);
    return std::abs(key_tile - centre) <= half;
}

bool keeps(const VideoGrid& grid, const Size3& tile, const Size3& window, uint32_t query, uint32_t key)
{
    const auto isText = [&](uint32_t token)
    { return token < grid.text_before || token >= grid.text_before + grid.size.volume(); };
    if (isText(query) || isText(key))
        return true;

    const uint32_t rows = grid.size.h, columns = grid.size.w;
    const uint32_t q = query - grid.text_before, k = key - grid.text_before;
    return keepsOnAxis(q / (rows * columns), k / (rows * columns), grid.size.t, tile.t, window.t) &&
           keepsOnAxis(q / columns % rows, k / columns % rows, rows, tile.h, window.h) &&
           keepsOnAxis(q % columns, k % columns, columns, tile.w, window.w);
}

void reference(const Problem& p, const Options& options, const ReferenceInputs&, uint32_t first_query,
               uint32_t query_count, uint8_t* mask)
{
    for (uint32_t slice = 0; slice < p.heads(); ++slice)
    {
        const uint32_t entry = options.choice(kWindow, slice % p.q_heads);
        const Size3 tile = options.size3(kTile), window = options.entries(kWindow)[entry].size;
        for (uint32_t i = 0; i < query_count; ++i)
            for (uint32_t key = 0; key < p.k_len; ++key)
                mask[(uint64_t(slice) * query_count + i) * p.k_len + key] =
                    keeps(p.grid, tile, window, first_query + i, key);
    }
}

} // namespace

extern const Method kSlidingTile;
const Method kSlidingTile = {
    .name = "sliding_tile",
    .title = "a box of tiles around each tile of the video",
    .paper = "arXiv 2502.04507, Fast Video Generation with Sliding Tile Attention",
    .kind = "static",
    .options = kOptions,
    .unsupportedReason = unsupportedReason,
    .build = build,
    .reference = reference,
};

} // namespace lacuna

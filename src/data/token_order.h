// token_order.h - a permutation of the tokens, and the borders of the blocks in it.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "video_grid.h"

#include <cstdint>
#include <vector>

namespace lacuna
{

// perm[position in the method's order] = the caller's token; empty is the identity. Always a
// bijection: ragged blocks are expressed by their borders, never by padding tokens.
// borders[i] .. borders[i + 1] are the positions of block i; ascending, from 0 to the number of
// tokens, no empty block. With an order for each query head perm[head * tokens + position] is the
// token, and the borders are the same for all heads.
struct TokenOrder
{
    std::vector<uint32_t> perm;
    std::vector<uint32_t> borders;
    uint32_t heads = 1; // orders in perm: one for all heads, or one for each query head

    uint32_t blocks() const { return uint32_t(borders.size()) - 1; }
    uint32_t blockSize(uint32_t i) const { return borders[i + 1] - borders[i]; }
    uint32_t tokens() const { return borders.back(); }
    // Of the first head, where each has its order.
    uint32_t token(uint32_t position) const { return perm.empty() ? position : perm[position]; }
};

// Raster order in blocks of `block` tokens, the last one smaller.
TokenOrder rasterOrder(uint32_t tokens, uint32_t block);

// A video in blocks. Text before and text after are one block each, at the ends.
struct VideoOrder : TokenOrder
{
    uint32_t first_block = 0;  // of the video: 1 when there is text before, else 0
    uint32_t video_blocks = 0; // without the text
};

// The video's tokens in the order of `curve`, cut into blocks of `block` tokens, the last one
// smaller. curve[i] is a token counted within the video in raster order; an empty curve is raster
// order.
VideoOrder videoOrder(const VideoGrid& grid, const std::vector<uint32_t>& curve, uint32_t block);
// The same with blocks of the given sizes, which add up to the video.
VideoOrder videoOrder(const VideoGrid& grid, const std::vector<uint32_t>& curve,
                      const std::vector<uint32_t>& sizes);
// The same for a sequence without a grid.
VideoOrder sequenceOrder(uint32_t tokens, uint32_t block);
// The same, cut evenly into `parts` blocks between `before` and `after` tokens, which are one block
// each: block i holds the tokens j of the n between with floor(j * parts / n) = i.
VideoOrder evenOrder(uint32_t tokens, uint32_t parts, uint32_t before, uint32_t after);

// An order for each query head: orders[choices[head]]. The orders have the same blocks. Where all
// heads chose the same it is that one, for all heads.
VideoOrder perHeadOrder(const std::vector<VideoOrder>& orders,
                        const std::vector<uint32_t>& choices);

// Tiles in raster order, raster inside each; border tiles hold only their real tokens.
struct TileOrder : VideoOrder
{
    Size3 tile;  // clipped to the grid
    Size3 tiles; // tiles per dimension

    uint32_t tileBlock(uint32_t t, uint32_t h, uint32_t w) const
    {
        return first_block + (t * tiles.h + h) * tiles.w + w;
    }
    Size3 tileAt(uint32_t i) const // coordinates of the i-th tile
    {
        return {i / (tiles.h * tiles.w), i / tiles.w % tiles.h, i % tiles.w};
    }
};
TileOrder tileOrder(const VideoGrid& grid, const Size3& tile);

} // namespace lacuna

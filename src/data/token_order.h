// token_order.h - a permutation of the tokens, and the borders of the blocks in it.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "video_grid.h"

#include <cstdint>
#include <vector>

namespace lacuna
{

// perm[position in the method's order] = the caller's token; empty is the identity. Always a bijection: ragged blocks
// are expressed by their borders, never by padding tokens.
// borders[i] .. borders[i + 1] are the positions of block i; ascending, from 0 to the number of tokens, no empty block.
struct TokenOrder
{
    std::vector<uint32_t> perm;
    std::vector<uint32_t> borders;

    uint32_t blocks() const { return uint32_t(borders.size()) - 1; }
    uint32_t blockSize(uint32_t i) const { return borders[i + 1] - borders[i]; }
    uint32_t token(uint32_t position) const { return perm.empty() ? position : perm[position]; }
};

// Raster order in blocks of `block` tokens, the last one smaller.
TokenOrder rasterOrder(uint32_t tokens, uint32_t block);

// Tiles in raster order, raster inside each; border tiles hold only their real tokens. Text before and text after are
// one block each, at the ends. `first_tile` is the index of the first video block.
struct TileOrder : TokenOrder
{
    Size3 tile;            // clipped to the grid
    Size3 tiles;           // tiles per dimension
    uint32_t first_tile = 0; // 1 when there is text before, else 0

    uint32_t tileBlock(uint32_t t, uint32_t h, uint32_t w) const
    {
        return first_tile + (t * tiles.h + h) * tiles.w + w;
    }
};
TileOrder tileOrder(const VideoGrid& grid, const Size3& tile);

} // namespace lacuna

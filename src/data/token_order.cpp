// token_order.cpp - raster order in blocks, and 3-D tile order with ragged border tiles.
//
// SPDX-License-Identifier: Apache-2.0

#include "token_order.h"

#include <algorithm>

namespace lacuna
{
namespace
{

uint32_t divideUp(uint32_t a, uint32_t b)
{
    return a / b + (a % b != 0);
}

} // namespace

TokenOrder rasterOrder(uint32_t tokens, uint32_t block)
{
    TokenOrder order;
    for (uint64_t begin = 0; begin < tokens; begin += block)
        order.borders.push_back(uint32_t(begin));
    order.borders.push_back(tokens);
    return order;
}

TileOrder tileOrder(const VideoGrid& grid, const Size3& tile)
{
    const Size3& size = grid.size;
    TileOrder order;
    order.tile = {std::min(tile.t, size.t), std::min(tile.h, size.h), std::min(tile.w, size.w)};
    order.tiles = {divideUp(size.t, order.tile.t), divideUp(size.h, order.tile.h),
                   divideUp(size.w, order.tile.w)};
    order.first_tile = grid.text_before > 0 ? 1 : 0;

    order.perm.reserve(grid.tokens());
    order.borders.push_back(0);
    const auto closeBlock = [&] { order.borders.push_back(uint32_t(order.perm.size())); };

    for (uint32_t token = 0; token < grid.text_before; ++token)
        order.perm.push_back(token);
    if (grid.text_before > 0)
        closeBlock();

    for (uint32_t t0 = 0; t0 < size.t; t0 += order.tile.t)
        for (uint32_t h0 = 0; h0 < size.h; h0 += order.tile.h)
            for (uint32_t w0 = 0; w0 < size.w; w0 += order.tile.w)
            {
                for (uint32_t t = t0; t < std::min(t0 + order.tile.t, size.t); ++t)
                    for (uint32_t h = h0; h < std::min(h0 + order.tile.h, size.h); ++h)
                        for (uint32_t w = w0; w < std::min(w0 + order.tile.w, size.w); ++w)
                            order.perm.push_back(grid.token(t, h, w));
                closeBlock();
            }

    const uint32_t text_after = uint32_t(grid.tokens()) - grid.text_after;
    for (uint32_t token = 0; token < grid.text_after; ++token)
        order.perm.push_back(text_after + token);
    if (grid.text_after > 0)
        closeBlock();
    if (std::is_sorted(order.perm.begin(), order.perm.end()))
        order.perm.clear(); // the identity: nothing to gather
    return order;
}

} // namespace lacuna

// token_order.cpp - raster order in blocks, a video along a curve, and 3-D tiles, ragged at
// borders.
//
// SPDX-License-Identifier: Apache-2.0

#include "token_order.h"

#include <algorithm>
#include <cstddef>
#include <numeric>

namespace lacuna
{
namespace
{

uint32_t divideUp(uint32_t a, uint32_t b)
{
    return a / b + (a % b != 0);
}

// Appends `tokens` tokens from `first` on as one block, if there are any.
void appendText(VideoOrder& order, uint32_t first, uint32_t tokens)
{
    for (uint32_t token = first; token < first + tokens; ++token)
        order.perm.push_back(token);
    if (tokens > 0)
        order.borders.push_back(uint32_t(order.perm.size()));
}

VideoOrder beginVideo(const VideoGrid& grid)
{
    VideoOrder order;
    order.perm.reserve(grid.tokens());
    order.borders.push_back(0);
    appendText(order, 0, grid.text_before);
    order.first_block = order.blocks();
    return order;
}

void endVideo(const VideoGrid& grid, VideoOrder& order)
{
    order.video_blocks = order.blocks() - order.first_block;
    appendText(order, uint32_t(grid.tokens()) - grid.text_after, grid.text_after);
    if (std::is_sorted(order.perm.begin(), order.perm.end()))
        order.perm.clear(); // the identity: nothing to gather
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

VideoOrder videoOrder(const VideoGrid& grid, const std::vector<uint32_t>& curve, uint32_t block)
{
    std::vector<uint32_t> sizes;
    for (uint64_t begin = 0; begin < grid.size.volume(); begin += block)
        sizes.push_back(uint32_t(std::min<uint64_t>(block, grid.size.volume() - begin)));
    return videoOrder(grid, curve, sizes);
}

VideoOrder videoOrder(const VideoGrid& grid, const std::vector<uint32_t>& curve,
                      const std::vector<uint32_t>& sizes)
{
    VideoOrder order = beginVideo(grid);
    uint32_t at = 0;
    for (const uint32_t size : sizes)
    {
        for (const uint32_t end = at + size; at < end; ++at)
            order.perm.push_back(grid.text_before + (curve.empty() ? at : curve[at]));
        order.borders.push_back(uint32_t(order.perm.size()));
    }
    endVideo(grid, order);
    return order;
}

VideoOrder sequenceOrder(uint32_t tokens, uint32_t block)
{
    return videoOrder({{1, 1, tokens}}, {}, block);
}

VideoOrder evenOrder(uint32_t tokens, uint32_t parts, uint32_t before, uint32_t after)
{
    const uint64_t between = tokens - before - after;
    const auto begin = [&](uint64_t part)
    {
        return uint32_t((part * between + parts - 1) / parts);
    };
    std::vector<uint32_t> sizes;
    for (uint32_t part = 0; part < parts; ++part)
        sizes.push_back(begin(part + 1) - begin(part));
    return videoOrder({{1, 1, uint32_t(between)}, before, after}, {}, sizes);
}

VideoOrder perHeadOrder(const std::vector<VideoOrder>& orders, const std::vector<uint32_t>& choices)
{
    VideoOrder result = orders[choices[0]];
    if (std::count(choices.begin(), choices.end(), choices[0]) == std::ptrdiff_t(choices.size()))
        return result;
    result.heads = uint32_t(choices.size());
    result.perm.clear();
    for (const uint32_t choice : choices)
    {
        const size_t begin = result.perm.size();
        result.perm.insert(result.perm.end(), orders[choice].perm.begin(),
                           orders[choice].perm.end());
        if (orders[choice].perm.empty())
        {
            result.perm.resize(begin + result.tokens());
            std::iota(result.perm.begin() + std::ptrdiff_t(begin), result.perm.end(), 0u);
        }
    }
    return result;
}

TileOrder tileOrder(const VideoGrid& grid, const Size3& tile)
{
    const Size3& size = grid.size;
    TileOrder order = {beginVideo(grid), {}, {}};
    order.tile = {std::min(tile.t, size.t), std::min(tile.h, size.h), std::min(tile.w, size.w)};
    order.tiles = {divideUp(size.t, order.tile.t), divideUp(size.h, order.tile.h),
                   divideUp(size.w, order.tile.w)};

    for (uint32_t t0 = 0; t0 < size.t; t0 += order.tile.t)
        for (uint32_t h0 = 0; h0 < size.h; h0 += order.tile.h)
            for (uint32_t w0 = 0; w0 < size.w; w0 += order.tile.w)
            {
                for (uint32_t t = t0; t < std::min(t0 + order.tile.t, size.t); ++t)
                    for (uint32_t h = h0; h < std::min(h0 + order.tile.h, size.h); ++h)
                        for (uint32_t w = w0; w < std::min(w0 + order.tile.w, size.w); ++w)
                            order.perm.push_back(grid.token(t, h, w));
                order.borders.push_back(uint32_t(order.perm.size()));
            }
    endVideo(grid, order);
    return order;
}

} // namespace lacuna

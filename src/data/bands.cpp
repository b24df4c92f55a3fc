// bands.cpp - bands of keys in raster and in token-major order as spans of tokens in raster order.
//
// SPDX-License-Identifier: Apache-2.0

#include "bands.h"

#include <algorithm>

namespace lacuna
{
namespace
{

int64_t floorDivide(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

// Ascending, without overlaps.
std::vector<KeySpan> united(std::vector<KeySpan> spans)
{
    std::sort(spans.begin(), spans.end(),
              [](const KeySpan& a, const KeySpan& b) { return a.begin < b.begin; });
    std::vector<KeySpan> result;
    for (const KeySpan& span : spans)
    {
        if (!result.empty() && span.begin <= result.back().end)
            result.back().end = std::max(result.back().end, span.end);
        else
            result.push_back(span);
    }
    return result;
}

} // namespace

VideoOrder frameBlocks(const VideoGrid& grid, uint32_t block)
{
    const uint32_t frame = grid.size.h * grid.size.w;
    std::vector<uint32_t> sizes;
    for (uint32_t t = 0; t < grid.size.t; ++t)
        for (uint32_t rest = frame; rest > 0; rest -= sizes.back())
            sizes.push_back(std::min(block, rest));
    return videoOrder(grid, {}, sizes);
}

KeySpan rasterBand(const Size3& size, uint32_t begin, uint32_t end, uint64_t half_width)
{
    const uint64_t first = begin - std::min<uint64_t>(begin, half_width);
    return {uint32_t(first), uint32_t(std::min<uint64_t>(size.volume(), end + half_width))};
}

std::vector<KeySpan> tokenMajorBand(const Size3& size, uint32_t begin, uint32_t end,
                                    uint64_t half_width)
{
    const int64_t frames = size.t, pixels = int64_t(size.h) * size.w;
    const int64_t width = int64_t(std::min(half_width, size.volume()));
    const int64_t t = begin / pixels, first_query = begin % pixels, last_query = (end - 1) % pixels;
    std::vector<KeySpan> spans;
    for (int64_t frame = 0; frame < frames; ++frame)
    {
        // Pixel p of this frame and pixel p' of frame t are (p - p') * frames + frame - t places
        // apart; that is within the band for p - p' = least .. most.
        const int64_t least = -floorDivide(width + frame - t, frames),
                      most = floorDivide(width - frame + t, frames);
        const int64_t first = std::max<int64_t>(first_query + least, 0),
                      last = std::min(last_query + most, pixels - 1);
        if (least <= most && first <= last)
            spans.push_back(
                {uint32_t(frame * pixels + first), uint32_t(frame * pixels + last + 1)});
    }
    return spans;
}

void appendHead(KeySpans& list, const VideoGrid& grid, const VideoOrder& queries,
                const std::function<std::vector<KeySpan>(uint32_t begin, uint32_t end)>& keeps)
{
    const uint32_t tokens = uint32_t(grid.tokens()), before = grid.text_before;
    for (uint32_t row = 0; row < queries.blocks(); ++row)
    {
        const uint32_t i = row - queries.first_block; // wraps to a large number for text before
        if (i >= queries.video_blocks)
        {
            list.append({{0, tokens}});
            continue;
        }
        std::vector<KeySpan> spans =
            keeps(queries.borders[row] - before, queries.borders[row + 1] - before);
        for (KeySpan& span : spans)
            span = {span.begin + before, span.end + before};
        if (before > 0)
            spans.push_back({0, before});
        if (grid.text_after > 0)
            spans.push_back({tokens - grid.text_after, tokens});
        list.append(united(std::move(spans)));
    }
}

} // namespace lacuna

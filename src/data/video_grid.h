// video_grid.h - the tokens of a video: text before, T x H x W in raster order, text after.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace lacuna
{

struct Size3
{
    uint32_t t = 0, h = 0, w = 0;
    uint64_t volume() const { return uint64_t(t) * h * w; }
    bool operator==(const Size3&) const = default;
};

struct VideoGrid
{
    Size3 size; // all zero: a plain sequence
    uint32_t text_before = 0;
    uint32_t text_after = 0;

    bool empty() const { return size.volume() == 0; }
    uint64_t tokens() const { return text_before + size.volume() + text_after; }
    // Token of frame t, row h, column w in the caller's raster order.
    uint32_t token(uint32_t t, uint32_t h, uint32_t w) const
    {
        return text_before + (t * size.h + h) * size.w + w;
    }
};

} // namespace lacuna

// bands.h - keys near a query in raster order, or after the frames of each pixel are put together.
//
// SPDX-License-Identifier: Apache-2.0
//
// Heads of video models look along the frames (a band around the diagonal in raster order) or along
// time (a band in token-major order: pixel after pixel, its frames side by side). The second one
// needs no gathering: in raster order it is one span of keys in each frame.
//
//   token-major, 3 frames    p0: t0 t1 t2   p1: t0 t1 t2   p2: t0 t1 t2     band of 2 around p1 t0
//                                     xxxxxxxxxxxxxxxxx
//   raster, the same keys    t0: p0 p1 p2   t1: p0 p1 p2   t2: p0 p1 p2
//                                   xx         xxxxx          xxxxx
//
// Positions count the tokens of the video, in raster order, without text.
#pragma once

#include "key_spans.h"

#include <cstdint>
#include <functional>
#include <vector>

namespace lacuna
{

// Raster order in blocks of at most `block` tokens of the same frame: rows of queries for bands.
VideoOrder frameBlocks(const VideoGrid& grid, uint32_t block);

// The keys at most `half_width` places away from one of the queries begin .. end - 1.
KeySpan rasterBand(const Size3& size, uint32_t begin, uint32_t end, uint64_t half_width);
// The same with places in token-major order, for queries of one frame; the spans ascend, one for
// each frame that has any.
std::vector<KeySpan> tokenMajorBand(const Size3& size, uint32_t begin, uint32_t end,
                                    uint64_t half_width);

// Appends the rows of one more head to `list`: what the queries begin .. end - 1 of a block of the
// video keep, spans in any order that may overlap. Text queries keep every key, text keys are kept
// by every query.
void appendHead(KeySpans& list, const VideoGrid& grid, const VideoOrder& queries,
                const std::function<std::vector<KeySpan>(uint32_t begin, uint32_t end)>& keeps);

} // namespace lacuna

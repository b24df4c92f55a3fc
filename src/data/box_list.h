// box_list.h - the list of queries that each keep a box of the video: rows of neighbouring queries over what their
// boxes touch, and the boxes.
//
// SPDX-License-Identifier: Apache-2.0
//
//   one axis, rows of 4 queries, tiles of 4 keys
//   kept by each query of a row    [x x x x x]
//                                    [x x x x x]
//   spans of the row             [. . x x|x x x x|x x . .]     . is left out by all boxes, pair by pair
#pragma once

#include "key_spans.h"

#include <array>

namespace lacuna
{

// One axis of a video, in places: an order of its coordinates in which what a query keeps is a run.
struct BoxAxis
{
    std::vector<uint32_t> coordinates; // of each place
    std::vector<KeySpan> kept;         // of the query at each place: places, at least one
    std::vector<uint32_t> parts;       // where a run of places begins that tiles shall not cross; begins with 0
    uint32_t stride = 1;               // queries that keep the same, for tiles that suit them
};

// Frames, rows, columns.
using BoxAxes = std::array<BoxAxis, 3>;

// Places that make up a row of queries, and that keys lie together in.
struct BoxTiles
{
    Size3 queries, keys;
};

struct BoxCost
{
    double pairs = 0; // that a kernel computes, kept or not
    uint64_t spans = 0;
    bool is_exact = false; // each query keeps all keys of its row
};

// For kernels that take `tile_rows` queries and `step` keys at once.
BoxCost costOf(const BoxAxes& axes, const BoxTiles& tiles, uint32_t tile_rows, uint32_t step);
BoxTiles chooseBoxTiles(const BoxAxes& axes, uint32_t tile_rows, uint32_t step);

struct BoxList
{
    VideoOrder queries, keys;
    KeySpans spans;
    KeyBounds bounds; // none where the spans are exact
};
// Text queries keep every key, text keys are kept by every query.
BoxList boxList(const VideoGrid& grid, const BoxAxes& axes, const BoxTiles& tiles);

} // namespace lacuna

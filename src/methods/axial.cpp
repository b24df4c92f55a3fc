// axial.cpp - attention along some axes only: in a frame, over time, along a row or a column.
//
// SPDX-License-Identifier: Apache-2.0
//
//   axis        order    a group holds the tokens with the same      tokens of a group
//   spatial     THW      frame                                       H * W
//   temporal    HWT      row and column                              T
//   height      TWH      frame and column                            H
//   width       THW      frame and row                               W
//
// Idea     the axes are permuted so that the tokens that attend to each other are consecutive:
//          every group keeps itself, and the groups at most `radius` away in that order. With a
//          radius this is the band that Sparse VideoGen and its followers use: spatial heads near
//          in raster order, temporal heads near after the frames of a pixel are put together. Text
//          queries keep every key, text keys are kept by every query.
// Paper    axial attention, arXiv 1912.12180; the factorised blocks of many video models. Groups
//          follow each other in a line as in Sparse VideoGen, arXiv 2502.01776: the last pixel of a
//          row and the first of the next are neighbours. FEAT, arXiv 2506.04956, has layers in a
//          frame, layers over time and layers over channels: the first two see the keys of
//          `spatial` and `temporal` (its code weighs them by a decay with the distance, not by a
//          softmax of Q K^T), and a policy gives each layer its axis. The third is no method, see
//          docs/adding-a-method.md.
// Cost     (2 * radius + 1) / groups of dense.
// Passes   gather V, gather K (temporal and height), attend; the list is made on the host, one for
//          all heads
// Limits   a list row is one group: groups that are smaller than the tile of ATTEND leave a part of
//          it idle.

#include "method.h"

#include "../data/curves.h"

#include <algorithm>

namespace lacuna
{
namespace
{

enum
{
    kAxis,
    kRadius
};

enum
{
    kSpatial,
    kTemporal,
    kHeight,
    kWidth
};

const OptionDesc kOptions[] = {
    {"axis", OptionType::Choice, "spatial", 0, 3,
     "where the keys of a query lie: its frame, its pixel, its column, its row",
     "spatial|temporal|height|width"},
    {"radius", OptionType::Int, "0", 0, 1048576,
     "groups at most this far from the query's own are kept too"},
};

std::string unsupportedReason(const Problem& p, const Options&)
{
    return p.grid.empty() ? "needs a video grid" : "";
}

VideoOrder groupOrder(const VideoGrid& grid, int64_t axis)
{
    const Size3& size = grid.size;
    switch (axis)
    {
    case kTemporal:
        return videoOrder(grid, axisCurve(size, AxisOrder::HWT), size.t);
    case kHeight:
        return videoOrder(grid, axisCurve(size, AxisOrder::TWH), size.h);
    case kWidth:
        return videoOrder(grid, {}, size.w);
    default:
        return videoOrder(grid, {}, size.h * size.w);
    }
}

Built build(PlanBuilder& b, const Problem& p, const Options& options)
{
    const VideoOrder order = groupOrder(p.grid, options.integer(kAxis));
    const uint32_t radius = uint32_t(options.integer(kRadius));
    const KeySpans spans = blockSpans(
        order, order, [&](uint32_t i, uint32_t j) { return (i > j ? i - j : j - i) <= radius; });

    return attendSpans(b, spans, order, order);
}

// The definition, token by token, from (t, h, w) coordinates.
bool keeps(const VideoGrid& grid, const Options& options, int64_t query, int64_t key)
{
    const int64_t tokens = int64_t(grid.size.volume()), rows = grid.size.h, columns = grid.size.w;
    query -= grid.text_before;
    key -= grid.text_before;
    if (query < 0 || query >= tokens || key < 0 || key >= tokens)
        return true;

    const auto group = [&](int64_t token)
    {
        const int64_t t = token / (rows * columns), h = token / columns % rows, w = token % columns;
        switch (options.integer(kAxis))
        {
        case kTemporal:
            return h * columns + w;
        case kHeight:
            return t * columns + w;
        case kWidth:
            return t * rows + h;
        default:
            return t;
        }
    };
    return std::abs(group(query) - group(key)) <= options.integer(kRadius);
}

void reference(const Problem& p, const Options& options, const ReferenceInputs&,
               uint32_t first_query, uint32_t query_count, uint8_t* mask)
{
    fillMask(p, first_query, query_count, mask,
             [&](uint32_t query, uint32_t key) { return keeps(p.grid, options, query, key); });
}

} // namespace

extern const Method kAxial;
const Method kAxial = {
    .name = "axial",
    .title = "the tokens of the same frame, pixel, column or row",
    .paper = "arXiv 1912.12180, Axial Attention in Multidimensional Transformers",
    .kind = "static",
    .options = kOptions,
    .unsupportedReason = unsupportedReason,
    .build = build,
    .reference = reference,
};

} // namespace lacuna

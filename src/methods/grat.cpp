// grat.cpp - GRAT: groups keep the groups around them, or those that share a coordinate with them.
//
// SPDX-License-Identifier: Apache-2.0
//
//   around    . . . . .      cross    . . x . .      one frame of groups, the query's group in the
//             . x x x .               . . x . .      middle; at a border `around` is cut off, where
//             . x x x .               x x x x x      sliding_tile moves its box inward; in 3-D
//             . x x x .               . . x . .      `cross` is three planes of groups: the same
//             . . . . .               . . x . .      frames, the same rows, the same columns
//
// Idea     the tokens of a group of the video share one set of keys, so that only whole blocks are
//          kept. With pattern `around`, group (p, q, r) keeps the groups at most `radius` away on
//          every axis; with `cross`, the groups that have the same p, the same q or the same r.
//          Text queries keep every key, text keys are kept by every query.
// Paper    arXiv 2505.14687, Grouping First, Attending Smartly: GRAT-B is `around` with radius 1,
//          GRAT-X is `cross`. It prints a sparsity of 60.8 % for GRAT-X where its definition gives
//          65.6 %: the definition is built. The authors need grids that are multiples of the group;
//          here border groups hold just the tokens that exist.
// Cost     (2 * radius + 1)^3 / groups of dense, less at borders; 1 - (1 - 1/nt) (1 - 1/nh) (1 -
//          1/nw) for `cross`.
// Passes   gather V, gather K, attend; the list is made on the host, one for all heads

#include "method.h"

#include <algorithm>

namespace lacuna
{
namespace
{

enum
{
    kTile,
    kPattern,
    kRadius
};

enum
{
    kAround,
    kCross
};

const OptionDesc kOptions[] = {
    {"tile", OptionType::Size3, "4x8x8", 1, 64, "tokens of one group: frames x rows x columns"},
    {"pattern", OptionType::Choice, "around", 0, 1,
     "the groups around each group, or those that share a coordinate", "around|cross"},
    {"radius", OptionType::Int, "1", 0, 1024,
     "groups at most this far away are kept, with pattern around"},
};

std::string unsupportedReason(const Problem& p, const Options&)
{
    return p.grid.empty() ? "needs a video grid" : "";
}

uint32_t distance(uint32_t a, uint32_t b)
{
    return a > b ? a - b : b - a;
}

Built build(PlanBuilder& b, const Problem& p, const Options& options)
{
    const TileOrder order = tileOrder(p.grid, options.size3(kTile));
    const bool is_cross = options.integer(kPattern) == kCross;
    const uint32_t radius = uint32_t(options.integer(kRadius));
    const KeySpans spans = blockSpans(order, order,
                                      [&](uint32_t i, uint32_t j)
                                      {
                                          const Size3 q = order.tileAt(i), k = order.tileAt(j);
                                          if (is_cross)
                                              return q.t == k.t || q.h == k.h || q.w == k.w;
                                          return distance(q.t, k.t) <= radius &&
                                                 distance(q.h, k.h) <= radius &&
                                                 distance(q.w, k.w) <= radius;
                                      });

    return attendSpans(b, spans, order, order);
}

// The definition, token by token, from (t, h, w) coordinates.
bool keeps(const VideoGrid& grid, const Options& options, int64_t query, int64_t key)
{
    const int64_t tokens = int64_t(grid.size.volume()), rows = grid.size.h, columns = grid.size.w;
    const int64_t q = query - grid.text_before, k = key - grid.text_before;
    if (q < 0 || q >= tokens || k < 0 || k >= tokens)
        return true;

    const Size3 group = options.size3(kTile);
    const int64_t t = std::abs(q / (rows * columns) / group.t - k / (rows * columns) / group.t);
    const int64_t h = std::abs(q / columns % rows / group.h - k / columns % rows / group.h);
    const int64_t w = std::abs(q % columns / group.w - k % columns / group.w);
    const bool is_cross = options.integer(kPattern) == kCross;
    return is_cross ? t == 0 || h == 0 || w == 0 : std::max({t, h, w}) <= options.integer(kRadius);
}

void reference(const Problem& p, const Options& options, const ReferenceInputs&,
               uint32_t first_query, uint32_t query_count, uint8_t* mask)
{
    fillMask(p, first_query, query_count, mask,
             [&](uint32_t query, uint32_t key) { return keeps(p.grid, options, query, key); });
}

} // namespace

extern const Method kGrat;
const Method kGrat = {
    .name = "grat",
    .title = "the groups around each group, or those that share a coordinate with it",
    .paper = "arXiv 2505.14687, Grouping First, Attending Smartly: Training-Free Acceleration for "
             "Diffusion Transformers",
    .kind = "static",
    .options = kOptions,
    .unsupportedReason = unsupportedReason,
    .build = build,
    .reference = reference,
};

} // namespace lacuna

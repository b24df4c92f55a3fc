// neighborhood.cpp - Neighborhood Attention and GNA: a box of tokens around each query.
//
// SPDX-License-Identifier: Apache-2.0
//
//   one axis of 8 tokens     0 1 2 3 4 5 6 7     window 4, stride 2
//   queries 0 and 1 keep    [x x x x]            the window of query 1
//   queries 2 and 3 keep      [x x x x]          of query 3: two keys before it, one behind it
//   queries 4 and 5 keep          [x x x x]
//   queries 6 and 7 keep            [x x x x]    of query 7, moved inward at the border
//
// Idea     per axis, with window k, stride s and n tokens: the queries of a stride group share the
//          window of their leader ld = min(u / s * s + s / 2, n - 1), which begins k / 2 tokens
//          before it and is moved inward until it lies in the axis. With dilation d, only tokens at
//          multiples of d from each other see each other: the rule then holds inside each of the d
//          residue classes, with their own n. On a causal axis the leader is the last query of the
//          group, the window ends with it, and each query drops the keys behind itself. A key is
//          kept when it is kept on all three axes. Text queries keep every key, text keys are kept
//          by every query (NATTEN's extra keys).
// Paper    NATTEN: arXiv 2204.07143, 2209.15001 (dilation), and GNA, arXiv 2504.16922 (stride). A
//          window longer than its residue class is cut to it, which NATTEN refuses. With border
//          `cut` and stride 1 a key is kept by its distance on each axis, as in Swin's and
//          Sora-like models' local attention; frames alone with a window of all rows and columns.
// Cost     product over the axes of min(k, n) / n of dense, and what a row of neighbouring queries
//          touches beside that: see box_list.h, which chooses the rows for the kernel.
// Passes   gather V, gather K (where keys are better off in tiles), attend; the list is made on the
//          host, one for all heads
// Limits   none

#include "../data/box_list.h"
#include "../passes/attend.h"
#include "method.h"

#include <algorithm>

namespace lacuna
{
namespace
{

enum
{
    kWindow,
    kStride,
    kDilation,
    kCausal,
    kBorder
};

const OptionDesc kOptions[] = {
    {"window", OptionType::Size3, "3x7x7", 1, 1024,
     "tokens kept per axis: frames x rows x columns"},
    {"stride", OptionType::Size3, "1x1x1", 1, 1024,
     "queries that share a window per axis, at most the window"},
    {"dilation", OptionType::Size3, "1x1x1", 1, 1024,
     "distance of the tokens of a window per axis"},
    {"causal", OptionType::Choice, "none", 0, 7, "axes on which no key behind the query is kept",
     "none|t|h|th|w|tw|hw|thw"},
    {"border", OptionType::Choice, "inward", 0, 1,
     "what becomes of a window that ends outside of the video: moved inward, or cut, which is a "
     "distance of at most half the window",
     "inward|cut"},
};

constexpr uint64_t kMaxSpans = uint64_t(1) << 27; // 1 GiB of constants

struct AxisRule
{
    uint32_t length, window, stride, dilation;
    bool is_causal, is_cut;
};

// Frames, rows, columns.
std::vector<AxisRule> axisRules(const VideoGrid& grid, const Options& options)
{
    const Size3 n = grid.size, k = options.size3(kWindow), s = options.size3(kStride),
                d = options.size3(kDilation);
    const int64_t causal = options.integer(kCausal); // a bit an axis
    const bool is_cut = options.integer(kBorder) == 1;
    return {{n.t, k.t, s.t, d.t, (causal & 1) != 0, is_cut},
            {n.h, k.h, s.h, d.h, (causal & 2) != 0, is_cut},
            {n.w, k.w, s.w, d.w, (causal & 4) != 0, is_cut}};
}

// The window of a query in a class of `length` tokens, counted in it.
KeySpan windowOf(const AxisRule& rule, uint32_t query, uint32_t length)
{
    const uint32_t window = std::min(rule.window, length), group = query / rule.stride * rule.stride;
    if (rule.is_causal)
    {
        const uint32_t leader = std::min(group + rule.stride - 1, length - 1);
        return {leader + 1 - std::min(leader + 1, window), query + 1};
    }
    const uint32_t leader = std::min(group + rule.stride / 2, length - 1);
    if (rule.is_cut)
    {
        const uint32_t left = rule.window / 2, right = rule.window - left;
        return {leader - std::min(leader, left), std::min(leader + right, length)};
    }
    const uint32_t first = std::min(leader - std::min(leader, window / 2), length - window);
    return {first, first + window};
}

// Residue classes behind each other, so that windows are runs.
BoxAxis makeAxis(const AxisRule& rule)
{
    BoxAxis axis;
    axis.stride = rule.stride;
    for (uint32_t residue = 0; residue < std::min(rule.dilation, rule.length); ++residue)
    {
        const uint32_t base = uint32_t(axis.coordinates.size());
        axis.parts.push_back(base);
        for (uint32_t coordinate = residue; coordinate < rule.length; coordinate += rule.dilation)
            axis.coordinates.push_back(coordinate);
        const uint32_t length = uint32_t(axis.coordinates.size()) - base;
        for (uint32_t query = 0; query < length; ++query)
        {
            const KeySpan window = windowOf(rule, query, length);
            axis.kept.push_back({base + window.begin, base + window.end});
        }
    }
    return axis;
}

std::string unsupportedReason(const Problem& p, const Options& options)
{
    if (p.grid.empty())
        return "needs a video grid";
    for (const AxisRule& rule : axisRules(p.grid, options))
        if (rule.stride > rule.window)
            return "needs a stride of at most the window on each axis, not " +
                   std::to_string(rule.stride) + " with " + std::to_string(rule.window);
    return {};
}

Built build(PlanBuilder& b, const Problem& p, const Options& options)
{
    const std::vector<AxisRule> rules = axisRules(p.grid, options);
    const BoxAxes axes = {makeAxis(rules[0]), makeAxis(rules[1]), makeAxis(rules[2])};
    const AttendTile& tile = b.attendChoice().tile;
    const BoxTiles tiles = chooseBoxTiles(axes, tile.rows, tile.keys);
    const BoxCost cost = costOf(axes, tiles, tile.rows, tile.keys);
    if (cost.spans > kMaxSpans)
    {
        b.fail(LACUNA_ERROR_INVALID_ARGUMENT,
               "method 'neighborhood' makes a list of about " + std::to_string(cost.spans) +
                   " spans, expected at most " + std::to_string(kMaxSpans) +
                   ": take a longer stride");
        return {};
    }
    const BoxList list = boxList(p.grid, axes, tiles);
    return attendSpans(b, list.spans, list.queries, list.keys, list.bounds);
}

// The definition, token by token and axis by axis, as NATTEN's reference mask.
bool keepsOnAxis(const AxisRule& rule, int64_t query, int64_t key)
{
    const int64_t dilation = rule.dilation, residue = query % dilation;
    if (key % dilation != residue)
        return false;
    const int64_t u = query / dilation, x = key / dilation;
    const int64_t length = rule.length / dilation + (residue < rule.length % dilation ? 1 : 0);
    const int64_t window = rule.is_cut && !rule.is_causal ? rule.window
                                                          : std::min<int64_t>(rule.window, length);
    const int64_t stride = rule.stride;
    const int64_t left = window / 2, right = window / 2 + window % 2 - 1;
    if (rule.is_causal)
    {
        const int64_t leader = std::min(u / stride * stride + stride - 1, length - 1);
        return x >= std::max<int64_t>(leader - left - right, 0) && x <= u;
    }
    const int64_t leader = std::min(u / stride * stride + stride / 2, length - 1);
    if (rule.is_cut)
        return x >= leader - left && x <= leader + right;
    const int64_t start = std::max<int64_t>(leader - left, 0) +
                          (leader + right >= length ? length - right - leader - 1 : 0);
    return x >= start && x < start + window;
}

void reference(const Problem& p, const Options& options, const ReferenceInputs&,
               uint32_t first_query, uint32_t query_count, uint8_t* mask)
{
    const std::vector<AxisRule> rules = axisRules(p.grid, options);
    const int64_t tokens = int64_t(p.grid.size.volume()), rows = p.grid.size.h,
                  columns = p.grid.size.w;
    fillMask(p, first_query, query_count, mask,
             [&](int64_t query, int64_t key)
             {
                 query -= p.grid.text_before;
                 key -= p.grid.text_before;
                 const bool is_text = query < 0 || query >= tokens || key < 0 || key >= tokens;
                 return is_text ||
                        (keepsOnAxis(rules[0], query / (rows * columns), key / (rows * columns)) &&
                         keepsOnAxis(rules[1], query / columns % rows, key / columns % rows) &&
                         keepsOnAxis(rules[2], query % columns, key % columns));
             });
}

} // namespace

extern const Method kNeighborhood;
const Method kNeighborhood = {
    .name = "neighborhood",
    .title = "a box of tokens around each query, moved inward at the borders",
    .paper = "arXiv 2504.16922, Generalized Neighborhood Attention",
    .kind = "static",
    .options = kOptions,
    .unsupportedReason = unsupportedReason,
    .build = build,
    .reference = reference,
};

} // namespace lacuna

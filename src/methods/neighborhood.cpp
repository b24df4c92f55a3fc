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
//          window longer than its residue class is cut to it, which NATTEN refuses.
// Cost     product over the axes of min(k, n) / n of dense.
// Passes   gather V, gather K (dilation only), attend; the list is made on the host, one for all
//          heads
// Limits   One list row is one stride group, and one span is a run of keys along the columns. With
//          stride 1 that is a row for each query, which is exact and slow: take strides that make
//          groups of 64 queries and more.

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
    kCausal
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
};

constexpr uint64_t kMaxSpans = uint64_t(1) << 27; // 1 GiB of constants

struct AxisRule
{
    uint32_t length, window, stride, dilation;
    bool is_causal;
};

// Frames, rows, columns.
std::vector<AxisRule> axisRules(const VideoGrid& grid, const Options& options)
{
    const Size3 n = grid.size, k = options.size3(kWindow), s = options.size3(kStride),
                d = options.size3(kDilation);
    const int64_t causal = options.integer(kCausal); // a bit an axis
    return {{n.t, k.t, s.t, d.t, (causal & 1) != 0},
            {n.h, k.h, s.h, d.h, (causal & 2) != 0},
            {n.w, k.w, s.w, d.w, (causal & 4) != 0}};
}

// Queries that share a window, and that window, as places on an axis whose residue classes lie
// behind each other.
struct Group
{
    uint32_t begin, end;
    uint32_t keys_begin, keys_end;
};

struct Axis
{
    std::vector<uint32_t> coordinates; // of each place
    std::vector<Group> groups;
};

// The window of queries begin .. end - 1 in a class of `length` tokens, which share it.
Group windowOf(const AxisRule& rule, uint32_t begin, uint32_t end, uint32_t length)
{
    const uint32_t window = std::min(rule.window, length);
    if (rule.is_causal)
    {
        const uint32_t leader =
            std::min(begin / rule.stride * rule.stride + rule.stride - 1, length - 1);
        return {begin, end, leader + 1 - std::min(leader + 1, window), end};
    }
    const uint32_t leader =
        std::min(begin / rule.stride * rule.stride + rule.stride / 2, length - 1);
    const uint32_t first = std::min(leader - std::min(leader, window / 2), length - window);
    return {begin, end, first, first + window};
}

Axis makeAxis(const AxisRule& rule)
{
    Axis axis;
    for (uint32_t residue = 0; residue < std::min(rule.dilation, rule.length); ++residue)
    {
        const uint32_t base = uint32_t(axis.coordinates.size());
        for (uint32_t coordinate = residue; coordinate < rule.length; coordinate += rule.dilation)
            axis.coordinates.push_back(coordinate);
        const uint32_t length = uint32_t(axis.coordinates.size()) - base;
        const uint32_t step =
            rule.is_causal ? 1 : rule.stride; // causal queries end their windows themselves
        for (uint32_t begin = 0; begin < length; begin += step)
        {
            const Group group = windowOf(rule, begin, std::min(begin + step, length), length);
            axis.groups.push_back({base + group.begin, base + group.end, base + group.keys_begin,
                                   base + group.keys_end});
        }
    }
    return axis;
}

std::string unsupportedReason(const Problem& p, const Options& options)
{
    if (p.grid.empty())
        return "needs a video grid";
    const std::vector<AxisRule> rules = axisRules(p.grid, options);
    uint64_t spans = 1;
    for (size_t axis = 0; axis < 3; ++axis)
    {
        const AxisRule& rule = rules[axis];
        if (rule.stride > rule.window)
            return "needs a stride of at most the window on each axis, not " +
                   std::to_string(rule.stride) + " with " + std::to_string(rule.window);
        spans *= makeAxis(rule).groups.size() * (axis < 2 ? std::min(rule.window, rule.length) : 1);
    }
    if (spans > kMaxSpans)
        return "makes a list of about " + std::to_string(spans) + " spans, expected at most " +
               std::to_string(kMaxSpans) + ": take a longer stride";
    return {};
}

// The token at each place, places counted along the columns, then the rows, then the frames.
std::vector<uint32_t> placeCurve(const Size3& size, const Axis& t, const Axis& h, const Axis& w)
{
    std::vector<uint32_t> curve;
    curve.reserve(size.volume());
    for (const uint32_t ct : t.coordinates)
        for (const uint32_t ch : h.coordinates)
            for (const uint32_t cw : w.coordinates)
                curve.push_back((ct * size.h + ch) * size.w + cw);
    return curve;
}

Built build(PlanBuilder& b, const Problem& p, const Options& options)
{
    // 1. Places: on each axis residue classes behind each other, so that windows are runs.
    const std::vector<AxisRule> rules = axisRules(p.grid, options);
    const Axis t = makeAxis(rules[0]), h = makeAxis(rules[1]), w = makeAxis(rules[2]);
    const Size3& size = p.grid.size;
    const std::vector<uint32_t> key_curve = placeCurve(size, t, h, w);
    const VideoOrder keys = videoOrder(p.grid, key_curve, size.w);
    const uint32_t first_key = p.grid.text_before;
    const auto place = [&](uint32_t pt, uint32_t ph, uint32_t pw)
    {
        return (pt * size.h + ph) * size.w + pw;
    };

    // 2. Boxes of queries with their boxes of keys; text as everywhere.
    std::vector<uint32_t> query_curve, sizes;
    KeySpans spans;
    if (p.grid.text_before > 0)
        spans.append({{0, p.k_len}});
    std::vector<KeySpan> row;
    for (const Group& gt : t.groups)
        for (const Group& gh : h.groups)
            for (const Group& gw : w.groups)
            {
                for (uint32_t pt = gt.begin; pt < gt.end; ++pt)
                    for (uint32_t ph = gh.begin; ph < gh.end; ++ph)
                        for (uint32_t pw = gw.begin; pw < gw.end; ++pw)
                            query_curve.push_back(key_curve[place(pt, ph, pw)]);
                sizes.push_back((gt.end - gt.begin) * (gh.end - gh.begin) * (gw.end - gw.begin));

                row.clear();
                if (p.grid.text_before > 0)
                    row.push_back({0, p.grid.text_before});
                for (uint32_t pt = gt.keys_begin; pt < gt.keys_end; ++pt)
                    for (uint32_t ph = gh.keys_begin; ph < gh.keys_end; ++ph)
                        row.push_back({first_key + place(pt, ph, gw.keys_begin),
                                       first_key + place(pt, ph, gw.keys_end)});
                if (p.grid.text_after > 0)
                    row.push_back({p.k_len - p.grid.text_after, p.k_len});
                spans.append(row);
            }
    if (p.grid.text_after > 0)
        spans.append({{0, p.k_len}});
    const VideoOrder queries = videoOrder(p.grid, query_curve, sizes);
    spans.rows = queries.blocks();

    // 3. Attention over that list.
    return attendSpans(b, spans, queries, keys);
}

// The definition, token by token and axis by axis, as NATTEN's reference mask.
bool keepsOnAxis(const AxisRule& rule, int64_t query, int64_t key)
{
    const int64_t dilation = rule.dilation, residue = query % dilation;
    if (key % dilation != residue)
        return false;
    const int64_t u = query / dilation, x = key / dilation;
    const int64_t length = rule.length / dilation + (residue < rule.length % dilation ? 1 : 0);
    const int64_t window = std::min<int64_t>(rule.window, length), stride = rule.stride;
    const int64_t left = window / 2, right = window / 2 + window % 2 - 1;
    if (rule.is_causal)
    {
        const int64_t leader = std::min(u / stride * stride + stride - 1, length - 1);
        return x >= std::max<int64_t>(leader - left - right, 0) && x <= u;
    }
    const int64_t leader = std::min(u / stride * stride + stride / 2, length - 1);
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

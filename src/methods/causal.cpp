// causal.cpp - the keys up to the query's own place, all or the last of them, and the first ones.
//
// SPDX-License-Identifier: Apache-2.0
//
//   key      0 1 2 3 4 5 6                        sinks 1, window 3
//   query 1  x x . . . . .
//   query 4  x . x x x . .
//   query 6  x . . . x x x
//
// Idea     query i stands at key own(i) and keeps key k when k <= own(i) and, with a window, also
//          k > own(i) - window or k < sinks. With as many queries as keys own(i) = i. With fewer
//          or more of them, `bottom_right` sets the last query at the last key, own(i) = i + Nk -
//          Nq, as when new tokens are appended to a cache of keys; `top_left` the first at the
//          first. A query without a key gets 0 and an LSE of -inf.
// Paper    arXiv 2307.08691, section 3.1, for the mask; arXiv 2309.17453 for sinks with a window.
//          There positions are counted inside the kept keys, here they stay. PyTorch's is_causal
//          is `top_left`, FlashAttention has been `bottom_right` since its version 2.1; its window
//          (left, 0) is left + 1 here.
// Cost     half of dense, or window + sinks keys per query, and the rest of a block of queries.
// Passes   attend; the list is made on the host, one for all heads
// Limits   none

#include "method.h"

#include <algorithm>

namespace lacuna
{
namespace
{

enum
{
    kWindow,
    kSinks,
    kAlign,
    kBlock
};

enum
{
    kBottomRight,
    kTopLeft
};

const OptionDesc kOptions[] = {
    {"window", OptionType::Int, "0", 0, 1048576,
     "the last keys that a query keeps, its own included; 0: all of them"},
    {"sinks", OptionType::Int, "0", 0, 1048576,
     "keys at the start that are kept beside the window"},
    {"align", OptionType::Choice, "bottom_right", 0, 1,
     "where the queries stand when they are fewer or more than the keys", "bottom_right|top_left"},
    {"block", OptionType::Int, "128", 1, 65536, "queries of one list row, which changes no result"},
};

std::string unsupportedReason(const Problem&, const Options&)
{
    return {};
}

// Where the query stands, counted in keys; may lie outside of them.
int64_t placeOf(const Problem& p, const Options& options, uint32_t query)
{
    return options.integer(kAlign) == kTopLeft ? query : int64_t(query) + p.k_len - p.q_len;
}

KeySpan windowOf(const Problem& p, const Options& options, uint32_t query)
{
    const int64_t end = placeOf(p, options, query) + 1;
    const int64_t begin = options.integer(kWindow) == 0 ? 0 : end - options.integer(kWindow);
    return {uint32_t(std::clamp<int64_t>(begin, 0, p.k_len)),
            uint32_t(std::clamp<int64_t>(end, 0, p.k_len))};
}

Built build(PlanBuilder& b, const Problem& p, const Options& options)
{
    const uint32_t block = uint32_t(options.integer(kBlock));
    const TokenOrder queries = rasterOrder(p.q_len, block), keys = rasterOrder(p.k_len, block);

    KeyBounds bounds;
    bounds.sinks = uint32_t(options.integer(kSinks));
    for (uint32_t query = 0; query < p.q_len; ++query)
        bounds.windows.push_back(windowOf(p, options, query));

    // What any query of the row keeps: its windows are one behind the other.
    KeySpans spans;
    spans.rows = queries.blocks();
    for (uint32_t row = 0; row < queries.blocks(); ++row)
    {
        const uint32_t begin = bounds.windows[queries.borders[row]].begin,
                       end = bounds.windows[queries.borders[row + 1] - 1].end,
                       sinks = std::min(bounds.sinks, end);
        std::vector<KeySpan> kept;
        if (sinks > 0)
            kept.push_back({0, sinks});
        if (std::max(begin, sinks) < end)
            kept.push_back({std::max(begin, sinks), end});
        spans.append(kept);
    }
    return attendSpans(b, spans, queries, keys, bounds);
}

// The definition.
bool keeps(const Problem& p, const Options& options, int64_t query, int64_t key)
{
    const int64_t own = options.integer(kAlign) == kTopLeft ? query : query + p.k_len - p.q_len;
    const int64_t window = options.integer(kWindow);
    return key <= own && (window == 0 || key > own - window || key < options.integer(kSinks));
}

void reference(const Problem& p, const Options& options, const ReferenceInputs&,
               uint32_t first_query, uint32_t query_count, uint8_t* mask)
{
    fillMask(p, first_query, query_count, mask,
             [&](uint32_t query, uint32_t key) { return keeps(p, options, query, key); });
}

} // namespace

extern const Method kCausal;
const Method kCausal = {
    .name = "causal",
    .title = "the keys up to the query's own place, the last of them, and the first ones",
    .paper = "arXiv 2309.17453, Efficient Streaming Language Models with Attention Sinks (by "
             "tokens)",
    .kind = "static",
    .options = kOptions,
    .unsupportedReason = unsupportedReason,
    .build = build,
    .reference = reference,
};

} // namespace lacuna

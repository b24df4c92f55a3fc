// documents.cpp - sequences of any length packed behind each other: each keeps to itself.
//
// SPDX-License-Identifier: Apache-2.0
//
//   key      0 1 2 | 3 4 5 6 | 7        lengths 3,4,1, causal
//   query 0  x . . | . . . . | .
//   query 2  x x x | . . . . | .
//   query 3  . . . | x . . . | .
//   query 6  . . . | x x x x | .
//   query 7  . . . | . . . . | x
//
// Idea     query i of document d keeps the keys of document d. In cross attention the documents
//          have other lengths in the keys (k_lengths), and as many of them. With `causal` the query
//          keeps only the keys up to its own place in the document: with `bottom_right` the last
//          query of a document stands at its last key, with `top_left` the first at its first. A
//          document may be empty. A query of a document without keys gets 0 and an LSE of -inf.
// Paper    arXiv 2107.02027 for packing without padding. FlashAttention's varlen functions take
//          running sums, cu_seqlens_q and cu_seqlens_k; the lengths are their differences.
// Cost     the sum of the squared lengths, and the rest of a block of queries.
// Passes   attend; the list is made on the host, one for all heads
// Limits   the documents are the same in every batch

#include "method.h"

#include <algorithm>
#include <numeric>

namespace lacuna
{
namespace
{

enum
{
    kLengths,
    kKeyLengths,
    kCausal,
    kBlock
};

enum
{
    kNotCausal,
    kBottomRight,
    kTopLeft
};

const OptionDesc kOptions[] = {
    {"lengths", OptionType::List, "all", 0, 1048576,
     "tokens of each document, as in 300,200*2; all: one document", "all"},
    {"k_lengths", OptionType::List, "same", 0, 1048576,
     "keys of each document; same: as `lengths` says", "same"},
    {"causal", OptionType::Choice, "no", 0, 2,
     "drop the keys behind the query's own place; which tokens of a document stand beside each other "
     "when it has fewer or more queries than keys",
     "no|bottom_right|top_left"},
    {"block", OptionType::Int, "128", 1, 65536, "queries of one list row, which changes no result"},
};

// Tokens of each document; `all` is an empty list.
struct Lengths
{
    std::vector<uint32_t> queries, keys;
};

Lengths lengthsOf(const Problem& p, const Options& options)
{
    Lengths lengths = {options.list(kLengths), options.list(kKeyLengths)};
    if (lengths.keys.empty())
        lengths.keys = lengths.queries.empty() ? std::vector{p.k_len} : lengths.queries;
    if (lengths.queries.empty())
        lengths.queries = {p.q_len};
    return lengths;
}

std::string unsupportedReason(const Problem& p, const Options& options)
{
    const Lengths lengths = lengthsOf(p, options);
    if (lengths.queries.size() != lengths.keys.size())
        return "has " + std::to_string(lengths.queries.size()) +
               " documents in the queries, expected as many in the keys, not " +
               std::to_string(lengths.keys.size());
    const auto sum = [](const std::vector<uint32_t>& list)
    {
        return std::accumulate(list.begin(), list.end(), uint64_t(0));
    };
    if (sum(lengths.queries) != p.q_len)
        return "has documents of " + std::to_string(sum(lengths.queries)) +
               " queries together, expected q_len, " + std::to_string(p.q_len);
    if (sum(lengths.keys) != p.k_len)
        return "has documents of " + std::to_string(sum(lengths.keys)) +
               " keys together, expected k_len, " + std::to_string(p.k_len);
    return {};
}

// What each query keeps.
std::vector<KeySpan> windowsOf(const Lengths& lengths, int64_t causal)
{
    std::vector<KeySpan> windows;
    uint32_t key = 0; // the first one of the document
    for (size_t document = 0; document < lengths.queries.size(); ++document)
    {
        const uint32_t queries = lengths.queries[document], keys = lengths.keys[document];
        const int64_t ahead = causal == kBottomRight ? int64_t(keys) - queries : 0;
        for (uint32_t query = 0; query < queries; ++query)
        {
            const int64_t end = causal == kNotCausal ? keys : query + ahead + 1;
            windows.push_back({key, key + uint32_t(std::clamp<int64_t>(end, 0, keys))});
        }
        key += keys;
    }
    return windows;
}

// Rows of at most `block` queries: parts of one document that has as many, else whole documents, so
// that a row has few keys that only some of its queries keep.
TokenOrder rowsOf(const std::vector<uint32_t>& lengths, uint32_t block)
{
    TokenOrder order;
    order.borders = {0};
    uint32_t end = 0; // of the documents so far; the last row may not be closed yet
    const auto close = [&]
    {
        if (order.borders.back() < end)
            order.borders.push_back(end);
    };
    for (const uint32_t length : lengths)
    {
        if (end + length - order.borders.back() > block)
            close();
        for (uint32_t left = length; left >= block; left -= block)
            order.borders.push_back(order.borders.back() + block);
        end += length;
        if (length > block)
            close();
    }
    close();
    return order;
}

Built build(PlanBuilder& b, const Problem& p, const Options& options)
{
    const Lengths lengths = lengthsOf(p, options);
    const uint32_t block = uint32_t(options.integer(kBlock));
    const TokenOrder queries = rowsOf(lengths.queries, block),
                     keys = rasterOrder(p.k_len, block);
    KeyBounds bounds;
    bounds.windows = windowsOf(lengths, options.integer(kCausal));

    KeySpans spans;
    spans.rows = queries.blocks();
    for (uint32_t row = 0; row < queries.blocks(); ++row)
        spans.append(unionOf({bounds.windows.begin() + queries.borders[row],
                              bounds.windows.begin() + queries.borders[row + 1]}));
    return attendSpans(b, spans, queries, keys, bounds);
}

// The definition.
bool keeps(const Lengths& lengths, int64_t causal, int64_t query, int64_t key)
{
    size_t document = 0;
    while (query >= lengths.queries[document])
    {
        query -= lengths.queries[document];
        key -= lengths.keys[document];
        ++document;
    }
    const int64_t queries = lengths.queries[document], keys = lengths.keys[document];
    if (key < 0 || key >= keys)
        return false;
    return causal == kNotCausal || key <= (causal == kTopLeft ? query : query + keys - queries);
}

void reference(const Problem& p, const Options& options, const ReferenceInputs&,
               uint32_t first_query, uint32_t query_count, uint8_t* mask)
{
    const Lengths lengths = lengthsOf(p, options);
    fillMask(p, first_query, query_count, mask,
             [&](uint32_t query, uint32_t key)
             { return keeps(lengths, options.integer(kCausal), query, key); });
}

} // namespace

extern const Method kDocuments;
const Method kDocuments = {
    .name = "documents",
    .title = "the keys of the query's own document, of a packed batch",
    .paper = "arXiv 2107.02027, Efficient Sequence Packing without Cross-contamination",
    .kind = "static",
    .options = kOptions,
    .unsupportedReason = unsupportedReason,
    .build = build,
    .reference = reference,
};

} // namespace lacuna

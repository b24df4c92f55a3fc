// key_spans.h - the one format between "which keys" and "attend": per (head, query row) ascending
// spans of keys.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "token_order.h"

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace lacuna
{

// Keys begin .. end - 1 of the method's key order; begin < end.
struct KeySpan
{
    uint32_t begin = 0;
    uint32_t end = 0;
    bool operator==(const KeySpan&) const = default;
};

// Which keys of its row a query keeps, where the queries of a row differ: key k when k < end and
// (k >= begin or k < sinks), with the begin and end of the query's window. Queries and keys are
// positions in the method's orders. No windows: all keys.
struct KeyBounds
{
    std::vector<KeySpan> windows; // [Nq], empty ones have begin >= end
    uint32_t sinks = 0;

    // The keys of a list row that the query keeps; there are windows.
    std::vector<KeySpan> clip(std::span<const KeySpan> row, uint32_t query) const;
};

// CSR on the host. Row r of head h is index h * rows + r. One head may serve all (a static list).
struct KeySpans
{
    uint32_t rows = 0;
    uint32_t heads = 1;
    std::vector<uint32_t> first; // [heads * rows + 1]
    std::vector<KeySpan> spans;

    // Appends the next row. Touching spans are merged; `row` must be ascending and disjoint.
    void append(const std::vector<KeySpan>& row);
    // Appends the rows of one more head.
    void appendHead(const KeySpans& head);
    uint64_t keys(uint32_t index) const; // kept keys of one row
    // Kept (query, key) pairs over all heads; row r holds the queries row_borders[r] ..
    // row_borders[r + 1] - 1.
    uint64_t keptPairs(const std::vector<uint32_t>& row_borders,
                       const KeyBounds& bounds = {}) const;
};

// What any of the windows begin .. end - 1 keeps of the keys, ascending and disjoint.
std::vector<KeySpan> unionOf(std::vector<KeySpan> windows);

// The list of a pattern of blocks, for all heads: does query block i keep key block j, both counted
// without text? Text queries keep every key, text keys are kept by every query.
KeySpans blockSpans(const VideoOrder& queries, const VideoOrder& keys,
                    const std::function<bool(uint32_t i, uint32_t j)>& keeps);

} // namespace lacuna

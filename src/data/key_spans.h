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

// The ends of a box of places, packed as KeyBounds::places.
struct KeyBox
{
    uint32_t low = 0;  // without guard bits
    uint32_t high = 0; // the last place in it, plus twice the guard bits
    bool operator==(const KeyBox&) const = default;
};

// Which keys of its row a query keeps, where the queries of a row differ. Queries and keys are
// positions in the method's orders. No windows and no boxes: all keys.
//
// Windows: key k when k < end and (k >= begin or k < sinks), with the begin and end of the query's
// window.
// Boxes: key k when its place lies between the ends of the query's box on every axis, or is 0. A
// place has a field for each axis with a guard bit, set, above it; so `place - low` keeps the guard
// bits of the axes with place >= low, and `high - place` of those with place <= high. The row holds
// all keys in the boxes of its queries, and all keys whose place is 0.
struct KeyBounds
{
    std::vector<KeySpan> windows; // [Nq], empty ones have begin >= end
    uint32_t sinks = 0;
    std::vector<KeyBox> boxes;    // [Nq]
    std::vector<uint32_t> places; // [Nk]
    uint32_t guard = 0;           // the guard bits

    bool empty() const { return windows.empty() && boxes.empty(); }
    // The keys of a list row that the query keeps; there are windows.
    std::vector<KeySpan> clip(std::span<const KeySpan> row, uint32_t query) const;
    uint64_t volume(const KeyBox& box) const; // places in it
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

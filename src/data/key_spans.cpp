// key_spans.cpp - building the spans of a list row by row.
//
// SPDX-License-Identifier: Apache-2.0

#include "key_spans.h"

namespace lacuna
{

void KeySpans::append(const std::vector<KeySpan>& row)
{
    if (first.empty())
        first.push_back(0);
    const size_t row_first = spans.size();
    for (const KeySpan& span : row)
    {
        if (spans.size() > row_first && spans.back().end == span.begin)
            spans.back().end = span.end;
        else
            spans.push_back(span);
    }
    first.push_back(uint32_t(spans.size()));
}

uint64_t KeySpans::keys(uint32_t index) const
{
    uint64_t sum = 0;
    for (uint32_t i = first[index]; i < first[index + 1]; ++i)
        sum += spans[i].end - spans[i].begin;
    return sum;
}

uint64_t KeySpans::keptPairs(const std::vector<uint32_t>& row_borders) const
{
    uint64_t sum = 0;
    for (uint32_t index = 0; index < heads * rows; ++index)
    {
        const uint32_t row = index % rows;
        sum += keys(index) * (row_borders[row + 1] - row_borders[row]);
    }
    return sum;
}

} // namespace lacuna

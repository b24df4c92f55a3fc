// key_spans.cpp - building the spans of a list row by row.
//
// SPDX-License-Identifier: Apache-2.0

#include "key_spans.h"

#include <algorithm>
#include <bit>

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

void KeySpans::appendHead(const KeySpans& head)
{
    if (first.empty())
        first.push_back(0);
    const uint32_t base = first.back();
    for (uint32_t row = 1; row <= head.rows; ++row)
        first.push_back(base + head.first[row]);
    spans.insert(spans.end(), head.spans.begin(), head.spans.end());
}

uint64_t KeySpans::keys(uint32_t index) const
{
    uint64_t sum = 0;
    for (uint32_t i = first[index]; i < first[index + 1]; ++i)
        sum += spans[i].end - spans[i].begin;
    return sum;
}

std::vector<KeySpan> KeyBounds::clip(std::span<const KeySpan> row, uint32_t query) const
{
    const KeySpan window = windows[query];
    std::vector<KeySpan> kept;
    const auto keep = [&](uint32_t begin, uint32_t end)
    {
        if (begin < end && !kept.empty() && kept.back().end == begin)
            kept.back().end = end;
        else if (begin < end)
            kept.push_back({begin, end});
    };
    for (const KeySpan& span : row)
    {
        const uint32_t end = std::min(span.end, window.end);
        const uint32_t sink_end = std::max(std::min(sinks, end), span.begin);
        keep(span.begin, sink_end);
        keep(std::max(sink_end, window.begin), end);
    }
    return kept;
}

uint64_t KeyBounds::volume(const KeyBox& box) const
{
    uint64_t count = 1;
    uint32_t shift = 0;
    for (uint32_t left = guard; left != 0; left &= left - 1)
    {
        const uint32_t guard_bit = uint32_t(std::countr_zero(left));
        const uint32_t field = (1u << (guard_bit - shift)) - 1;
        count *= ((box.high - 2 * guard) >> shift & field) - (box.low >> shift & field) + 1;
        shift = guard_bit + 1;
    }
    return count;
}

uint64_t KeySpans::keptPairs(const std::vector<uint32_t>& row_borders,
                             const KeyBounds& bounds) const
{
    const auto kept_always =
        uint64_t(std::count(bounds.places.begin(), bounds.places.end(), 0u));
    uint64_t sum = 0;
    for (uint32_t index = 0; index < heads * rows; ++index)
    {
        const uint32_t begin = row_borders[index % rows], end = row_borders[index % rows + 1];
        if (bounds.empty())
        {
            sum += keys(index) * (end - begin);
            continue;
        }
        if (!bounds.boxes.empty())
        {
            for (uint32_t query = begin; query < end; ++query)
                sum += kept_always + bounds.volume(bounds.boxes[query]);
            continue;
        }
        const std::span<const KeySpan> row(spans.data() + first[index],
                                           first[index + 1] - first[index]);
        for (uint32_t query = begin; query < end; ++query)
            for (const KeySpan& span : bounds.clip(row, query))
                sum += span.end - span.begin;
    }
    return sum;
}

std::vector<KeySpan> unionOf(std::vector<KeySpan> windows)
{
    std::erase_if(windows, [](const KeySpan& window) { return window.begin >= window.end; });
    std::sort(windows.begin(), windows.end(),
              [](const KeySpan& a, const KeySpan& b) { return a.begin < b.begin; });
    std::vector<KeySpan> result;
    for (const KeySpan& window : windows)
        if (!result.empty() && window.begin <= result.back().end)
            result.back().end = std::max(result.back().end, window.end);
        else
            result.push_back(window);
    return result;
}

KeySpans blockSpans(const VideoOrder& queries, const VideoOrder& keys,
                    const std::function<bool(uint32_t i, uint32_t j)>& keeps)
{
    KeySpans result;
    result.rows = queries.blocks();
    std::vector<KeySpan> kept;
    for (uint32_t row = 0; row < queries.blocks(); ++row)
    {
        kept.clear();
        const uint32_t i = row - queries.first_block; // wraps to a large number for text before
        for (uint32_t block = 0; block < keys.blocks(); ++block)
        {
            const uint32_t j = block - keys.first_block;
            if (i >= queries.video_blocks || j >= keys.video_blocks || keeps(i, j))
                kept.push_back({keys.borders[block], keys.borders[block + 1]});
        }
        result.append(kept);
    }
    return result;
}

} // namespace lacuna

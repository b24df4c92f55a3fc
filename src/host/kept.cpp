// kept.cpp - host::Attention::Kept: which keys each query kept, read back from a plan's list.
//
// SPDX-License-Identifier: Apache-2.0
#include "impl.h"

#include <algorithm>
#include <numeric>

namespace lacuna::host
{
namespace
{

std::vector<uint32_t> orderOf(const uint32_t* order, uint64_t heads, uint32_t count)
{
    std::vector<uint32_t> result(heads * count);
    if (order)
        std::copy_n(order, result.size(), result.begin());
    else
        std::iota(result.begin(), result.end(), 0u); // the identity is one order for all heads
    return result;
}

template <typename T>
void readRegion(Device& device, const Buffer& buffer, uint64_t offset, std::vector<T>& values)
{
    device.download(buffer, std::as_writable_bytes(std::span(values)), offset);
}

// The spans that one query keeps of those of its row, by its box.
std::vector<Attention::Span> clipToBox(const std::vector<Attention::Span>& row,
                                       const LacunaList& list, uint32_t query)
{
    const uint32_t low = list.boxes[2 * query], high = list.boxes[2 * query + 1];
    std::vector<Attention::Span> kept;
    for (const Attention::Span& span : row)
        for (uint32_t key = span.begin; key < span.end; ++key)
        {
            const uint32_t place = list.places[key];
            const uint32_t inside = (place - low) & (high - place) & list.box_guard;
            if (place != 0 && inside != list.box_guard)
                continue;
            if (!kept.empty() && kept.back().end == key)
                ++kept.back().end;
            else
                kept.push_back({key, key + 1});
        }
    return kept;
}

// The same by its window.
std::vector<Attention::Span> clip(const std::vector<Attention::Span>& row, const LacunaList& list,
                                  uint32_t query)
{
    const uint32_t begin = list.windows[2 * query], end = list.windows[2 * query + 1];
    std::vector<Attention::Span> kept;
    const auto keep = [&](uint32_t first, uint32_t last)
    {
        if (first < last && !kept.empty() && kept.back().end == first)
            kept.back().end = last;
        else if (first < last)
            kept.push_back({first, last});
    };
    for (const Attention::Span& span : row)
    {
        const uint32_t span_end = std::min(span.end, end);
        const uint32_t sink_end = std::max(std::min(list.sinks, span_end), span.begin);
        keep(span.begin, sink_end);
        keep(std::max(sink_end, begin), span_end);
    }
    return kept;
}

// Rows of one query each, where the queries of a row keep different keys.
void splitRows(Attention::Kept& kept, const LacunaList& list,
               const std::vector<std::vector<Attention::Span>>& rows)
{
    const uint32_t lists = list.head_stride == 0 ? 1 : kept.heads;
    for (uint32_t head = 0; head < lists; ++head)
        for (uint32_t row = 0; row < list.row_count; ++row)
            for (uint32_t query = list.row_borders[row]; query < list.row_borders[row + 1]; ++query)
                kept.spans.push_back((list.boxes ? clipToBox : clip)(
                    rows[uint64_t(head) * list.row_count + row], list, query));
    const size_t queries = kept.spans.size();
    for (uint32_t head = lists; head < kept.heads; ++head)
        for (size_t i = 0; i < queries; ++i)
            kept.spans.push_back(kept.spans[i]);
    kept.row_borders.resize(kept.queries() + 1);
    std::iota(kept.row_borders.begin(), kept.row_borders.end(), 0u);
}

} // namespace

Attention::Kept Attention::kept() const
{
    LacunaList list = {};
    device_->check(lacunaGetPlanList(plan_.get(), &list));
    if (list.region == LACUNA_REGION_CALLER)
        throw Error(LACUNA_ERROR_INVALID_ARGUMENT,
                    "kept: the list of method 'key_spans' belongs to the caller, read it there");
    const Buffer& region = list.region == LACUNA_REGION_CONSTANTS ? constants_ : workspace_;

    Kept kept;
    kept.heads = heads_;
    kept.row_borders.assign(list.row_borders, list.row_borders + list.row_count + 1);
    kept.key_borders.assign(list.key_borders, list.key_borders + list.key_block_count + 1);
    kept.q_order = orderOf(list.q_order, list.q_order_heads, kept.queries());
    kept.k_order = orderOf(list.k_order, list.k_order_heads, kept.keys());
    if (list.k_order_heads == 0)
    {
        kept.k_order.resize(uint64_t(heads_) * kept.keys());
        readRegion(*device_, workspace_, list.k_order_offset, kept.k_order);
    }

    const uint32_t stored_heads = list.head_stride == 0 ? 1 : heads_;
    std::vector<uint32_t> ranges(2 *
                                 (uint64_t(stored_heads - 1) * list.head_stride + list.row_count));
    readRegion(*device_, region, list.ranges_offset, ranges);
    uint64_t span_count = 0;
    for (size_t i = 0; i < ranges.size(); i += 2)
        span_count = std::max(span_count, uint64_t(ranges[i]) + ranges[i + 1]);
    std::vector<Span> spans(span_count);
    readRegion(*device_, region, list.spans_offset, spans);

    std::vector<std::vector<Span>> rows; // [heads * rows]
    rows.reserve(uint64_t(heads_) * list.row_count);
    for (uint32_t head = 0; head < heads_; ++head)
        for (uint32_t row = 0; row < list.row_count; ++row)
        {
            const uint64_t index = 2 * (uint64_t(head) * list.head_stride + row);
            const auto first = spans.begin() + ranges[index];
            rows.emplace_back(first, first + ranges[index + 1]);
        }
    if (list.windows || list.boxes)
        splitRows(kept, list, rows);
    else
        kept.spans = std::move(rows);
    return kept;
}

double Attention::Kept::density() const
{
    const size_t rows = row_borders.size() - 1;
    double pairs = 0;
    for (size_t i = 0; i < spans.size(); ++i)
        for (const Span& span : spans[i])
            pairs +=
                double(row_borders[i % rows + 1] - row_borders[i % rows]) * (span.end - span.begin);
    return pairs / (double(heads) * queries() * keys());
}

std::vector<uint8_t> Attention::Kept::tokenMask() const
{
    const uint64_t q_len = queries(), k_len = keys();
    const size_t rows = row_borders.size() - 1;
    std::vector<uint8_t> mask(heads * q_len * k_len);
    for (size_t i = 0; i < spans.size(); ++i)
    {
        const uint32_t slice = uint32_t(i / rows);
        for (uint32_t position = row_borders[i % rows]; position < row_borders[i % rows + 1];
             ++position)
        {
            uint8_t* const line =
                mask.data() + (slice * q_len + queryToken(slice, position)) * k_len;
            for (const Span& span : spans[i])
                for (uint32_t key = span.begin; key < span.end; ++key)
                    line[keyToken(slice, key)] = 1;
        }
    }
    return mask;
}

std::vector<uint8_t> Attention::Kept::blockMask() const
{
    const size_t blocks = key_borders.size() - 1;
    std::vector<uint8_t> mask(spans.size() * blocks);
    for (size_t i = 0; i < spans.size(); ++i)
        for (const Span& span : spans[i])
        {
            // The blocks that the span touches: from the one that holds its first key to the one
            // with its last.
            const auto first =
                std::upper_bound(key_borders.begin(), key_borders.end(), span.begin) - 1;
            const auto last = std::lower_bound(key_borders.begin(), key_borders.end(), span.end);
            std::fill(mask.begin() + ptrdiff_t(i * blocks) + (first - key_borders.begin()),
                      mask.begin() + ptrdiff_t(i * blocks) + (last - key_borders.begin()),
                      uint8_t(1));
        }
    return mask;
}

} // namespace lacuna::host

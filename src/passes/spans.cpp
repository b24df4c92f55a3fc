// spans.cpp - LIST: KeySpans from a bit map on the device, or from the host.
//
// SPDX-License-Identifier: Apache-2.0

#include "passes.h"

#include "../../shaders/shared/spans.h"

#include <algorithm>
#include <cstddef>

namespace lacuna
{
namespace
{

constexpr uint32_t kThreads = 64;

struct Range
{
    uint32_t first;
    uint32_t count;
};

} // namespace

List spansFromBits(PlanBuilder& b, Slot bits, uint32_t rows, const TokenOrder& k_order,
                   uint32_t max_blocks)
{
    SpansFromBitsPush push = {};
    push.blocks = k_order.blocks();
    push.words = (push.blocks + 31) / 32;
    push.max_spans = std::min(max_blocks, (push.blocks + 1) / 2);

    // Ranges index spans with 32 bits.
    const uint64_t all_rows = uint64_t(b.problem().heads()) * rows;
    if (all_rows * push.max_spans > UINT32_MAX)
    {
        b.fail(LACUNA_ERROR_UNSUPPORTED,
               "the list of kept keys may hold " + std::to_string(all_rows * push.max_spans) +
                   " spans, expected at most 4294967295; use larger blocks");
        return {};
    }
    push.rows = uint32_t(all_rows);

    List list;
    list.ranges = b.workspace(all_rows * sizeof(Range));
    list.spans = b.workspace(all_rows * push.max_spans * sizeof(KeySpan));
    list.head_stride = rows;

    b.pass(Shader::spans_from_bits, "spans of kept keys")
        .read(offsetof(SpansFromBitsPush, bits), bits)
        .read(offsetof(SpansFromBitsPush, borders), b.constants(k_order.borders))
        .write(offsetof(SpansFromBitsPush, ranges), list.ranges)
        .write(offsetof(SpansFromBitsPush, spans), list.spans)
        .spec({kThreads})
        .push(push)
        .flatGroups((all_rows + kThreads - 1) / kThreads,
                    offsetof(SpansFromBitsPush, first_group));
    return list;
}

List staticSpans(PlanBuilder& b, const KeySpans& spans)
{
    std::vector<Range> ranges;
    for (uint32_t i = 0; i < spans.heads * spans.rows; ++i)
        ranges.push_back({spans.first[i], spans.first[i + 1] - spans.first[i]});

    List list;
    list.ranges = b.constants(ranges);
    // An address is needed even when no row keeps anything.
    list.spans = b.constants(spans.spans.empty() ? std::vector<KeySpan>(1) : spans.spans);
    list.head_stride = spans.heads == 1 ? 0 : spans.rows;
    list.known = std::make_shared<const KeySpans>(spans);
    return list;
}

} // namespace lacuna

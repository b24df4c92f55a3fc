// profile.cpp - ESTIMATE and LIST: each head gets the list that costs its sampled queries less.
//
// SPDX-License-Identifier: Apache-2.0
#include "attend.h"
#include "passes.h"

#include "../../shaders/shared/profile.h"

#include <algorithm>
#include <cmath>

namespace lacuna
{
namespace
{

constexpr uint32_t kErrorThreads = 128;
constexpr uint32_t kErrorSamples = 4; // of one workgroup
constexpr uint32_t kChooseThreads = 64;
constexpr uint32_t kUnit = 8; // elements of one stride unit
constexpr float kNoSink = -1e30f;

struct Pair
{
    uint32_t first, second;
};

// One for each head: lavapipe would load through a null address, whatever is tested before.
Slot sinksOfHeads(PlanBuilder& b)
{
    const Slot sinks = sinkLogits(b);
    return sinks.valid() ? sinks
                         : b.constants(std::vector<float>(b.problem().q_heads, kNoSink));
}

Slot maskErrors(PlanBuilder& b, const Profile& profile, const TokenOrder& queries, Slot ranges,
                Slot spans)
{
    const Problem& p = b.problem();
    std::vector<Pair> samples; // token, list row
    for (const uint32_t token : profile.samples)
    {
        const auto end = std::upper_bound(queries.borders.begin(), queries.borders.end(), token);
        samples.push_back({token, uint32_t(end - queries.borders.begin()) - 1});
    }
    const Slot errors = b.workspace(uint64_t(p.heads()) * samples.size() * 4 * sizeof(float));

    MaskErrorPush push = {};
    push.samples_end = uint32_t(samples.size());
    push.rows = profile.lists.rows;
    push.k_len = p.k_len;
    push.heads = p.q_heads;
    push.slices = p.heads();
    push.q_batch = uint32_t(p.q.batch / kUnit);
    push.q_head = uint32_t(p.q.head / kUnit);
    push.q_token = uint32_t(p.q.token / kUnit);
    push.k_batch = uint32_t(p.k.batch / kUnit);
    push.k_head = uint32_t(p.k.head / kUnit);
    push.k_token = uint32_t(p.k.token / kUnit);
    push.v_batch = uint32_t(p.v.batch / kUnit);
    push.v_head = uint32_t(p.v.head / kUnit);
    push.v_token = uint32_t(p.v.token / kUnit);
    push.scale_log2 = float(p.scale * std::log2(std::exp(1.0)));
    push.cap_log2 = float(p.soft_cap * std::log2(std::exp(1.0)));

    b.pass(Shader::mask_error, "errors of sampled rows")
        .read(offsetof(MaskErrorPush, q), PlanBuilder::caller(Caller::Q))
        .read(offsetof(MaskErrorPush, k), PlanBuilder::caller(Caller::K))
        .read(offsetof(MaskErrorPush, v), PlanBuilder::caller(Caller::V))
        .read(offsetof(MaskErrorPush, samples), b.constants(samples))
        .read(offsetof(MaskErrorPush, ranges), ranges)
        .read(offsetof(MaskErrorPush, spans), spans)
        .read(offsetof(MaskErrorPush, sinks), sinksOfHeads(b))
        .write(offsetof(MaskErrorPush, errors), errors)
        .spec({kErrorThreads, p.head_dim, uint32_t(p.dtype), p.q_heads / p.kv_heads,
               p.soft_cap > 0, kErrorSamples})
        .push(push)
        .groups((push.samples_end + kErrorSamples - 1) / kErrorSamples,
                std::min(push.slices, b.caps().max_groups[1]));
    return errors;
}

// Bounds for the keys of a row.
void boundKeys(List& list, const KeySpans& lists)
{
    list.min_keys = UINT32_MAX;
    list.max_keys = 0;
    for (uint32_t index = 0; index < lists.heads * lists.rows; ++index)
    {
        const uint32_t keys = uint32_t(lists.keys(index));
        list.min_keys = std::min(list.min_keys, keys);
        list.max_keys = std::max(list.max_keys, keys);
    }
}

} // namespace

List chooseLists(PlanBuilder& b, const Profile& profile, const TokenOrder& queries)
{
    const Problem& p = b.problem();
    const KeySpans& lists = profile.lists;
    const List from = staticSpans(b, lists);

    ChoosePush push = {};
    push.rows = lists.rows;
    push.lists = lists.heads;
    push.samples = uint32_t(profile.samples.size());
    push.span_count = uint32_t(lists.spans.size());
    push.heads = p.q_heads;
    push.slices = p.heads();

    List list;
    list.ranges = b.workspace(uint64_t(push.slices) * push.rows * sizeof(Pair));
    list.spans = b.workspace(uint64_t(push.span_count) * sizeof(KeySpan));
    list.head_stride = push.rows;
    boundKeys(list, lists);

    const Slot errors = maskErrors(b, profile, queries, from.ranges, from.spans);
    b.pass(Shader::choose, "list of each head")
        .read(offsetof(ChoosePush, errors), errors)
        .read(offsetof(ChoosePush, choices), b.constants(profile.choices))
        .read(offsetof(ChoosePush, from_ranges), from.ranges)
        .read(offsetof(ChoosePush, from_spans), from.spans)
        .write(offsetof(ChoosePush, ranges), list.ranges)
        .write(offsetof(ChoosePush, spans), list.spans)
        .spec({kChooseThreads})
        .push(push)
        .groups(std::min(push.slices, b.caps().max_groups[0]));
    return list;
}

} // namespace lacuna

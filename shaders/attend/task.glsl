// task.glsl - what every ATTEND kernel starts from: its work item, its inputs, and the places of its
// results.
//
// SPDX-License-Identifier: Apache-2.0
//
// Strides count 8 channels, two quads.
#ifndef LACUNA_ATTEND_TASK_GLSL
#define LACUNA_ATTEND_TASK_GLSL

#include "attend/finish.glsl"
#include "lib/flat_group.glsl"
#include "lib/memory.glsl"
#include "lib/soft_cap.glsl"
#include "shared/attend.h"

layout(buffer_reference, std430, buffer_reference_align = 4) readonly buffer ParamsView
{
    AttendParams value;
};
layout(buffer_reference, std430, buffer_reference_align = 4) readonly buffer ItemArray
{
    AttendItem at[];
};

layout(push_constant, std430) uniform Push
{
    AttendPush push;
};

const float kLowest = -1e30; // a first maximum that is finite: -inf minus -inf would be NaN
const float kMasked = -2e30; // a logit without weight, even where nothing has been kept so far

// The item of this workgroup: `head` is the query's in all batches, `count` spans from `first` on.
// Without parts, no item has a slot.
AttendItem takeItem(AttendParams params, bool has_parts)
{
    const uint group = push.first_group + flatGroup();
    AttendItem item = ItemArray(push.items).at[group % push.item_count];
    const uint share = group / push.item_count;
    item.head += share;
    if (!has_parts)
        item.slot = kNone;
    else if (item.slot != kNone)
        item.slot += share * params.slots;
    if (item.count == kNone)
    {
        const uint row = item.head * params.head_stride + item.first;
        const uvec2 range = Uvec2Array(push.ranges).at[row];
        item.first = range.x;
        item.count = range.y;
    }
    return item;
}

// The keys of a span that belong to the item.
uvec2 keysOfSpan(AttendItem item, uint index, bool has_parts)
{
    const uvec2 span = Uvec2Array(push.spans).at[index];
    return has_parts ? uvec2(max(span.x, item.low), min(span.y, item.high)) : span;
}

// Where one head of one batch begins.
uvec2 headOf(uvec2 tensor, uint batch, uint batch_stride, uint head, uint head_stride, uint dtype)
{
    return advance(tensor, batch * batch_stride + head * head_stride, octetBytes(dtype));
}

// The same for Q, K, V and the output of an item.
uvec2 queriesOf(AttendParams params, AttendItem item, uint dtype)
{
    return headOf(push.q, item.head / params.q_heads, params.q_batch, item.head % params.q_heads,
                  params.q_head, dtype);
}
uvec2 keysOf(AttendParams params, AttendItem item, uint dtype)
{
    return headOf(push.k, item.head / params.q_heads, params.k_batch,
                  item.head % params.q_heads / params.kv_group, params.k_head, dtype);
}
uvec2 valuesOf(AttendParams params, AttendItem item, uint dtype)
{
    return headOf(push.v, item.head / params.q_heads, params.v_batch,
                  item.head % params.q_heads / params.kv_group, params.v_head, dtype);
}
uvec2 resultOf(AttendParams params, AttendItem item, uint dtype)
{
    return headOf(push.result, item.head / params.q_heads, params.out_batch,
                  item.head % params.q_heads, params.out_head, dtype);
}

// The caller's token at a position of the method's order.
uint tokenAt(AttendParams params, AttendItem item, uint position)
{
    const uint at = item.head % params.q_heads * params.order_head + position;
    return isNull(push.order) ? position : UintArray(push.order).at[at];
}

// The partial result of an item: rows of head_dim + kPartialExtra numbers.
uvec2 partialOf(AttendItem item, uint tile_rows, uint head_dim)
{
    return advance(push.partials, item.slot, tile_rows * (head_dim + kPartialExtra) * 4);
}

// Maximum (base 2) and sum of a row, behind its O.
void storePartialSum(uvec2 partial, uint row, uint head_dim, float row_max, float row_sum)
{
    const uint at = (row + 1) * ((head_dim + kPartialExtra) / 4) - 1;
    Vec4Array(partial).at[at] = vec4(row_max, row_sum, 0, 0);
}

#endif

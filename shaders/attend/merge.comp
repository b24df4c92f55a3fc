#version 460
// merge.comp - adds up the partial results of a tile of queries, in the order of its parts.
//
// SPDX-License-Identifier: Apache-2.0
//
// in     merges    MergeItem
// in     partials  f32 [slots, tile_rows, D + 4]
// out    result    fp16 or fp32, lse fp32
//
// grid   flat, kChunks workgroups per merge and per head that shares the merges; an invocation has
//        4 channels of one query
// spec   0 kThreads     workgroup size
//        1 kHeadDim     D
//        2 kResultType  LacunaDtype of the result
//        3 kChunks      workgroups of one merge

#extension GL_GOOGLE_include_directive : require
#include "attend/finish.glsl"
#include "lib/flat_group.glsl"
#include "lib/memory.glsl"
#include "shared/attend.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 0) const uint kThreads = 64;
layout(constant_id = 1) const uint kHeadDim = 64;
layout(constant_id = 2) const uint kResultType = kF16;
layout(constant_id = 3) const uint kChunks = 1;

const uint kQuads = kHeadDim / 4;
const uint kPitch = (kHeadDim + kPartialExtra) / 4; // of a row, in quads
const float kLowest = -1e30;

layout(buffer_reference, std430, buffer_reference_align = 4) readonly buffer MergeArray
{
    MergeItem at[];
};

layout(push_constant, std430) uniform Push
{
    MergePush push;
};

void main()
{
    const uint group = push.first_group + flatGroup();
    MergeItem merge = MergeArray(push.merges).at[group / kChunks % push.item_count];
    const uint share = group / kChunks / push.item_count;
    merge.head += share;
    merge.slot += share * push.slots;

    const uint index = group % kChunks * kThreads + gl_LocalInvocationIndex;
    const uint row = index / kQuads;
    const uint quad = index % kQuads;
    if (merge.count == 0 || merge.begin + row >= merge.end)
        return;

    // 1. The maximum; the loops run at least once, see memory.glsl.
    const uint slot_bytes = push.tile_rows * kPitch * 16;
    float row_max = kLowest;
    uint part = 0;
    do
    {
        const uvec2 base = advance(push.partials, merge.slot + part, slot_bytes);
        row_max = max(row_max, Vec4Array(base).at[row * kPitch + kQuads].x);
        ++part;
    } while (part < merge.count);

    // 2. The sums. A part without keys has the sum 0 and adds nothing.
    vec4 o = vec4(0);
    float sum = 0;
    part = 0;
    do
    {
        const uvec2 base = advance(push.partials, merge.slot + part, slot_bytes);
        const vec4 extra = Vec4Array(base).at[row * kPitch + kQuads];
        const float factor = exp2(extra.x - row_max);
        sum = fma(factor, extra.y, sum);
        o = fma(vec4(factor), Vec4Array(base).at[row * kPitch + quad], o);
        ++part;
    } while (part < merge.count);

    // 3. O and LSE, in the caller's order.
    const uint position = merge.begin + row;
    const uint place = merge.head % push.q_heads * push.order_head + position;
    const uint token = isNull(push.order) ? position : UintArray(push.order).at[place];
    const uvec2 result = advance(push.result,
                                 merge.head / push.q_heads * push.out_batch +
                                     merge.head % push.q_heads * push.out_head,
                                 octetBytes(kResultType));
    const vec4 values = finishRow(push.sinks, merge.head % push.q_heads, row_max, sum) * o;
    const uint at = token * push.out_token * 2 + quad;
    storeQuad(result, at, values, kResultType);
    if (quad == 0 && !isNull(push.lse))
        storeLse(push.lse, merge.head, push.q_len, token, row_max, sum);
}

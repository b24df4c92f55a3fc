#version 460
// gather.comp - copy the tokens of one operand into the method's order.
//
// SPDX-License-Identifier: Apache-2.0
//
// in     source  fp16 or fp32 [B, heads / kGroup, tokens, D], strided
// in     order   u32 [tokens], [heads, tokens] or [B, heads, tokens]
// out    dense   [B, heads, tokens, D]: position i holds token order[i]
//
// grid   flat, ceil(tokens * vectors / kThreads) workgroups for each slice, one 16-byte vector per
//        invocation
// spec   0 kThreads   workgroup size
//        1 kVectors   16-byte vectors of one token
//        2 kGroup     heads of dense for each head of the source
//        3 kOrders    0: one for all heads, 1: one for each head, 2: and for each batch

#extension GL_GOOGLE_include_directive : require
#include "lib/flat_group.glsl"
#include "lib/memory.glsl"
#include "shared/order.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint kVectors = 8;
layout(constant_id = 2) const uint kGroup = 1;
layout(constant_id = 3) const uint kOrders = 0;

layout(push_constant, std430) uniform Push { GatherPush push; };

void main()
{
    const uint group = push.first_group + flatGroup();
    const uint slice = group / push.slice_groups;
    const uint i =
        group % push.slice_groups * gl_WorkGroupSize.x + gl_LocalInvocationIndex; // of the slice
    const uint position = i / kVectors;
    const uint vector = i % kVectors;
    if (position >= push.tokens)
        return;

    const uint head = slice % push.heads;
    const uint which = kOrders == 0 ? 0 : kOrders == 1 ? head : slice;
    const uint token = UintArray(advance(push.order, which, push.tokens * 4)).at[position];
    const uvec2 from = advance(push.source,
                               slice / push.heads * push.source_batch +
                                   head / kGroup * push.source_head,
                               16);
    const uvec2 to = advance(push.dense, slice * push.tokens, kVectors * 16);
    Uvec4Array(to).at[i] = Uvec4Array(from).at[token * push.source_token + vector];
}

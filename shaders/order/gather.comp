#version 460
// gather.comp - copy the tokens of one operand into the method's order.
//
// SPDX-License-Identifier: Apache-2.0
//
// in     source  fp16 or fp32 [B, heads / kGroup, tokens, D], strided
// in     order   u32 [tokens], [heads, tokens] or [B, heads, tokens]
// out    dense   [B, heads, tokens, D]: position i holds token order[i]
//
// grid   (groups, slices, folds), one 16-byte vector per invocation: groups * folds * kThreads of
//        them, in folds of kGroupsPerRow workgroups
// spec   0 kThreads   workgroup size
//        1 kVectors   16-byte vectors of one token
//        2 kGroup     heads of dense for each head of the source
//        3 kOrders    0: one for all heads, 1: one for each head, 2: and for each batch

#extension GL_GOOGLE_include_directive : require
#include "lib/memory.glsl"
#include "shared/flat_group.h"
#include "shared/order.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint kVectors = 8;
layout(constant_id = 2) const uint kGroup = 1;
layout(constant_id = 3) const uint kOrders = 0;

layout(push_constant, std430) uniform Push { GatherPush push; };

void main()
{
    const uint index = gl_WorkGroupID.z * kGroupsPerRow * gl_WorkGroupSize.x + gl_GlobalInvocationID.x;
    const uint position = index / kVectors;
    const uint vector = index % kVectors;
    if (position >= push.tokens)
        return;

    uint slice = gl_WorkGroupID.y;
    do
    {
        const uint head = slice % push.heads;
        const uint which = kOrders == 0 ? 0 : kOrders == 1 ? head : slice;
        const uint token = UintArray(advance(push.order, which, push.tokens * 4)).at[position];
        const uvec2 from = advance(push.source,
                                   slice / push.heads * push.source_batch +
                                       head / kGroup * push.source_head,
                                   16);
        const uvec2 to = advance(push.dense, slice * push.tokens, kVectors * 16);
        Uvec4Array(to).at[index] =
            Uvec4Array(from).at[token * push.source_token + vector];
        slice += gl_NumWorkGroups.y;
    } while (slice < push.slices);
}

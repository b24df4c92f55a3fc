#version 460
// widen.comp - a dense fp32 copy of fp16 keys or values, for processors that convert numbers
// slowly.
//
// SPDX-License-Identifier: Apache-2.0
//
// in     source  fp16 [B, Hkv, Nk, D], strided
// out    copy    fp32 [B, Hkv, Nk, D]
//
// grid   flat, ceil(Nk * D / 8 / kThreads) workgroups for each head, 8 channels per invocation
// spec   0 kThreads   workgroup size
//        1 kHeadDim   D
//        2 kType      LacunaDtype of the source

#extension GL_GOOGLE_include_directive : require
#include "lib/flat_group.glsl"
#include "lib/memory.glsl"
#include "shared/attend.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint kHeadDim = 64;
layout(constant_id = 2) const uint kType = kF16;
const uint kOctets = kHeadDim / 8;

layout(push_constant, std430) uniform Push
{
    CopyPush push;
};

void main()
{
    const uint group = push.first_group + flatGroup();
    const uint slice = group / push.slice_groups; // head of one batch
    const uint i =
        group % push.slice_groups * gl_WorkGroupSize.x + gl_LocalInvocationIndex; // of the slice
    const uint token = i / kOctets;
    const uint octet = i % kOctets;
    const uvec2 from = advance(
        push.source, slice / push.heads * push.batch + slice % push.heads * push.head, 16);
    const uvec2 to = advance(push.copy, slice, push.tokens * kOctets * 32);
    if (token < push.tokens)
    {
        const Octet channels = loadOctet(from, token * push.token + octet, kType);
        Vec4Array(to).at[i * 2] = channels.low;
        Vec4Array(to).at[i * 2 + 1] = channels.high;
    }
}

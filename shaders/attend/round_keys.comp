#version 460
// round_keys.comp - keys as 8-bit integers, with one scale for each.
//
// SPDX-License-Identifier: Apache-2.0
//
// in     source  fp16, bf16 or fp32 [B, Hkv, Nk, D], strided
// out    copy    [B, Hkv, Nk]: D integers, then the scale fp32 and 4 bytes that are 0
//
// grid   flat, ceil(Nk / kThreads) workgroups for each head, a key per invocation
// spec   0 kThreads   workgroup size
//        1 kHeadDim   D
//        2 kType      LacunaDtype of the source
//
// source: SageAttention, arXiv 2410.02367, per-token quantization, without its smoothing of K

#extension GL_GOOGLE_include_directive : require
#include "lib/flat_group.glsl"
#include "lib/int8.glsl"
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
    const uint token = group % push.slice_groups * gl_WorkGroupSize.x + gl_LocalInvocationIndex;
    const uvec2 from =
        advance(push.source, slice / push.heads * push.batch + slice % push.heads * push.head,
                octetBytes(kType));
    const uvec2 to = advance(push.copy, slice, push.tokens * (kOctets + 1) * 8);
    if (token >= push.tokens)
        return;

    float largest = 0;
    for (uint octet = 0; octet < kOctets; ++octet)
    {
        const Octet channels = loadOctet(from, token * push.token + octet, kType);
        largest = max(largest, max(largestOf(channels.low), largestOf(channels.high)));
    }
    const float factor = int8Factor(largest);
    const uint row = token * (kOctets + 1);
    for (uint octet = 0; octet < kOctets; ++octet)
    {
        const Octet channels = loadOctet(from, token * push.token + octet, kType);
        Uvec2Array(to).at[row + octet] =
            uvec2(packInt8(channels.low, factor), packInt8(channels.high, factor));
    }
    Uvec2Array(to).at[row + kOctets] = uvec2(floatBitsToUint(largest / kLargestInt8), 0);
}

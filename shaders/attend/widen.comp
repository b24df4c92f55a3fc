#version 460
// widen.comp - a dense fp32 copy of fp16 keys or values, for processors that convert numbers
// slowly.
//
// SPDX-License-Identifier: Apache-2.0
//
// in     source  fp16 [B, Hkv, Nk, D], strided
// out    wide    fp32 [B, Hkv, Nk, D]
//
// grid   (ceil(Nk * D / 8 / kThreads), Hkv, B), 8 channels per invocation
// spec   0 kThreads   workgroup size
//        1 kHeadDim   D
//        2 kType      LacunaDtype of the source

#extension GL_GOOGLE_include_directive : require
#include "lib/memory.glsl"
#include "shared/attend.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint kHeadDim = 64;
layout(constant_id = 2) const uint kType = kF16;
const uint kOctets = kHeadDim / 8;

layout(push_constant, std430) uniform Push
{
    WidenPush push;
};

void main()
{
    const uint token = gl_GlobalInvocationID.x / kOctets;
    const uint octet = gl_GlobalInvocationID.x % kOctets;
    const uint head = gl_WorkGroupID.z * gl_NumWorkGroups.y + gl_WorkGroupID.y;
    const uvec2 from =
        advance(push.source, gl_WorkGroupID.z * push.batch + gl_WorkGroupID.y * push.head, 16);
    const uvec2 to = advance(push.wide, head, push.tokens * kOctets * 32);
    if (token < push.tokens)
    {
        const Octet channels = loadOctet(from, token * push.token + octet, kType);
        const uint i = gl_GlobalInvocationID.x * 2;
        Vec4Array(to).at[i] = channels.low;
        Vec4Array(to).at[i + 1] = channels.high;
    }
}

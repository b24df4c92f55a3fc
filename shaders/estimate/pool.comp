#version 460
// pool.comp - the mean of every block of tokens.
//
// SPDX-License-Identifier: Apache-2.0
//
// in     source   fp16 or fp32 [B, heads, tokens, D], strided
// in     order    u32 [tokens], or none
// in     borders  u32 [blocks + 1]
// out    mean     f32 [B, heads, blocks, D]
//
// grid   (blocks, slices, 1), one workgroup per block
// spec   0 kThreads   workgroup size, at least D / 8
//        1 kHeadDim   D
//        2 kType      LacunaDtype of the source
// shared 32 bytes per invocation
// order  each invocation adds every kParts-th token, then the parts are added in turn: the same bits every time

#extension GL_GOOGLE_include_directive : require
#include "lib/memory.glsl"
#include "shared/estimate.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 0) const uint kThreads = 64;
layout(constant_id = 1) const uint kHeadDim = 64;
layout(constant_id = 2) const uint kType = kF16;

const uint kChunks = kHeadDim / 8; // an invocation owns 8 channels
const uint kParts = kThreads / kChunks;

layout(push_constant, std430) uniform Push { PoolPush push; };

shared vec4 partial[2 * kThreads];

void addToken(uvec2 slice_base, uint token, uint chunk, inout vec4 low, inout vec4 high)
{
    const Octet channels = loadOctet(slice_base, token * push.source_token + chunk, kType);
    low += channels.low;
    high += channels.high;
}

void main()
{
    const uint chunk = gl_LocalInvocationIndex % kChunks;
    const uint part = gl_LocalInvocationIndex / kChunks; // the last few invocations may be idle
    const uint begin = UintArray(push.borders).at[gl_WorkGroupID.x];
    const uint end = UintArray(push.borders).at[gl_WorkGroupID.x + 1];

    uint slice = gl_WorkGroupID.y;
    do
    {
        const uvec2 base = advance(push.source,
                                   slice / push.heads * push.source_batch +
                                       slice % push.heads * push.source_head,
                                   octetBytes(kType));

        // 1. Add up every kParts-th token.
        vec4 low = vec4(0), high = vec4(0);
        if (part < kParts)
            for (uint i = begin + part; i < end; i += kParts)
                addToken(base, isNull(push.order) ? i : UintArray(push.order).at[i], chunk, low,
                         high);
        partial[2 * gl_LocalInvocationIndex] = low;
        partial[2 * gl_LocalInvocationIndex + 1] = high;
        barrier();

        // 2. Add up the parts.
        if (part == 0)
        {
            for (uint other = 1; other < kParts; ++other)
            {
                low += partial[2 * (other * kChunks + chunk)];
                high += partial[2 * (other * kChunks + chunk) + 1];
            }
            const uvec2 mean =
                advance(push.mean, slice * push.blocks + gl_WorkGroupID.x, kHeadDim * 4);
            Vec4Array(mean).at[2 * chunk] = low / float(end - begin);
            Vec4Array(mean).at[2 * chunk + 1] = high / float(end - begin);
        }
        barrier(); // before the next slice writes partial
        slice += gl_NumWorkGroups.y;
    } while (slice < push.slices);
}

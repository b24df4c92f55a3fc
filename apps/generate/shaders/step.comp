#version 460
// step.comp - guidance and one Euler step: clip + amount * (v_u + guidance * (v_c - v_u)).
//
// SPDX-License-Identifier: Apache-2.0
//
// in     velocity  f32 [branches, tokens, patch * patch * channels]   channel fastest; with prompt, then without
// in     clip      f32 [channels, frames, height, width]
// out    result    f32 like clip; may be clip
//
// grid   (x, y) with x * y * kLanes >= numbers of the clip, one number a lane
// spec   0 kLanes

#extension GL_GOOGLE_include_directive : require
#include "memory.glsl"
#include "push.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 0) const uint kLanes = 32;

layout(push_constant) uniform Push
{
    ClipPush push;
};

void main()
{
    const uint group = gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x;
    const uint index = group * kLanes + gl_LocalInvocationIndex;
    const uint width = push.columns * push.patch_size;
    const uint height = push.rows * push.patch_size;
    if (index >= push.channels * push.frames * height * width)
        return;
    const uint x = index % width;
    const uint line = index / width;
    const uint y = line % height;
    const uint frame = line / height % push.frames;
    const uint channel = line / height / push.frames;

    const uint length = push.channels * push.patch_size * push.patch_size;
    const uint tokens = push.frames * push.rows * push.columns;
    const uint token = (frame * push.rows + y / push.patch_size) * push.columns + x / push.patch_size;
    const uint at = (y % push.patch_size * push.patch_size + x % push.patch_size) * push.channels + channel;
    // A clip and its patches are far below 4 GiB, so 32-bit indices reach all of them.
    float v = FloatArray(push.velocity).at[token * length + at];
    if (push.branches == 2)
    {
        const float without = FloatArray(push.velocity).at[(tokens + token) * length + at];
        v = without + push.guidance * (v - without);
    }
    FloatArray(push.result).at[index] = FloatArray(push.clip).at[index] + push.amount * v;
}

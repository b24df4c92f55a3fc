#version 460
// patchify.comp - the clip as one row of numbers per token: channel, row, column of the patch, channel slowest.
//
// SPDX-License-Identifier: Apache-2.0
//
// in     clip    f32 [channels, frames, height, width]
// out    result  f32 [branches, tokens, channels * patch * patch]   the same rows for every branch
//
// grid   (x, y, branches) with x * y * kLanes >= tokens * channels * patch * patch, one number a lane
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
    const uint length = push.channels * push.patch_size * push.patch_size;
    const uint tokens = push.frames * push.rows * push.columns;
    if (index >= tokens * length)
        return;
    const uint token = index / length;
    const uint column = index % push.patch_size;
    const uint row = index / push.patch_size % push.patch_size;
    const uint channel = index % length / (push.patch_size * push.patch_size);

    const uint y = token / push.columns % push.rows * push.patch_size + row;
    const uint x = token % push.columns * push.patch_size + column;
    const uint frame = token / (push.rows * push.columns);
    const uint line = (channel * push.frames + frame) * push.rows * push.patch_size + y;
    // A clip and its patches are far below 4 GiB, so 32-bit indices reach all of them.
    const float value = FloatArray(push.clip).at[line * push.columns * push.patch_size + x];
    FloatArray(push.result).at[gl_WorkGroupID.z * tokens * length + index] = value;
}

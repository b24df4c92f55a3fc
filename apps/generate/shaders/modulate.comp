#version 460
// modulate.comp - the learned modulation plus the embedding of each time: result[time, i] = modulation[i] + embedding[time, i % period].
//
// SPDX-License-Identifier: Apache-2.0
//
// in     modulation  f32 [width]
// in     embedding   f32 [times, period]
// out    result      f32 [times, width]
//
// grid   (width / kLanes rounded up, times)
// spec   0 kLanes

#extension GL_GOOGLE_include_directive : require
#include "memory.glsl"
#include "push.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 0) const uint kLanes = 32;

layout(push_constant) uniform Push
{
    ModulatePush push;
};

void main()
{
    const uint i = gl_WorkGroupID.x * kLanes + gl_LocalInvocationIndex;
    if (i >= push.width)
        return;
    const float embedding = FloatArray(advance(push.embedding, gl_WorkGroupID.y, 4 * push.period)).at[i % push.period];
    FloatArray(advance(push.result, gl_WorkGroupID.y, 4 * push.width)).at[i] = FloatArray(push.modulation).at[i] + embedding;
}

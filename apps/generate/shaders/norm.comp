#version 460
// norm.comp - layer norm over the channels of a token, then scale and shift.
//
// SPDX-License-Identifier: Apache-2.0
//
// in     x       f32 [rows, width]
// in     scale   f32 [width]   kModulates: 1 + scale is the factor; else scale is
// in     shift   f32 [width]
// out    result  f32 [rows, width]
//
// grid   (x, y) with x * y >= rows, one subgroup per row
// spec   0 kLanes, 1 kJoined: lanes.glsl
//        2 kModulates  0 or 1

#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_arithmetic : require
#include "memory.glsl"
#include "lanes.glsl"
#include "push.h"

layout(constant_id = 2) const uint kModulates = 0;

layout(push_constant) uniform Push
{
    NormPush push;
};

const float kEpsilon = 1e-6;

void main()
{
    const uint row = gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x;
    if (row >= push.rows)
        return;
    Vec4Array x = Vec4Array(advance(push.x, row, 4 * push.width));
    const float inverse_width = 1.0 / float(push.width);

    float sum = 0.0;
    uint first = 0;
    do
    {
        sum += loadLanes(x, first / 4);
        first += kLanes;
    } while (first < push.width);
    const float mean = subgroupAdd(sum) * inverse_width;

    float square = 0.0;
    first = 0;
    do
    {
        const float d = loadLanes(x, first / 4) - mean;
        square += d * d;
        first += kLanes;
    } while (first < push.width);
    const float inverse_deviation = inversesqrt(subgroupAdd(square) * inverse_width + kEpsilon);

    FloatArray result = FloatArray(advance(push.result, row, 4 * push.width));
    first = 0;
    do
    {
        const float value = (loadLanes(x, first / 4) - mean) * inverse_deviation;
        const float factor = float(kModulates) + loadLanes(Vec4Array(push.scale), first / 4);
        result.at[first + gl_LocalInvocationIndex] = value * factor + loadLanes(Vec4Array(push.shift), first / 4);
        first += kLanes;
    } while (first < push.width);
}

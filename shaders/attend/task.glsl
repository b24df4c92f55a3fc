// task.glsl - what every ATTEND kernel starts from: its inputs, rows of 4-channel quads, and the
// places of its results.
//
// SPDX-License-Identifier: Apache-2.0
//
// Quad i of a tensor is 4 channels: 8 bytes in fp16, 16 in fp32. Strides count 8 channels, hence
// the factors of 2.
#ifndef LACUNA_ATTEND_TASK_GLSL
#define LACUNA_ATTEND_TASK_GLSL

#include "lib/memory.glsl"
#include "shared/attend.h"

layout(buffer_reference, std430, buffer_reference_align = 4) readonly buffer ParamsView
{
    AttendParams value;
};
layout(buffer_reference, std430, buffer_reference_align = 4) readonly buffer ItemArray
{
    AttendItem at[];
};

layout(push_constant, std430) uniform Push
{
    AttendPush push;
};

const float kLowest = -1e30; // a first maximum that is finite: -inf minus -inf would be NaN
const float kLn2 = 0.693147180559945309;
const float kNegativeInfinity = -1.0 / 0.0;

uint unitBytes(bool is_half)
{
    return is_half ? 16 : 32;
}

// Where one head of one batch begins.
uvec2 headOf(uvec2 tensor, uint batch_stride, uint head_stride, uint head, bool is_half)
{
    return advance(tensor, gl_WorkGroupID.z * batch_stride + head * head_stride,
                   unitBytes(is_half));
}

vec4 loadQuad(uvec2 base, uint index, bool is_half)
{
    return is_half ? unpackHalf4(Uvec2Array(base).at[index]) : Vec4Array(base).at[index];
}

void storeQuad(uvec2 base, uint index, vec4 quad, bool is_half)
{
    if (is_half)
        Uvec2Array(base).at[index] = packHalf4(quad);
    else
        Vec4Array(base).at[index] = quad;
}

// The caller's token at a position of the method's order.
uint tokenAt(uint position)
{
    return isNull(push.order) ? position : UintArray(push.order).at[position];
}

// {first, count} of the list row.
uvec2 spanRange(AttendParams params, uint list_row)
{
    const uint head = gl_WorkGroupID.z * params.q_heads + gl_WorkGroupID.y;
    return Uvec2Array(push.ranges).at[head * params.head_stride + list_row];
}

// LSE of one query from its maximum (base 2) and its sum.
void storeLse(AttendParams params, uint token, float row_max, float row_sum)
{
    const uint head = gl_WorkGroupID.z * params.q_heads + gl_WorkGroupID.y;
    const float lse = row_sum > 0 ? kLn2 * (row_max + log2(row_sum)) : kNegativeInfinity;
    FloatArray(advance(push.lse, head, params.q_len * 4)).at[token] = lse;
}

#endif

#version 460
// gemm.comp - a linear layer: result = epilogue(x * transposed(weight) + bias).
//
// SPDX-License-Identifier: Apache-2.0
//
// in     x         f32 [rows, inner]
// in     weight    f32 panels [columns / panel][inner][panel], panel = kColumns * kLanes, zero beyond the last column
// in     bias      f32 [columns], padded like weight
// in     residual  f32 [rows, columns]   kResidual and kGatedResidual
// in     gate      f32 [columns]         kGatedResidual
// out    result    f32 [rows, columns]   may be residual
//
// grid   (panels, rows / kRows rounded up): a lane owns kRows x kColumns sums; weights are one coalesced load for all
//        rows, activations one uniform load for all lanes, so nothing is staged in shared memory
// spec   0 kLanes, 1 kJoined: lanes.glsl
//        2 kEpilogue  what happens to a sum, see below

#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#include "memory.glsl"
#include "lanes.glsl"
#include "push.h"

layout(constant_id = 2) const uint kEpilogue = 0;

const uint kPlain = 0;
const uint kGelu = 1; // tanh form
const uint kSilu = 2;
const uint kResidual = 3;      // residual + sum
const uint kGatedResidual = 4; // residual + sum * gate

const uint kRows = 4;
const uint kColumns = 4;
const uint kInner = 4; // in vec4: how much of `inner` one turn of the loop takes

layout(push_constant) uniform Push
{
    GemmPush push;
};

float sigmoid(float x)
{
    return 1.0 / (1.0 + exp(-x));
}

float finish(float sum, uint row, uint column)
{
    if (kEpilogue == kGelu) // (1 + tanh(u)) / 2 = sigmoid(2u), and this sigmoid does not overflow
        return sum * sigmoid(1.5957691216057308 * (sum + 0.044715 * sum * sum * sum));
    if (kEpilogue == kSilu)
        return sum * sigmoid(sum);
    if (kEpilogue == kResidual || kEpilogue == kGatedResidual)
    {
        FloatArray residual = FloatArray(advance(push.residual, row, 4 * push.columns));
        const float gate = kEpilogue == kGatedResidual ? FloatArray(push.gate).at[column] : 1.0;
        return residual.at[column] + sum * gate;
    }
    return sum;
}

void main()
{
    const uint panel = kColumns * kLanes;
    const uint first_row = gl_WorkGroupID.y * kRows;
    const uint last = push.rows - 1 - first_row; // rows beyond it repeat it and are not stored
    const uint stride = push.inner / 4;

    float sum[kRows][kColumns];
    Vec4Array bias = Vec4Array(advance(push.bias, gl_WorkGroupID.x, 4 * panel));
    [[unroll]] for (uint c = 0; c < kColumns; ++c)
    {
        sum[0][c] = loadLanes(bias, c * kLanes / 4);
        [[unroll]] for (uint r = 1; r < kRows; ++r)
            sum[r][c] = sum[0][c];
    }

    Vec4Array x = Vec4Array(advance(push.x, first_row, 4 * push.inner));
    const uvec2 weight = advance(push.weight, gl_WorkGroupID.x, 4 * panel * push.inner);
    uint k = 0; // in vec4
    do // a loop that tests first would load once more on lavapipe, beyond the end
    {
        Vec4Array turn = Vec4Array(advance(weight, k, 16 * panel));
        [[unroll]] for (uint i = 0; i < kInner; ++i)
        {
            vec4 w[kColumns];
            [[unroll]] for (uint c = 0; c < kColumns; ++c)
            {
                const uint at = i * panel + c * kLanes / 4;
                w[c] = vec4(loadLanes(turn, at), loadLanes(turn, at + panel / 4),
                            loadLanes(turn, at + panel / 2), loadLanes(turn, at + panel / 4 * 3));
            }
            [[unroll]] for (uint r = 0; r < kRows; ++r)
            {
                const vec4 value = x.at[min(r, last) * stride + k + i];
                [[unroll]] for (uint c = 0; c < kColumns; ++c)
                {
                    sum[r][c] = fma(value.x, w[c].x, sum[r][c]);
                    sum[r][c] = fma(value.y, w[c].y, sum[r][c]);
                    sum[r][c] = fma(value.z, w[c].z, sum[r][c]);
                    sum[r][c] = fma(value.w, w[c].w, sum[r][c]);
                }
            }
        }
        k += kInner;
    } while (k < stride);

    [[unroll]] for (uint r = 0; r < kRows; ++r)
    {
        FloatArray result = FloatArray(advance(push.result, first_row + r, 4 * push.columns));
        [[unroll]] for (uint c = 0; c < kColumns; ++c)
        {
            const uint column = gl_WorkGroupID.x * panel + c * kLanes + gl_LocalInvocationIndex;
            if (r <= last && column < push.columns)
                result.at[column] = finish(sum[r][c], first_row + r, column);
        }
    }
}

#version 460
// block_scores.comp - score every pair of a query block and a key block by the product of their
// means.
//
// SPDX-License-Identifier: Apache-2.0
//
// in     q_mean  f32 [B, Hq, rows, D]
// in     k_mean  f32 [B, Hkv, blocks, D]
// out    scores  f32 [B, Hq, rows, blocks]
//
// grid   (ceil(blocks / kThreads), ceil(rows / kRows), slices): an invocation has one key block and
// kRows query
//        blocks, so that the query means are uniform loads and no shared memory is needed
// spec   0 kThreads   workgroup size
//        1 kHeadDim   D

#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#include "lib/memory.glsl"
#include "shared/estimate.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint kHeadDim = 64;

const uint kRows = 8; // as in estimate.cpp

layout(push_constant, std430) uniform Push
{
    BlockScoresPush push;
};

// Loops test at their end: lavapipe runs a loop body once more with no lane active, and loads
// through a uniform address even then.
void main()
{
    const uint block = min(gl_GlobalInvocationID.x, push.blocks - 1);
    const uint first_row = gl_WorkGroupID.y * kRows;

    uint slice = gl_WorkGroupID.z;
    do
    {
        Vec4Array k =
            Vec4Array(advance(push.k_mean, slice / push.kv_group * push.blocks, kHeadDim * 4));
        uvec2 q[kRows];
        float sums[kRows];
        [[unroll]] for (uint r = 0; r < kRows; ++r)
        {
            const uint row = min(first_row + r, push.rows - 1);
            q[r] = advance(push.q_mean, slice * push.rows + row, kHeadDim * 4);
            sums[r] = 0.0;
        }

        uint d = 0;
        do
        {
            const vec4 k4 = k.at[block * (kHeadDim / 4) + d];
            [[unroll]] for (uint r = 0; r < kRows; ++r)
                sums[r] += dot(Vec4Array(q[r]).at[d], k4);
        } while (++d < kHeadDim / 4);

        const uvec2 scores = advance(push.scores, slice * push.rows + first_row, push.blocks * 4);
        [[unroll]] for (uint r = 0; r < kRows; ++r)
            if (gl_GlobalInvocationID.x < push.blocks && first_row + r < push.rows)
                FloatArray(advance(scores, r, push.blocks * 4)).at[block] = sums[r];
        slice += gl_NumWorkGroups.z;
    } while (slice < push.slices);
}

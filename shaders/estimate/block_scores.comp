#version 460
// block_scores.comp - score every pair of a query block and a key block by the product of their means.
//
// SPDX-License-Identifier: Apache-2.0
//
// in     q_mean  f32 [B, Hq, rows, D]
// in     k_mean  f32 [B, Hkv, blocks, D]
// out    scores  f32 [B, Hq, rows, blocks]
//
// grid   (ceil(blocks / kThreads), ceil(rows / kRows), slices): an invocation has one key block and kRows query
//        blocks, so that the query means are uniform loads and no shared memory is needed
// spec   0 kThreads   workgroup size
//        1 kHeadDim   D

#extension GL_GOOGLE_include_directive : require
#include "lib/memory.glsl"
#include "shared/estimate.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint kHeadDim = 64;

const uint kRows = 8; // as in estimate.cpp

layout(push_constant, std430) uniform Push { BlockScoresPush push; };

void main()
{
    const uint block = min(gl_GlobalInvocationID.x, push.blocks - 1);
    const uint first_row = gl_WorkGroupID.y * kRows;

    for (uint slice = gl_WorkGroupID.z; slice < push.slices; slice += gl_NumWorkGroups.z)
    {
        const uint key = slice / push.kv_group * push.blocks + block;
        Vec4Array k = Vec4Array(advance(push.k_mean, key, kHeadDim * 4));
        uvec2 q[kRows];
        for (uint r = 0; r < kRows; ++r)
            q[r] = advance(push.q_mean, slice * push.rows + min(first_row + r, push.rows - 1),
                           kHeadDim * 4);

        float sums[kRows];
        for (uint r = 0; r < kRows; ++r)
            sums[r] = 0.0;
        for (uint d = 0; d < kHeadDim / 4; ++d)
        {
            const vec4 k4 = k.at[d];
            for (uint r = 0; r < kRows; ++r)
                sums[r] += dot(Vec4Array(q[r]).at[d], k4);
        }

        if (gl_GlobalInvocationID.x < push.blocks)
            for (uint r = 0; r < min(kRows, push.rows - first_row); ++r)
                FloatArray(advance(push.scores, slice * push.rows + first_row + r,
                                   push.blocks * 4))
                    .at[block] = sums[r];
    }
}

#version 460
// choose.comp - the list of each head: the one it is said to have, or that of the smaller error.
//
// SPDX-License-Identifier: Apache-2.0
//
// in     errors       f32 [B * Hq, samples, 4], as mask_error.comp writes them
// in     choices      u32 [Hq], the list of a head; `lists`: list 0 or 1 by the errors
// in     from_ranges  u32 {first, count} [lists, rows]
// in     from_spans   u32 {begin, end} [span_count]
// out    ranges       u32 {first, count} [B * Hq, rows]
// out    spans        u32 {begin, end} [span_count], a copy
//
// grid   (slices, 1, 1), a workgroup has one slice or several
// spec   0 kThreads   workgroup size
// rule   list 1 where its error is smaller, as in reference(), svg1.cpp. Errors are added over the
//        samples in their order; below kNoError of the square of the dense outputs they are none

#extension GL_GOOGLE_include_directive : require
#include "lib/memory.glsl"
#include "shared/profile.h"

layout(local_size_x_id = 0) in;

layout(push_constant, std430) uniform Push { ChoosePush push; };

const float kNoError = 1.0 / 1048576;

uint measuredList(uint slice)
{
    Vec4Array errors = Vec4Array(advance(push.errors, slice, push.samples * 16));
    vec4 sum = vec4(0);
    uint sample_index = 0;
    do
    {
        sum += errors.at[sample_index];
        ++sample_index;
    } while (sample_index < push.samples);
    const float least = kNoError * sum.z;
    const float first = sum.x < least ? 0 : sum.x, second = sum.y < least ? 0 : sum.y;
    return second < first ? 1 : 0;
}

void main()
{
    const uint lane = gl_LocalInvocationIndex, threads = gl_WorkGroupSize.x;
    uint slice = gl_WorkGroupID.x;
    do
    {
        uint list = UintArray(push.choices).at[slice % push.heads];
        if (list == push.lists)
            list = measuredList(slice);
        const uvec2 ranges = advance(push.ranges, slice, push.rows * 8);
        for (uint row = lane; row < push.rows; row += threads)
            Uvec2Array(ranges).at[row] = Uvec2Array(push.from_ranges).at[list * push.rows + row];
        slice += gl_NumWorkGroups.x;
    } while (slice < push.slices);

    const uint all_threads = threads * gl_NumWorkGroups.x;
    for (uint i = gl_GlobalInvocationID.x; i < push.span_count; i += all_threads)
        Uvec2Array(push.spans).at[i] = Uvec2Array(push.from_spans).at[i];
}

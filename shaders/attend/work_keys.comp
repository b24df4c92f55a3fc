#version 460
// work_keys.comp - counts the kept keys of every list row.
//
// SPDX-License-Identifier: Apache-2.0
//
// in     ranges  u32 {first, count} per list row
// in     spans   u32 {begin, end}
// out    keys    u32 [all_rows]
//
// grid   flat, one invocation per row
// spec   0 kThreads   workgroup size

#extension GL_GOOGLE_include_directive : require
#include "attend/work.glsl"

layout(local_size_x_id = 0) in;

void main()
{
    const uint index =
        (push.first_group + flatGroup()) * gl_WorkGroupSize.x + gl_LocalInvocationIndex;
    if (index >= push.all_rows)
        return;
    const uvec2 range = rangeOf(index);
    uint keys = 0;
    for (uint i = 0; i < range.y; ++i)
    {
        const uvec2 span = Uvec2Array(push.spans).at[range.x + i];
        keys += span.y - span.x;
    }
    UintArray(push.keys).at[index] = keys;
}

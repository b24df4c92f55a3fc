// work.glsl - what the passes that make work items on the device share.
//
// SPDX-License-Identifier: Apache-2.0
//
// Rows of the list are counted over all heads that have a list: row `index` is row index % rows of
// head index / rows.
#ifndef LACUNA_ATTEND_WORK_GLSL
#define LACUNA_ATTEND_WORK_GLSL

#include "lib/flat_group.glsl"
#include "lib/memory.glsl"
#include "shared/work.h"

layout(push_constant, std430) uniform Push
{
    WorkPush push;
};

// {first, count} of the spans.
uvec2 rangeOf(uint index)
{
    const uint row = index / push.rows * push.head_stride + index % push.rows;
    return Uvec2Array(push.ranges).at[row];
}

// Positions begin, end of the queries.
uvec2 queriesOf(uint index)
{
    const uint row = index % push.rows;
    return uvec2(UintArray(push.borders).at[row], UintArray(push.borders).at[row + 1]);
}

#endif

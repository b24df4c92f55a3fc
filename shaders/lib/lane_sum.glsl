// lane_sum.glsl - sums and maxima over neighbouring lanes, for kernels that split one row over them.
//
// SPDX-License-Identifier: Apache-2.0
//
// With LACUNA_SUBGROUP lanes are subgroup lanes and need full subgroups. Without it there is
// nothing to sum: one lane.
#ifndef LACUNA_LIB_LANE_SUM_GLSL
#define LACUNA_LIB_LANE_SUM_GLSL

#if LACUNA_SUBGROUP

#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require

uint laneIndex()
{
    return gl_SubgroupID * gl_SubgroupSize + gl_SubgroupInvocationID;
}

// `lanes` is a power of two, at most the subgroup size.
float laneSum(float value, uint lanes)
{
    for (uint step = 1; step < lanes; step *= 2)
        value += subgroupShuffleXor(value, step);
    return value;
}
float laneMax(float value, uint lanes)
{
    for (uint step = 1; step < lanes; step *= 2)
        value = max(value, subgroupShuffleXor(value, step));
    return value;
}

#else

uint laneIndex()
{
    return gl_LocalInvocationIndex;
}

float laneSum(float value, uint lanes)
{
    return value;
}
float laneMax(float value, uint lanes)
{
    return value;
}

#endif

#endif

// lanes.glsl - neighbouring lanes read neighbouring numbers.
//
// SPDX-License-Identifier: Apache-2.0
//
// A GPU merges such loads by itself. A CPU (lavapipe) gathers lane by lane, about 45 cycles for 8 lanes, but folds
// uniform loads that are selected by lane number into one vector load, so there the loads are written that way.
//
// spec   0 kLanes   workgroup size, one subgroup
//        1 kJoined  lanes of a vector register on a CPU, 8 or 16; 0 on a GPU
#ifndef GENERATE_LANES_GLSL
#define GENERATE_LANES_GLSL

#extension GL_KHR_shader_subgroup_basic : require

layout(local_size_x_id = 0) in;
layout(constant_id = 0) const uint kLanes = 32;
layout(constant_id = 1) const uint kJoined = 0;

float pick(vec4 values, uint first, float other)
{
    const uint lane = gl_SubgroupInvocationID;
    float v = lane == first ? values.x : other;
    v = lane == first + 1 ? values.y : v;
    v = lane == first + 2 ? values.z : v;
    return lane == first + 3 ? values.w : v;
}

vec2 pickPairs(vec4 values, uint first, vec2 other)
{
    const uint lane = gl_SubgroupInvocationID;
    const vec2 v = lane == first ? values.xy : other;
    return lane == first + 1 ? values.zw : v;
}

// Number `lane` of those that start at memory.at[first]; `first` is the same in all lanes.
float loadLanes(Vec4Array memory, uint first)
{
    if (kJoined == 0)
        return memory.at[first + gl_LocalInvocationIndex / 4][gl_LocalInvocationIndex % 4];
    float v = pick(memory.at[first + 1], 4, pick(memory.at[first], 0, 0.0));
    if (kJoined == 16)
        v = pick(memory.at[first + 3], 12, pick(memory.at[first + 2], 8, v));
    return v;
}

// Pair `lane` of those that start at memory.at[first].
vec2 loadLanePairs(Vec4Array memory, uint first)
{
    if (kJoined == 0)
    {
        const vec4 two = memory.at[first + gl_LocalInvocationIndex / 2];
        return gl_LocalInvocationIndex % 2 == 0 ? two.xy : two.zw;
    }
    vec2 v = vec2(0.0);
    for (uint i = 0; i < kJoined / 2; ++i)
        v = pickPairs(memory.at[first + i], 2 * i, v);
    return v;
}

#endif

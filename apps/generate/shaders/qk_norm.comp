#version 460
// qk_norm.comp - queries, keys and values as attention wants them: RMS norm over all heads together, rotary positions.
//
// SPDX-License-Identifier: Apache-2.0
//
// in     x       f32 [rows, parts, width]
// in     weight  f32 [parts, width]
// in     table   f32 [tokens, head_dim / 2, 2]   cosine and sine of each pair; row r is token r % tokens
// out    result  f32 or f16 [rows, parts, width]; as f32 it may be x
//
// grid   (x, y, parts) with x * y >= rows, one subgroup per row and part
// spec   0 kLanes, 1 kJoined: lanes.glsl
//        2 kHeadDim
//        3 kNormed   parts below it are normed; a part from there on is only converted
//        4 kRotates  1: normed parts are rotated too

#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_arithmetic : require
#include "memory.glsl"
#include "lanes.glsl"
#include "push.h"

layout(constant_id = 2) const uint kHeadDim = 64;
layout(constant_id = 3) const uint kNormed = 2;
layout(constant_id = 4) const uint kRotates = 1;

layout(push_constant) uniform Push
{
    QkNormPush push;
};

const float kEpsilon = 1e-6;

float inverseRms(Vec4Array x)
{
    vec2 square = vec2(0.0);
    uint first = 0; // a pair
    do
    {
        const vec2 pair = loadLanePairs(x, first / 2);
        square += pair * pair;
        first += kLanes;
    } while (first < push.width / 2);
    return inversesqrt(subgroupAdd(square.x + square.y) / float(push.width) + kEpsilon);
}

// The heads repeat the table, so with more lanes than pairs in a head each lane finds its own place.
vec2 turnOf(Vec4Array table, uint first)
{
    if (kLanes <= kHeadDim / 2)
        return loadLanePairs(table, first % (kHeadDim / 2) / 2);
    const uint pair = (first + gl_LocalInvocationIndex) % (kHeadDim / 2);
    const vec4 two = table.at[pair / 2];
    return pair % 2 == 0 ? two.xy : two.zw;
}

void store(uvec2 row, uint pair, vec2 value)
{
#ifdef GENERATE_F16
    UintArray(row).at[pair] = packHalf2x16(value);
#else
    Vec2Array(row).at[pair] = value;
#endif
}

void main()
{
    const uint row = gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x;
    if (row >= push.rows)
        return;
    const uint part = gl_WorkGroupID.z;
    const uint line = row * push.parts + part;
    Vec4Array x = Vec4Array(advance(push.x, line, 4 * push.width));
    const uvec2 result = advance(push.result, line, push.element_bytes * push.width);

    const bool is_normed = part < kNormed;
    const float factor = is_normed ? inverseRms(x) : 1.0;
    Vec4Array weight = Vec4Array(advance(push.weight, is_normed ? part : 0, 4 * push.width));
    Vec4Array table = Vec4Array(advance(push.table, row % push.tokens, 4 * kHeadDim));

    uint first = 0; // a pair
    do
    {
        vec2 pair = loadLanePairs(x, first / 2) * factor;
        if (is_normed)
            pair *= loadLanePairs(weight, first / 2);
        if (is_normed && kRotates == 1)
        {
            const vec2 turn = turnOf(table, first);
            pair = vec2(pair.x * turn.x - pair.y * turn.y, pair.x * turn.y + pair.y * turn.x);
        }
        store(result, first + gl_LocalInvocationIndex, pair);
        first += kLanes;
    } while (first < push.width / 2);
}

// memory.glsl - device memory by 64-bit address without 64-bit integers: typed views and exact address arithmetic.
//
// SPDX-License-Identifier: Apache-2.0
//
// An address is a uvec2, low word first. Move a base with advance(), which is exact for any size, and index a view only
// within a few rows of it.
#ifndef GENERATE_MEMORY_GLSL
#define GENERATE_MEMORY_GLSL

#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require

layout(buffer_reference, std430, buffer_reference_align = 4) buffer UintArray
{
    uint at[];
};
layout(buffer_reference, std430, buffer_reference_align = 4) buffer FloatArray
{
    float at[];
};
layout(buffer_reference, std430, buffer_reference_align = 8) buffer Vec2Array
{
    vec2 at[];
};
layout(buffer_reference, std430, buffer_reference_align = 16) buffer Vec4Array
{
    vec4 at[];
};

// address + count * bytes
uvec2 advance(uvec2 address, uint count, uint bytes)
{
    uint high, low, carry;
    umulExtended(count, bytes, high, low);
    low = uaddCarry(address.x, low, carry);
    return uvec2(low, address.y + high + carry);
}

#endif

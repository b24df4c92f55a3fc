// memory.glsl - device memory by 64-bit address without 64-bit integers.
//
// SPDX-License-Identifier: Apache-2.0
//
// An address is a uvec2, low word first. Move a base with advance(), which is exact for any tensor
// size; index a view only within 2^31 elements, because drivers treat the index as signed 32 bits.
//
// Two faults of lavapipe (Mesa 26.1) that robust access does not hide for addresses:
//   a loop that tests first runs its body once more with no lane active, and a load from a uniform
//   address is not masked: do not follow `table[i]` in such a loop, but test at the end;
//   with LP_NATIVE_VECTOR_WIDTH=512 an address that differs between lanes crashes the compiler:
//   keep addresses uniform and let the index differ.
#ifndef LACUNA_LIB_MEMORY_GLSL
#define LACUNA_LIB_MEMORY_GLSL

#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require

layout(buffer_reference, std430, buffer_reference_align = 4) buffer UintArray
{
    uint at[];
};
layout(buffer_reference, std430, buffer_reference_align = 8) buffer Uvec2Array
{
    uvec2 at[];
};
layout(buffer_reference, std430, buffer_reference_align = 16) buffer Uvec4Array
{
    uvec4 at[];
};
layout(buffer_reference, std430, buffer_reference_align = 4) buffer FloatArray
{
    float at[];
};
layout(buffer_reference, std430, buffer_reference_align = 16) buffer Vec4Array
{
    vec4 at[];
};

bool isNull(uvec2 address)
{
    return (address.x | address.y) == 0;
}

// address + count * bytes
uvec2 advance(uvec2 address, uint count, uint bytes)
{
    uint high, low, carry;
    umulExtended(count, bytes, high, low);
    low = uaddCarry(address.x, low, carry);
    return uvec2(low, address.y + high + carry);
}

// Types of stored numbers, as LacunaDtype has them.
const uint kF16 = 1;
const uint kF32 = 2;
const uint kBf16 = 3;
const uint kI8 = 4; // the library's own, see round_keys.comp

// Of 8 channels: one uvec4 of fp16 or bf16, two vec4 of fp32.
uint octetBytes(uint dtype)
{
    return dtype == kF32 ? 32 : dtype == kI8 ? 8 : 16;
}

vec4 unpackHalf4(uvec2 words)
{
    return vec4(unpackHalf2x16(words.x), unpackHalf2x16(words.y));
}

uvec2 packHalf4(vec4 values)
{
    return uvec2(packHalf2x16(values.xy), packHalf2x16(values.zw));
}

// bf16 is the upper half of an fp32; to nearest, ties to even, NaN stays one.
vec4 unpackBfloat4(uvec2 words)
{
    return uintBitsToFloat(uvec4(words.x << 16, words.x & 0xffff0000u, words.y << 16,
                                 words.y & 0xffff0000u));
}

uvec2 packBfloat4(vec4 values)
{
    const uvec4 bits = floatBitsToUint(values);
    const uvec4 rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    const uvec4 parts = mix(rounded, uvec4(0x7fc0u), isnan(values));
    return uvec2(parts.x | parts.y << 16, parts.z | parts.w << 16);
}

// Quad i of a tensor is 4 channels.
vec4 loadQuad(uvec2 base, uint index, uint dtype)
{
    if (dtype == kF32)
        return Vec4Array(base).at[index];
    const uvec2 words = Uvec2Array(base).at[index];
    return dtype == kF16 ? unpackHalf4(words) : unpackBfloat4(words);
}

// Two neighbouring quads, of 16-bit numbers by one load of 16 bytes.
struct Octet
{
    vec4 low, high;
};

Octet loadOctet(uvec2 base, uint index, uint dtype)
{
    if (dtype == kF32)
        return Octet(Vec4Array(base).at[2 * index], Vec4Array(base).at[2 * index + 1]);
    const uvec4 words = Uvec4Array(base).at[index];
    return dtype == kF16 ? Octet(unpackHalf4(words.xy), unpackHalf4(words.zw))
                         : Octet(unpackBfloat4(words.xy), unpackBfloat4(words.zw));
}

void storeQuad(uvec2 base, uint index, vec4 quad, uint dtype)
{
    if (dtype == kF32)
        Vec4Array(base).at[index] = quad;
    else
        Uvec2Array(base).at[index] = dtype == kF16 ? packHalf4(quad) : packBfloat4(quad);
}

#endif

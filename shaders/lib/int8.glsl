// int8.glsl - numbers as 8-bit integers with one scale, four in a word for integer dot products.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef LACUNA_LIB_INT8_GLSL
#define LACUNA_LIB_INT8_GLSL

// The largest integer; -128 has no use, its negative is none.
const float kLargestInt8 = 127;

float largestOf(vec4 quad)
{
    const vec4 size = abs(quad);
    return max(max(size.x, size.y), max(size.z, size.w));
}

// What numbers up to `largest` are multiplied by. Smaller ones than that all count as 0.
float int8Factor(float largest)
{
    return largest > 1e-30 ? kLargestInt8 / largest : 0;
}

int packInt8(vec4 quad, float factor)
{
    const ivec4 bytes = ivec4(roundEven(clamp(quad * factor, -kLargestInt8, kLargestInt8))) & 255;
    return bytes.x | bytes.y << 8 | bytes.z << 16 | bytes.w << 24;
}

#endif

// ordered_key.glsl - scores as unsigned keys that can be compared whole or by digits.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef LACUNA_LIB_ORDERED_KEY_GLSL
#define LACUNA_LIB_ORDERED_KEY_GLSL

// Greater floats have greater keys, +0 equals -0; 0 is left for NaN.
uint orderedKey(float score)
{
    const uint bits = floatBitsToUint(score);
    const uint magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u)
        return 0;
    return bits == magnitude || magnitude == 0 ? magnitude | 0x80000000u : ~bits;
}

#endif

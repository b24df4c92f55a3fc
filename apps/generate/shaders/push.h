// push.h - what the generator's shaders are given; included by C++ and GLSL.
//
// SPDX-License-Identifier: Apache-2.0
//
// A uvec2 is a device address; the shader that takes the struct says what lies there. Sizes count elements.
#ifndef GENERATE_PUSH_H
#define GENERATE_PUSH_H

#ifdef __cplusplus
#include <cstdint>
namespace generate
{
using uint = uint32_t;
using uvec2 = uint64_t; // GLSL takes the address as two words, low word first
#endif

struct GemmPush
{
    uvec2 x;
    uvec2 weight;
    uvec2 bias;
    uvec2 result;
    uvec2 residual;
    uvec2 gate;
    uint rows;
    uint inner; // a multiple of 16
    uint columns;
    uint unused;
};

struct NormPush
{
    uvec2 x;
    uvec2 scale;
    uvec2 shift;
    uvec2 result;
    uint rows;
    uint width; // a multiple of 64
};

struct QkNormPush
{
    uvec2 x;
    uvec2 weight;
    uvec2 table;
    uvec2 result;
    uint rows;
    uint parts;
    uint width; // a multiple of 128
    uint tokens;
    uint element_bytes; // of result
    uint unused;
};

// patchify.comp and step.comp
struct ClipPush
{
    uvec2 clip;
    uvec2 velocity;
    uvec2 result;
    uint channels;
    uint frames;
    uint rows; // of patches
    uint columns;
    uint patch_size;
    uint branches;
    float guidance;
    float amount; // the next sigma minus this one
};

struct ModulatePush
{
    uvec2 modulation;
    uvec2 embedding;
    uvec2 result;
    uint width;
    uint period;
};

#ifdef __cplusplus
} // namespace generate
#endif

#endif

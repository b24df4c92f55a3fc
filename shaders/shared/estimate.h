// estimate.h - push constants of the ESTIMATE shaders; included by C++ and GLSL.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef LACUNA_SHARED_ESTIMATE_H
#define LACUNA_SHARED_ESTIMATE_H

#include "types.h"

LACUNA_SHARED_BEGIN

// Strides are in units of 8 elements.
struct PoolPush
{
    uvec2 source;
    uvec2 order;   // u32 [tokens], position -> token of the source; address 0 is the identity
    uvec2 borders; // u32 [blocks + 1], positions
    uvec2 mean;    // f32 [slices, blocks, D]
    uint blocks;
    uint heads;
    uint slices; // B * heads
    uint source_batch, source_head, source_token;
};

struct BlockScoresPush
{
    uvec2 q_mean; // f32 [slices, rows, D]
    uvec2 k_mean; // f32 [B * Hkv, blocks, D]
    uvec2 scores; // f32 [slices, rows, blocks]
    uint rows;
    uint blocks;
    uint slices;   // B * Hq
    uint kv_group; // Hq / Hkv
};

LACUNA_SHARED_END

#endif

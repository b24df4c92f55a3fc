// select.h - push constants of the SELECT shaders; included by C++ and GLSL.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef LACUNA_SHARED_SELECT_H
#define LACUNA_SHARED_SELECT_H

#include "types.h"

LACUNA_SHARED_BEGIN

struct TopkPush
{
    uvec2 scores; // f32 [slices, rows, blocks]
    uvec2 own;    // u32 [row_end - row_begin], the candidate nearest to each row
    uvec2 bits;   // u32 [slices, rows, words]
    uint slices;  // B * Hq
    uint rows;
    uint row_begin, row_end;
    uint blocks;
    uint candidate_begin, candidate_end;
    uint words; // ceil(blocks / 32)
    uint keep;
    uint local_radius;
};

struct TopPPush
{
    uvec2 scores; // f32 [slices, rows, blocks]
    uvec2 always; // u32 [rows, words]; null: none
    uvec2 bits;   // u32 [slices, rows, words]
    uint slices;  // B * Hq
    uint rows;
    uint row_begin, row_end;
    uint blocks;
    uint candidate_begin, candidate_end;
    uint words; // ceil(blocks / 32)
    uint keep;
    float share;
    float scale; // of the softmax
};

LACUNA_SHARED_END

#endif

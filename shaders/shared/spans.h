// spans.h - push constants of the LIST shaders; included by C++ and GLSL.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef LACUNA_SHARED_SPANS_H
#define LACUNA_SHARED_SPANS_H

#include "types.h"

LACUNA_SHARED_BEGIN

struct SpansFromBitsPush
{
    uvec2 bits;    // u32 [rows, words], bit J of a row is key block J
    uvec2 borders; // u32 [blocks + 1], positions of the keys
    uvec2 ranges;  // u32 {first, count} [rows]
    uvec2 spans;   // u32 {begin, end} [rows, max_spans]
    uint rows;     // of all heads
    uint blocks;
    uint words;
    uint max_spans;
    uint first_group;
};

LACUNA_SHARED_END

#endif

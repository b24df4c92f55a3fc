// order.h - push constants of the ORDER shaders; included by C++ and GLSL.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef LACUNA_SHARED_ORDER_H
#define LACUNA_SHARED_ORDER_H

#include "types.h"

LACUNA_SHARED_BEGIN

// A vector is 16 bytes. Strides are in vectors, so that 32 bits reach 64 GiB.
struct GatherPush
{
    uvec2 source;
    uvec2 order; // u32, position -> token of the source
    uvec2 dense; // [slices, tokens, vectors]
    uint tokens;
    uint heads;  // of dense
    uint slices; // B * heads
    uint source_batch, source_head, source_token;
};

LACUNA_SHARED_END

#endif

// coreset.h - what coreset.comp is given; included by C++ and GLSL.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef LACUNA_SHARED_CORESET_H
#define LACUNA_SHARED_CORESET_H

#include "types.h"

LACUNA_SHARED_BEGIN

// A bucket, or text, which stays where it is: positions begin .. end - 1 of the members.
struct CoresetBlock
{
    uint begin;
    uint end;
    uint size;         // of the bucket; 0: text
    uint centre;       // counted in the bucket
    uint kept;         // tokens besides the centre that are in the coreset
    uint centre_first; // places in the order of the keys: of the centre,
    uint kept_first;   // of the first kept token
    uint merged_first; // and of the first merged one
};

// Strides in units of 8 elements.
struct CoresetPush
{
    uvec2 source;
    uvec2 blocks;
    uvec2 members;
    uvec2 routes;
    uvec2 others;
    uvec2 order;
    uint tokens;
    uint heads;  // Hq
    uint slices; // B * Hq
    uint source_batch, source_head, source_token;
};

LACUNA_SHARED_END

#endif

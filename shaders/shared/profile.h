// profile.h - what mask_error.comp and choose.comp are given; included by C++ and GLSL.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef LACUNA_SHARED_PROFILE_H
#define LACUNA_SHARED_PROFILE_H

#include "types.h"

LACUNA_SHARED_BEGIN

// Strides in units of 8 elements.
struct MaskErrorPush
{
    uvec2 q;
    uvec2 k;
    uvec2 v;
    uvec2 samples; // u32 {token, list row}
    uvec2 ranges;
    uvec2 spans;
    uvec2 sinks;
    uvec2 errors;
    uint samples_end; // how many
    uint rows;
    uint k_len;
    uint heads;  // Hq
    uint slices; // B * Hq
    uint q_batch, q_head, q_token;
    uint k_batch, k_head, k_token;
    uint v_batch, v_head, v_token;
    float scale_log2; // scale * log2(e): logits are in base 2
    float cap_log2;   // the soft cap, likewise
};

struct ChoosePush
{
    uvec2 errors;
    uvec2 choices;
    uvec2 from_ranges;
    uvec2 from_spans;
    uvec2 ranges;
    uvec2 spans;
    uint rows;
    uint lists;
    uint samples;
    uint span_count;
    uint heads;  // Hq
    uint slices; // B * Hq
};

LACUNA_SHARED_END

#endif

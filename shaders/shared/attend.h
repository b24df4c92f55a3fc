// attend.h - what the ATTEND kernels are given; included by C++ and GLSL.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef LACUNA_SHARED_ATTEND_H
#define LACUNA_SHARED_ATTEND_H

#include "types.h"

LACUNA_SHARED_BEGIN

struct AttendPush
{
    uvec2 params; // AttendParams
    uvec2 items;  // AttendItem [workgroups in x]
    uvec2 order;  // u32 [Nq], position -> caller's token; address 0 is the identity
    uvec2 ranges; // u32 {first, count} per list row
    uvec2 spans;  // u32 {begin, end}
    uvec2 q;
    uvec2 k;
    uvec2 v;
    uvec2 result; // the output
    uvec2 lse;    // f32 [B, Hq, Nq]; address 0 is not wanted
};

// Strides are in units of 8 elements, so that 32 bits reach 2^35 elements.
struct AttendParams
{
    uint q_len;       // Nq
    uint k_len;       // Nk
    uint q_heads;     // Hq
    uint kv_group;    // Hq / Hkv
    uint head_stride; // list rows between heads; 0: one list for all
    float scale_log2; // scale * log2(e): logits are in base 2
    uint q_batch, q_head, q_token;
    uint k_batch, k_head, k_token;
    uint v_batch, v_head, v_token;
    uint out_batch, out_head, out_token;
};

// Queries begin .. end - 1 of the method's order, all of list row `row`; one workgroup.
struct AttendItem
{
    uint begin;
    uint end;
    uint row;
    uint unused;
};

// widen.comp; strides in units of 8 elements.
struct WidenPush
{
    uvec2 source;
    uvec2 wide;
    uint tokens;
    uint batch, head, token;
};

LACUNA_SHARED_END

#endif

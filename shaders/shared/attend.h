// attend.h - what the ATTEND kernels are given; included by C++ and GLSL.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef LACUNA_SHARED_ATTEND_H
#define LACUNA_SHARED_ATTEND_H

#include "types.h"

LACUNA_SHARED_BEGIN

struct AttendPush
{
    uvec2 params;   // AttendParams
    uvec2 items;    // AttendItem [item_count]
    uvec2 order;    // u32 [Nq] or [Hq, Nq], position -> caller's token; address 0 is the identity
    uvec2 ranges;   // u32 {first, count} per list row
    uvec2 spans;    // u32 {begin, end}
    uvec2 bounds;   // u32 {begin, end} or {low, high} per query position, see KeyBounds
    uvec2 places;   // u32 per key position, likewise; with kHasBoxes only
    uvec2 key_order; // u32 [key_orders, Nk], position -> caller's token; address 0 is the identity
    uvec2 partials; // f32 [slots, rows, D + 4], see kPartialExtra
    uvec2 q;
    uvec2 k;
    uvec2 v;
    uvec2 result; // the output
    uvec2 lse;    // f32 [B, Hq, Nq]; address 0 is not wanted
    uvec2 sinks;  // f32 [Hq], logits in base 2; address 0 is none
    uint first_group;
    uint item_count; // group g is item g % item_count, its heads move on by g / item_count
};

// Strides are in units of 8 elements, so that 32 bits reach 2^35 elements.
struct AttendParams
{
    uint q_len;       // Nq
    uint k_len;       // Nk
    uint q_heads;     // Hq
    uint kv_group;    // Hq / Hkv
    uint head_stride; // list rows between heads; 0: one list for all
    uint slots;       // partial results between heads, where heads share the items
    uint order_head;  // entries of the order between heads; 0: one order for all
    float scale_log2; // scale * log2(e): logits are in base 2
    float cap_log2;   // the soft cap, likewise; with kSoftCap only
    uint sink_keys;   // keys below it are in every window that does not end before them
    uint box_guard;   // the guard bits of places; with kHasBoxes only
    uint key_orders;  // 1: one for all heads, Hq, or B * Hq; with the caller's functions only
    uint q_batch, q_head, q_token;
    uint k_batch, k_head, k_token;
    uint v_batch, v_head, v_token;
    uint out_batch, out_head, out_token;
    uint first_batch, first_head; // of this part of the heads; with the caller's functions only
};

const uint kNone = 0xffffffffu;

// Queries begin .. end - 1 of the method's order and some of their keys; one workgroup.
struct AttendItem
{
    uint begin;
    uint end;
    uint head;  // b * Hq + h
    uint slot;  // the place of a partial result; kNone: the whole row, its result is final
    uint first; // spans first .. first + count - 1, of them the keys low .. high - 1
    uint count; // kNone: all spans of list row `first` of this head
    uint low;
    uint high;
};

// A row of a partial result is O, not divided by the sum, then the maximum (base 2) and the sum.
const uint kPartialExtra = 4;

// widen.comp, round_keys.comp; strides in units of 8 elements.
struct CopyPush
{
    uvec2 source;
    uvec2 copy;
    uint tokens;
    uint heads;
    uint batch, head, token;
    uint first_group;
    uint slice_groups; // workgroups of one head
};

// The parts of one tile of queries; merge.comp adds them up in their order.
struct MergeItem
{
    uint begin;
    uint end;
    uint head;
    uint slot;
    uint count; // 0: nothing to do
    uint unused;
};

struct MergePush
{
    uvec2 merges;   // MergeItem [item_count]
    uvec2 order;    // as in AttendPush
    uvec2 partials; // f32 [slots, rows, D + 4]
    uvec2 result;
    uvec2 lse;
    uvec2 sinks;
    uint first_group;
    uint item_count;
    uint slots;
    uint tile_rows;
    uint q_len;
    uint q_heads;
    uint order_head; // as in AttendParams
    uint out_batch, out_head, out_token;
};

LACUNA_SHARED_END

#endif

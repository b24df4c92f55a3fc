#version 460
// work_offsets.comp - decides how long a part is, and where the items of every row go.
//
// SPDX-License-Identifier: Apache-2.0
//
// in     keys     u32 [all_rows]
// in     borders  u32 [rows + 1]
// out    offsets  u32 {rank of first item, first slot, first merge, keys of a part} [all_rows]
// out    totals   u32 {items, merges}
//
// grid   one workgroup; a thread has consecutive rows, and sums go from thread to thread in order
// spec   0 kThreads   workgroup size

#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "attend/work.glsl"

layout(local_size_x_id = 0) in;
layout(constant_id = 0) const uint kThreads = 64;

// What rows need: items of each class of length, slots and merges.
const uint kSlots = kLengthClasses;
const uint kMerges = kLengthClasses + 1;
const uint kCounts = kLengthClasses + 2;
shared uint counts[kCounts * kThreads];
shared uint sums[kCounts];
shared uint units[kThreads];

struct RowWork
{
    uint part_keys;
    uint kind;   // class of length
    uint items;
    uint slots;
    uint merges;
};

uint tilesOf(uint index)
{
    const uvec2 queries = queriesOf(index);
    return tileCount(queries.y - queries.x, push.limits);
}

RowWork workOf(uint index, uint piece)
{
    const uint keys = UintArray(push.keys).at[index];
    const uint tiles = tilesOf(index);
    RowWork work;
    work.part_keys = partLength(keys, piece, push.limits);
    work.kind = lengthClass(work.part_keys, piece);
    const uint parts = partCount(keys, work.part_keys);
    work.items = tiles * parts;
    work.slots = parts > 1 ? work.items : 0;
    work.merges = parts > 1 ? tiles : 0;
    return work;
}

void main()
{
    const uint thread = gl_LocalInvocationIndex;
    const uint chunk = ceilDivide(push.all_rows, kThreads);
    const uint begin = min(thread * chunk, push.all_rows);
    const uint end = min(begin + chunk, push.all_rows);

    // 1. The total of all keys gives the length of a piece.
    uint own_units = 0;
    for (uint index = begin; index < end; ++index)
        own_units += tilesOf(index) * unitsOf(UintArray(push.keys).at[index], push.limits);
    units[thread] = own_units;
    barrier();
    uint total_units = 0;
    for (uint i = 0; i < kThreads; ++i)
        total_units += units[i];
    const uint piece = pieceOf(total_units, push.limits);

    // 2. What the rows of this thread need, then what those of the threads before it need.
    uint own[kCounts];
    [[unroll]] for (uint n = 0; n < kCounts; ++n)
        own[n] = 0;
    for (uint index = begin; index < end; ++index)
    {
        const RowWork work = workOf(index, piece);
        [[unroll]] for (uint n = 0; n < kLengthClasses; ++n)
            own[n] += n == work.kind ? work.items : 0;
        own[kSlots] += work.slots;
        own[kMerges] += work.merges;
    }
    [[unroll]] for (uint n = 0; n < kCounts; ++n)
        counts[n * kThreads + thread] = own[n];
    barrier();
    for (uint n = thread; n < kCounts; n += kThreads)
    {
        uint sum = 0;
        for (uint i = 0; i < kThreads; ++i)
        {
            const uint count = counts[n * kThreads + i];
            counts[n * kThreads + i] = sum;
            sum += count;
        }
        sums[n] = sum;
    }
    barrier();

    // 3. Places: the classes one after the other, rows in order within a class.
    uint items = 0;
    [[unroll]] for (uint n = 0; n < kCounts; ++n)
    {
        own[n] = counts[n * kThreads + thread];
        if (n < kLengthClasses)
        {
            own[n] += items;
            items += sums[n];
        }
    }
    for (uint index = begin; index < end; ++index)
    {
        const RowWork work = workOf(index, piece);
        uint first = 0;
        [[unroll]] for (uint n = 0; n < kLengthClasses; ++n)
            if (n == work.kind)
            {
                first = own[n];
                own[n] += work.items;
            }
        Uvec4Array(push.offsets).at[index] =
            uvec4(first, own[kSlots], own[kMerges], work.part_keys);
        own[kSlots] += work.slots;
        own[kMerges] += work.merges;
    }
    if (thread == 0)
        Uvec2Array(push.totals).at[0] = uvec2(items, sums[kMerges]);
}

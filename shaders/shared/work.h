// work.h - how the keys of a row become work items of bounded length; C++ and GLSL decide alike.
//
// SPDX-License-Identifier: Apache-2.0
//
// With `target` items wanted, a piece is total / target keys, but not less than min_piece. A row of
// more than two pieces is split into parts of nearly equal length, at most a piece each. That is at
// least three parts, and at most 1.5 * target parts of all rows together.
#ifndef LACUNA_SHARED_WORK_H
#define LACUNA_SHARED_WORK_H

#include "types.h"

LACUNA_SHARED_BEGIN

struct WorkLimits
{
    uint step;       // keys that a kernel takes at once: parts and pieces are multiples of it
    uint min_piece;  // keys
    uint target;     // items
    uint unit_shift; // totals count 2^unit_shift keys, so that 32 bits hold them
    uint tile_rows;  // queries of one item
    uint k_len;
    uint runs; // see placeOf()
};

// The three passes that make items on the device: work_keys, work_offsets, work_items.
struct WorkPush
{
    uvec2 ranges;  // u32 {first, count} per list row
    uvec2 spans;   // u32 {begin, end}
    uvec2 borders; // u32 [rows + 1], positions of the queries
    uvec2 keys;    // u32 [all_rows], kept keys
    uvec2 offsets; // u32 {rank of first item, first slot, first merge, keys of a part}
    uvec2 totals;  // u32 {items, merges}
    uvec2 items;   // AttendItem [item_capacity], those beyond the total are empty
    uvec2 merges;  // MergeItem [merge_capacity], likewise
    uint first_group;
    uint rows;        // of one head
    uint all_rows;    // of all heads that have a list
    uint head_stride; // list rows between heads
    uint item_capacity;
    uint merge_capacity;
    WorkLimits limits;
};

LACUNA_SHARED_FUNCTION uint ceilDivide(uint value, uint unit)
{
    return (value + unit - 1) / unit;
}

// Tiles that the queries of one list row are cut into.
LACUNA_SHARED_FUNCTION uint tileCount(uint queries, WorkLimits limits)
{
    return ceilDivide(queries, limits.tile_rows);
}

// What one tile of a row with `keys` keys adds to the total.
LACUNA_SHARED_FUNCTION uint unitsOf(uint keys, WorkLimits limits)
{
    return ceilDivide(keys, 1u << limits.unit_shift);
}

LACUNA_SHARED_FUNCTION uint pieceOf(uint total_units, WorkLimits limits)
{
    const uint units = ceilDivide(total_units, limits.target);
    if (units > unitsOf(limits.k_len, limits))
        return limits.k_len; // more than any row has
    const uint keys = ceilDivide(units << limits.unit_shift, limits.step) * limits.step;
    return keys > limits.min_piece ? keys : limits.min_piece;
}

// Keys of each part but the last; kept whole: all of them, but not 0.
LACUNA_SHARED_FUNCTION uint partLength(uint keys, uint piece, WorkLimits limits)
{
    if (keys <= 2 * piece)
        return keys > 0 ? keys : 1u;
    return ceilDivide(ceilDivide(keys, ceilDivide(keys, piece)), limits.step) * limits.step;
}

// Parts of one tile.
LACUNA_SHARED_FUNCTION uint partCount(uint keys, uint length)
{
    return keys > length ? ceilDivide(keys, length) : 1u;
}

const uint kLengthClasses = 4;

// Long items go first, by classes of length; within a class the order stays, for the caches' sake.
LACUNA_SHARED_FUNCTION uint lengthClass(uint length, uint piece)
{
    return length > piece ? 0u : length > piece / 2 ? 1u : length > piece / 4 ? 2u : 3u;
}

// Where the item of this rank goes. A CPU gives each of its threads one run of neighbouring
// workgroups: dealt out to the runs in turn, they cost the same. `capacity` is a multiple of
// `runs`.
LACUNA_SHARED_FUNCTION uint placeOf(uint rank, uint capacity, uint runs)
{
    return rank % runs * (capacity / runs) + rank / runs;
}

LACUNA_SHARED_END

#endif

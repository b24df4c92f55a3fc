#version 460
// work_items.comp - writes the work items of every list row where work_offsets.comp put them.
//
// SPDX-License-Identifier: Apache-2.0
//
// in     ranges, spans, borders, keys, offsets, totals as in WorkPush
// out    items   AttendItem [item_capacity]
// out    merges  MergeItem [merge_capacity]
//
// grid   flat, one invocation per row; all of them fill up what is left with empty items
// spec   0 kThreads   workgroup size

#extension GL_GOOGLE_include_directive : require
#include "attend/work.glsl"
#include "shared/attend.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 0) const uint kThreads = 64;

layout(buffer_reference, std430, buffer_reference_align = 4) writeonly buffer ItemArray
{
    AttendItem at[];
};
layout(buffer_reference, std430, buffer_reference_align = 4) writeonly buffer MergeArray
{
    MergeItem at[];
};

void writeItem(uint rank, AttendItem item)
{
    ItemArray(push.items).at[placeOf(rank, push.item_capacity, push.limits.runs)] = item;
}

// The tiles of a row that is not split.
void writeWhole(uvec2 queries, uint head, uvec2 range, uint rank)
{
    for (uint begin = queries.x; begin < queries.y; begin += push.limits.tile_rows)
    {
        const uint end = min(begin + push.limits.tile_rows, queries.y);
        writeItem(rank++, AttendItem(begin, end, head, kNone, range.x, range.y, 0, kNone));
    }
}

// One part of every tile: `item` has its keys; parts of a tile lie side by side.
void writePart(uvec2 queries, AttendItem item, uint rank, uint slot, uint part, uint parts)
{
    for (uint begin = queries.x; begin < queries.y; begin += push.limits.tile_rows)
    {
        item.begin = begin;
        item.end = min(begin + push.limits.tile_rows, queries.y);
        item.slot = slot + part;
        writeItem(rank + part, item);
        rank += parts;
        slot += parts;
    }
}

void writeMerges(uvec2 queries, uint head, uint at, uint slot, uint parts)
{
    for (uint begin = queries.x; begin < queries.y; begin += push.limits.tile_rows)
    {
        const uint end = min(begin + push.limits.tile_rows, queries.y);
        MergeArray(push.merges).at[at++] = MergeItem(begin, end, head, slot, parts, 0);
        slot += parts;
    }
}

// Walks the spans once: a part ends after `length` keys, in the middle of a span or at its end.
void writeParts(uvec2 queries, uint head, uvec2 range, uvec4 offset, uint parts)
{
    uint span = range.x;
    AttendItem item = AttendItem(0, 0, head, 0, span, 0, Uvec2Array(push.spans).at[span].x, 0);
    uint left = offset.w;
    for (uint part = 0; part < parts;)
    {
        const uvec2 keys = Uvec2Array(push.spans).at[span];
        const uint low = max(keys.x, item.low);
        const bool is_last = span + 1 == range.x + range.y;
        if (keys.y - low < left && !is_last)
        {
            left -= keys.y - low;
            ++span;
            continue;
        }
        item.high = keys.y - low < left ? keys.y : low + left;
        item.count = span - item.first + 1;
        writePart(queries, item, offset.x, offset.y, part, parts);
        if (item.high == keys.y && !is_last)
            ++span;
        item.first = span;
        item.low = item.high;
        left = offset.w;
        ++part;
    }
}

void main()
{
    const uint index =
        (push.first_group + flatGroup()) * gl_WorkGroupSize.x + gl_LocalInvocationIndex;
    if (index >= push.all_rows)
        return;
    const uint head = index / push.rows;
    const uvec2 range = rangeOf(index);
    const uvec2 queries = queriesOf(index);
    const uvec4 offset = Uvec4Array(push.offsets).at[index];
    const uint parts = partCount(UintArray(push.keys).at[index], offset.w);
    if (parts > 1)
    {
        writeParts(queries, head, range, offset, parts);
        writeMerges(queries, head, offset.z, offset.y, parts);
    }
    else
        writeWhole(queries, head, range, offset.x);

    const uvec2 totals = Uvec2Array(push.totals).at[0];
    for (uint i = totals.x + index; i < push.item_capacity; i += push.all_rows)
        writeItem(i, AttendItem(0, 0, 0, kNone, 0, 0, 0, 0));
    for (uint i = totals.y + index; i < push.merge_capacity; i += push.all_rows)
        MergeArray(push.merges).at[i] = MergeItem(0, 0, 0, 0, 0, 0);
}

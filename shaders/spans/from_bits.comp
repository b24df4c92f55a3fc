#version 460
// from_bits.comp - turn a bit map of key blocks into spans of keys; touching blocks become one
// span.
//
// SPDX-License-Identifier: Apache-2.0
//
// in     bits     u32 [rows, words]
// in     borders  u32 [blocks + 1]
// out    ranges   u32 {first, count} [rows], first = row * max_spans
// out    spans    u32 {begin, end} [rows, max_spans]
//
// grid   flat, ceil(rows / kThreads) workgroups, one invocation per row
// spec   0 kThreads   workgroup size

#extension GL_GOOGLE_include_directive : require
#include "lib/flat_group.glsl"
#include "lib/memory.glsl"
#include "shared/spans.h"

layout(local_size_x_id = 0) in;

layout(push_constant, std430) uniform Push
{
    SpansFromBitsPush push;
};

void main()
{
    // The addresses are those of the workgroup's first row, and the index differs: see memory.glsl.
    const uint first_row = (push.first_group + flatGroup()) * gl_WorkGroupSize.x;
    const uint row = first_row + gl_LocalInvocationIndex;
    if (row >= push.rows)
        return;

    UintArray bits = UintArray(advance(push.bits, first_row, push.words * 4));
    UintArray borders = UintArray(push.borders);
    Uvec2Array spans = Uvec2Array(advance(push.spans, first_row, push.max_spans * 8));
    const uint first_word = (row - first_row) * push.words;
    const uint first_span = (row - first_row) * push.max_spans;

    uint count = 0;
    uint begin = 0;
    uint last = 0; // the bit before this word
    for (uint word = 0; word < push.words; ++word)
    {
        // A set bit of `edges` is a block whose neighbour below differs: spans begin and end there
        // in turn.
        const uint kept = bits.at[first_word + word];
        uint edges = kept ^ (kept << 1 | last);
        last = kept >> 31;
        for (; edges != 0; edges &= edges - 1)
        {
            const uint bit = findLSB(edges);
            const uint border = borders.at[word * 32 + bit];
            if ((kept >> bit & 1) != 0)
                begin = border;
            else if (count < push.max_spans) // never beyond the row
                spans.at[first_span + count++] = uvec2(begin, border);
        }
    }
    if (last != 0 && count < push.max_spans) // blocks is a multiple of 32, and the last one is kept
        spans.at[first_span + count++] = uvec2(begin, borders.at[push.blocks]);
    Uvec2Array(push.ranges).at[row] = uvec2(row * push.max_spans, count);
}

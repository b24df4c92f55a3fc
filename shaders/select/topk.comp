#version 460
// topk.comp - mark the best-scoring key blocks of one query block in a bit map.
//
// SPDX-License-Identifier: Apache-2.0
//
// in     scores  f32 [B, Hq, rows, blocks]
// in     own     u32 [row_end - row_begin], the candidate in the middle of the forced ones
// out    bits    u32 [B, Hq, rows, words], bit J = block J is kept
//
// grid   (rows, slices, 1), one workgroup per query block
// spec   0 kThreads   workgroup size, at least 16
// shared 64 bytes and 4 bytes per invocation, whatever the number of blocks
// order  forced candidates first, then higher score, then lower block; a NaN ranks below every number and +0 equals -0;
//        as in reference(), block_topk.cpp

#extension GL_GOOGLE_include_directive : require
#include "lib/memory.glsl"
#include "lib/ordered_key.glsl"
#include "shared/select.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 0) const uint kThreads = 64;

layout(push_constant, std430) uniform Push { TopkPush push; };

const uint kDigitBits = 4;
shared uint bins[1 << kDigitBits];
shared uint sums[kThreads];

struct Row
{
    FloatArray scores; // of the candidates
    uint candidates;
    uint forced_begin, forced_end;
};

bool isForced(Row row, uint j)
{
    return j >= row.forced_begin && j < row.forced_end;
}

// What is kept of the candidates that are not forced: every key whose leading digits are above `prefix`, and the first
// `equal` of those whose leading digits are `prefix`; all of them if takes_all.
struct Threshold
{
    uint prefix;
    uint shift; // bits below the leading digits; 32: nothing is kept
    uint equal;
    bool takes_all;
};

// A digit at a time from the top, until the keys to be kept have leading digits of their own.
Threshold findThreshold(Row row, uint need)
{
    Threshold result = Threshold(0, 32, need, true);
    if (need == 0)
        return result;
    do
    {
        result.shift -= kDigitBits;
        if (gl_LocalInvocationIndex < bins.length())
            bins[gl_LocalInvocationIndex] = 0;
        barrier();
        for (uint j = gl_LocalInvocationIndex; j < row.candidates; j += kThreads)
        {
            const uint leading = orderedKey(row.scores.at[j]) >> result.shift;
            if (leading >> kDigitBits == result.prefix && !isForced(row, j))
                atomicAdd(bins[leading & (bins.length() - 1)], 1);
        }
        barrier();

        uint digit = bins.length() - 1;
        while (bins[digit] < result.equal)
            result.equal -= bins[digit--];
        result.prefix = result.prefix << kDigitBits | digit;
        result.takes_all = bins[digit] == result.equal;
        barrier(); // before the next digit clears the bins
    } while (result.shift > 0 && !result.takes_all);
    return result;
}

// Candidates of one word of the bit map: x are above the threshold, forced, or text; y are equal to it.
uvec2 classify(Row row, uint word, Threshold threshold)
{
    uvec2 masks = uvec2(0);
    for (uint bit = 0; bit < 32; ++bit)
    {
        const uint block = word * 32 + bit;
        if (block < push.candidate_begin || block >= push.candidate_end)
        {
            masks.x |= uint(block < push.blocks) << bit;
            continue;
        }
        const uint j = block - push.candidate_begin;
        const uint leading = orderedKey(row.scores.at[j]) >> (threshold.shift & 31);
        const bool is_forced = isForced(row, j), is_open = !is_forced && threshold.shift < 32;
        masks.x |= uint(is_forced || (is_open && leading > threshold.prefix)) << bit;
        masks.y |= uint(is_open && leading == threshold.prefix) << bit;
    }
    return masks;
}

// The lowest `count` set bits.
uint lowestBits(uint mask, uint count)
{
    uint result = 0;
    for (; count > 0 && mask != 0; --count)
    {
        result |= mask & (~mask + 1);
        mask &= mask - 1;
    }
    return result;
}

void selectRow(uint slice, uvec2 bits)
{
    const uint row_index = slice * push.rows + gl_WorkGroupID.x;
    const uvec2 scores = advance(advance(push.scores, row_index, push.blocks * 4), push.candidate_begin, 4);
    // The clamp is for lavapipe, which loads through a uniform address even where no lane is active: in text rows.
    const uint own_index = clamp(gl_WorkGroupID.x, push.row_begin, push.row_end - 1) - push.row_begin;
    const uint own = UintArray(push.own).at[own_index];
    const uint candidates = push.candidate_end - push.candidate_begin;

    // 1. The forced candidates, counted first.
    Row row;
    row.scores = FloatArray(scores);
    row.candidates = candidates;
    row.forced_begin = own - min(own, push.local_radius);
    row.forced_end = own + min(candidates - 1 - own, push.local_radius) + 1;
    const uint forced = row.forced_end - row.forced_begin;

    // 2. The threshold of the others.
    const Threshold threshold = findThreshold(row, push.keep - min(forced, push.keep));

    // 3. If not all that equal the threshold fit: the lowest ones. Each invocation has consecutive words.
    const uint words_each = (push.words + kThreads - 1) / kThreads;
    const uint begin = min(gl_LocalInvocationIndex * words_each, push.words);
    const uint end = min(begin + words_each, push.words);
    uint room = threshold.equal;
    if (!threshold.takes_all)
    {
        uint equal = 0;
        for (uint word = begin; word < end; ++word)
            equal += bitCount(classify(row, word, threshold).y);
        sums[gl_LocalInvocationIndex] = equal;
        barrier();
        for (uint other = 0; other < gl_LocalInvocationIndex; ++other)
            room -= min(room, sums[other]);
    }

    // 4. Write the words.
    for (uint word = begin; word < end; ++word)
    {
        const uvec2 masks = classify(row, word, threshold);
        const uint kept = threshold.takes_all ? masks.y : lowestBits(masks.y, room);
        room -= min(room, bitCount(kept));
        UintArray(bits).at[word] = masks.x | kept;
    }
}

void main()
{
    const bool is_candidate_row = gl_WorkGroupID.x >= push.row_begin && gl_WorkGroupID.x < push.row_end;
    uint slice = gl_WorkGroupID.y;
    do
    {
        const uvec2 bits = advance(push.bits, slice * push.rows + gl_WorkGroupID.x, push.words * 4);
        if (is_candidate_row)
            selectRow(slice, bits);
        else
            for (uint word = gl_LocalInvocationIndex; word < push.words; word += kThreads)
                UintArray(bits).at[word] = 0xffffffffu >> (32 - min(push.blocks - word * 32, 32));
        barrier(); // before the next slice writes sums
        slice += gl_NumWorkGroups.y;
    } while (slice < push.slices);
}

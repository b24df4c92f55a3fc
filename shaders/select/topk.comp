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
// spec   0 kThreads   workgroup size, a power of two, 8..256
// shared 1 KiB and 8 bytes per invocation, whatever the number of blocks
// order  forced candidates first, then higher score, then lower block; a NaN ranks below every number and +0 equals -0;
//        as in reference(), block_topk.cpp

#extension GL_GOOGLE_include_directive : require
#include "lib/memory.glsl"
#include "shared/select.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 0) const uint kThreads = 64;

const uint kBinsEach = 256 / kThreads;

layout(push_constant, std430) uniform Push { TopkPush push; };

shared uint bins[256];
shared uint sums[kThreads];
shared uint chosen_bin, above_chosen;

// Greater floats have greater keys; 0 is left for NaN.
uint orderedKey(float score)
{
    const uint bits = floatBitsToUint(score);
    const uint magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u)
        return 0;
    return bits == magnitude || magnitude == 0 ? magnitude | 0x80000000u : ~bits;
}

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

// The need-th largest key of the candidates that are not forced, a byte at a time from the top. `need` becomes how many
// candidates with exactly this key are to be kept.
uint thresholdKey(Row row, inout uint need)
{
    uint prefix = 0;
    for (int shift = 24; shift >= 0; shift -= 8)
    {
        for (uint b = gl_LocalInvocationIndex; b < 256; b += kThreads)
            bins[b] = 0;
        barrier();
        for (uint j = gl_LocalInvocationIndex; j < row.candidates; j += kThreads)
        {
            const uint key = orderedKey(row.scores.at[j]);
            const bool in_race = shift == 24 || key >> (shift + 8) == prefix;
            if (in_race && !isForced(row, j))
                atomicAdd(bins[(key >> shift) & 255], 1);
        }
        barrier();

        // The bin in which the count from above reaches `need`; each invocation looks at kBinsEach of them.
        const uint first_bin = gl_LocalInvocationIndex * kBinsEach;
        uint own_sum = 0;
        for (uint b = 0; b < kBinsEach; ++b)
            own_sum += bins[first_bin + b];
        sums[gl_LocalInvocationIndex] = own_sum;
        barrier();
        uint above = 0;
        for (uint other = gl_LocalInvocationIndex + 1; other < kThreads; ++other)
            above += sums[other];
        if (above < need && above + own_sum >= need)
        {
            uint b = first_bin + kBinsEach - 1;
            for (; above + bins[b] < need; --b)
                above += bins[b];
            chosen_bin = b;
            above_chosen = above;
        }
        barrier();
        prefix = prefix << 8 | chosen_bin;
        need -= above_chosen;
    }
    return prefix;
}

// Candidates of one word of the bit map: x are above the threshold or forced, y are equal to it.
uvec2 classify(Row row, uint word, uint threshold, bool has_threshold)
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
        const uint key = orderedKey(row.scores.at[j]);
        const bool forced = isForced(row, j);
        masks.x |= uint(forced || (has_threshold && key > threshold)) << bit;
        masks.y |= uint(!forced && has_threshold && key == threshold) << bit;
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
    uint need = push.keep - min(forced, push.keep);
    const bool has_threshold = need > 0;
    uint threshold = 0;
    if (has_threshold)
        threshold = thresholdKey(row, need);

    // 3. Which of those equal to the threshold are kept: the lowest. Each invocation has consecutive words.
    const uint words_each = (push.words + kThreads - 1) / kThreads;
    const uint begin = min(gl_LocalInvocationIndex * words_each, push.words);
    const uint end = min(begin + words_each, push.words);
    uint equal = 0;
    for (uint word = begin; word < end; ++word)
        equal += bitCount(classify(row, word, threshold, has_threshold).y);
    barrier(); // sums may still be read
    sums[gl_LocalInvocationIndex] = equal;
    barrier();
    for (uint other = 0; other < gl_LocalInvocationIndex; ++other)
        need -= min(need, sums[other]);

    for (uint word = begin; word < end; ++word)
    {
        const uvec2 masks = classify(row, word, threshold, has_threshold);
        const uint kept_equal = lowestBits(masks.y, need);
        need -= bitCount(kept_equal);
        UintArray(bits).at[word] = masks.x | kept_equal;
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
        barrier(); // before the next slice writes sums and bins
        slice += gl_NumWorkGroups.y;
    } while (slice < push.slices);
}

#version 460
// top_p.comp - mark the best key blocks of one query block, until they hold a share of the softmax
// mass.
//
// SPDX-License-Identifier: Apache-2.0
//
// in     scores  f32 [B, Hq, rows, blocks]
// in     always  u32 [rows, words], bit J = block J is kept whatever its score; may be null
// out    bits    u32 [B, Hq, rows, words], bit J = block J is kept
//
// grid   (rows, slices, 1), one workgroup per query block
// spec   0 kThreads   workgroup size, a multiple of 32
// rule   a candidate is kept when fewer than `keep` candidates are better, or when the better ones
//        together hold at most `share` of the mass exp(scale * score); better is the higher score,
//        then the lower block. A NaN has no mass and comes last. As in reference(), jenga.cpp
// cost   candidates^2 per row. Masses are always added in the order of the blocks, so that the sums
//        are the same each time, and never smaller for a worse candidate.

#extension GL_GOOGLE_include_directive : require
#include "lib/memory.glsl"
#include "lib/ordered_key.glsl"
#include "shared/select.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 0) const uint kThreads = 64;

layout(push_constant, std430) uniform Push
{
    TopPPush push;
};

shared float masses[kThreads];
shared uint keys[kThreads];
shared uint kept_words[kThreads / 32];

const float kNegativeInfinity = -1.0 / 0.0;

float candidateScore(uvec2 scores, uint j)
{
    const uint candidates = push.candidate_end - push.candidate_begin;
    return FloatArray(scores).at[min(j, candidates - 1)];
}

// Of all candidates that are numbers.
float highestScore(uvec2 scores)
{
    const uint candidates = push.candidate_end - push.candidate_begin;
    float highest = kNegativeInfinity;
    uint j = gl_LocalInvocationIndex;
    do
    {
        const float score = candidateScore(scores, j); // the last one again is harmless
        highest = orderedKey(score) > orderedKey(highest) ? score : highest;
        j += kThreads;
    } while (j < candidates);
    masses[gl_LocalInvocationIndex] = highest;
    barrier();
    for (uint lane = 0; lane < kThreads; ++lane)
        highest = max(highest, masses[lane]);
    barrier(); // before masses are written
    return highest;
}

// Is candidate `own`, one of kThreads, kept for its rank or for the mass before it?
bool isBest(uvec2 scores, float highest, uint own)
{
    const uint candidates = push.candidate_end - push.candidate_begin;
    const uint own_key = orderedKey(candidateScore(scores, own));
    float total = 0, before = 0;
    uint better = 0;
    uint first = 0;
    do
    {
        // 1. The keys and masses of the next candidates.
        const uint j = first + gl_LocalInvocationIndex;
        const float score = candidateScore(scores, j);
        const uint key = orderedKey(score);
        keys[gl_LocalInvocationIndex] = key;
        masses[gl_LocalInvocationIndex] =
            key == 0 ? 0 : score == highest ? 1 : exp(push.scale * (score - highest));
        barrier();

        // 2. Add those that are better.
        const uint count = min(kThreads, candidates - first);
        uint i = 0;
        do
        {
            const bool is_better = keys[i] > own_key || (keys[i] == own_key && first + i < own);
            total += masses[i];
            before += is_better ? masses[i] : 0;
            better += uint(is_better);
            ++i;
        } while (i < count);
        barrier();
        first += kThreads;
    } while (first < candidates);
    return better < push.keep || before <= push.share * total;
}

void selectRow(uvec2 scores, uvec2 bits)
{
    const uint row = gl_WorkGroupID.x, lane = gl_LocalInvocationIndex;
    const float highest = highestScore(scores);
    uint first_block = 0;
    do
    {
        if (lane < kThreads / 32)
            kept_words[lane] = 0;
        barrier();

        // Blocks outside of the candidates are text, and kept.
        const uint block = first_block + lane;
        const bool is_candidate = block >= push.candidate_begin && block < push.candidate_end;
        const bool is_best = isBest(scores, highest, block - push.candidate_begin);
        if (block < push.blocks && (is_best || !is_candidate))
            atomicOr(kept_words[lane / 32], 1u << (lane % 32));
        barrier();

        const uint word = first_block / 32 + lane;
        if (lane < kThreads / 32 && word < push.words)
        {
            uint kept = kept_words[lane];
            if (!isNull(push.always))
                kept |= UintArray(push.always).at[row * push.words + word];
            UintArray(bits).at[word] = kept;
        }
        barrier(); // before kept_words are cleared
        first_block += kThreads;
    } while (first_block < push.blocks);
}

void main()
{
    const uint row = gl_WorkGroupID.x;
    const bool is_candidate_row = row >= push.row_begin && row < push.row_end;
    uint slice = gl_WorkGroupID.y;
    do
    {
        const uint row_index = slice * push.rows + row;
        const uvec2 bits = advance(push.bits, row_index, push.words * 4);
        const uvec2 scores = advance(advance(push.scores, row_index, push.blocks * 4),
                                     push.candidate_begin, 4);
        if (is_candidate_row)
            selectRow(scores, bits);
        else
            for (uint word = gl_LocalInvocationIndex; word < push.words; word += kThreads)
                UintArray(bits).at[word] = 0xffffffffu >> (32 - min(push.blocks - word * 32, 32));
        barrier();
        slice += gl_NumWorkGroups.y;
    } while (slice < push.slices);
}

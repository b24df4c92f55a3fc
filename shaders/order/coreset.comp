#version 460
// coreset.comp - the order of the keys of every head, the tokens of its coreset first.
//
// SPDX-License-Identifier: Apache-2.0
//
// in     source   fp16 or fp32 [B, Hq / kGroup, tokens, D], strided: Q or K
// in     blocks   CoresetBlock [blocks]: buckets, and text
// in     members  u32 [tokens], the tokens of the blocks
// in     routes   u32 [Hq], 1: the head has a coreset
// in     others   u32 [tokens], the order of the other heads
// out    order    u32 [B * Hq, tokens]
//
// grid   (blocks, slices, 1), an invocation has one token of a bucket
// spec   0 kThreads   workgroup size, at least the tokens of a bucket
//        1 kHeadDim   D
//        2 kType      LacunaDtype of the source
//        3 kGroup     query heads for each head of the source
// shared 4 bytes per invocation
// order  by similarity, then by place in the bucket: the same every time

#extension GL_GOOGLE_include_directive : require
#include "lib/memory.glsl"
#include "shared/coreset.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 0) const uint kThreads = 64;
layout(constant_id = 1) const uint kHeadDim = 64;
layout(constant_id = 2) const uint kType = kF16;
layout(constant_id = 3) const uint kGroup = 1;

layout(buffer_reference, std430, buffer_reference_align = 4) readonly buffer CoresetBlocks
{
    CoresetBlock at[];
};

layout(push_constant, std430) uniform Push { CoresetPush push; };

shared float similarity[kThreads];

// Cosine of a token and the centre of its bucket, times the length of the centre. What is no number
// counts as 0, so that the order stays one.
float similarityOf(uvec2 base, uint token, uint centre)
{
    float product = 0, square = 0;
    uint chunk = 0;
    do
    {
        const Octet mine = loadOctet(base, token * push.source_token + chunk, kType);
        const Octet centres = loadOctet(base, centre * push.source_token + chunk, kType);
        product += dot(mine.low, centres.low) + dot(mine.high, centres.high);
        square += dot(mine.low, mine.low) + dot(mine.high, mine.high);
        ++chunk;
    } while (chunk < kHeadDim / 8);
    const float result = product / sqrt(square);
    return abs(result) < 3e38 ? result : 0;
}

void main()
{
    const CoresetBlock block = CoresetBlocks(push.blocks).at[gl_WorkGroupID.x];
    const uint lane = gl_LocalInvocationIndex;
    uint slice = gl_WorkGroupID.y;
    do
    {
        const uint head = slice % push.heads;
        const uvec2 order = advance(push.order, slice, push.tokens * 4);
        if (block.size == 0 || UintArray(push.routes).at[head] == 0)
        {
            for (uint i = block.begin + lane; i < block.end; i += kThreads)
                UintArray(order).at[i] = UintArray(push.others).at[i];
        }
        else
        {
            const uvec2 base = advance(push.source,
                                       slice / push.heads * push.source_batch +
                                           head / kGroup * push.source_head,
                                       octetBytes(kType));

            // 1. Similarities; lanes beyond the bucket repeat its last token.
            const uint last = block.end - 1;
            const uint token = UintArray(push.members).at[min(block.begin + lane, last)];
            const uint centre = UintArray(push.members).at[block.begin + block.centre];
            similarity[lane] = similarityOf(base, token, centre);
            barrier();

            // 2. The rank among the others, the least similar first, is the place.
            uint rank = 0;
            uint i = 0;
            do
            {
                rank += uint(i != block.centre &&
                             (similarity[i] < similarity[lane] ||
                              (similarity[i] == similarity[lane] && i < lane)));
                ++i;
            } while (i < block.size);
            if (lane < block.size)
            {
                const uint margin = rank < block.kept ? block.kept_first + rank
                                                      : block.merged_first + rank - block.kept;
                UintArray(order).at[lane == block.centre ? block.centre_first : margin] = token;
            }
            barrier(); // before the next slice writes similarity
        }
        slice += gl_NumWorkGroups.y;
    } while (slice < push.slices);
}

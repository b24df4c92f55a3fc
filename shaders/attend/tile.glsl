// tile.glsl - the shared memory of the coopmat kernels, and how Q, K and V get there.
//
// SPDX-License-Identifier: Apache-2.0
//
// macros  LACUNA_TURNED       1: queries are the columns of an accumulator of S, 0: its rows
//         LACUNA_HOLD_SCORES  1: all S of a step is in registers
//         LACUNA_SUMS         1: sums are fp16 as far as they are short, see matrix_sums_half.glsl
//
// Rows are fp16, 8 channels in a uvec4, and zero where there is no row or no channel: a weight of 0
// times whatever lay there before could be NaN. The host sees to it that all counts but kHeadDim
// and kStrips are powers of two.
#ifndef LACUNA_ATTEND_TILE_GLSL
#define LACUNA_ATTEND_TILE_GLSL

#include "attend/task.glsl"

layout(local_size_x_id = 0) in;
layout(constant_id = 0) const uint kThreads = 128;
layout(constant_id = 1) const uint kSubgroupSize = 32;
layout(constant_id = 2) const uint kHeadDim = 64;
layout(constant_id = 3) const uint kM = 16;
layout(constant_id = 4) const uint kN = 16;
layout(constant_id = 5) const uint kScoreK = 16;
layout(constant_id = 6) const uint kWeighK = 16;
layout(constant_id = 7) const uint kSlices = 1;
layout(constant_id = 8) const uint kTilesM = 1;
layout(constant_id = 9) const uint kKeys = 64;
layout(constant_id = 10) const uint kPad = 1;
layout(constant_id = 11) const uint kInputType = kF16;
layout(constant_id = 12) const uint kResultType = kF16;
layout(constant_id = 13) const bool kHoldQ = true;
layout(constant_id = 14) const bool kDirect = true;
layout(constant_id = 15) const bool kBroadcast = true;
layout(constant_id = 16) const uint kComponents = 8;
layout(constant_id = 17) const uint kSlots = 8;
layout(constant_id = 18) const uint kSlotStep = 1;
layout(constant_id = 19) const uint kRowLanes = 0;
layout(constant_id = 20) const uint kChain = 0;
layout(constant_id = 21) const bool kHasParts = true;
layout(constant_id = 22) const bool kHasWindows = true;
layout(constant_id = 23) const bool kHasBoxes = true;
layout(constant_id = 24) const bool kSoftCap = true;
#include "attend/keep.glsl"
#include "attend/walk.glsl"

const bool kHalfSums = LACUNA_SUMS == 1;
const uint kStrips = kThreads / kSubgroupSize / kSlices;
const uint kTileQueries = LACUNA_TURNED == 1 ? kN : kM; // of an accumulator
const uint kTileKeys = LACUNA_TURNED == 1 ? kM : kN;    // or channels
const uint kRows = kStrips * kTilesM * kTileQueries;    // queries of the workgroup (Br)
const uint kScoreSteps = (kHeadDim + kScoreK - 1) / kScoreK;
const uint kTilesN =
    (kHeadDim + kTileKeys * kSlices - 1) / (kTileKeys * kSlices); // of O in one subgroup
const uint kTilesS = LACUNA_HOLD_SCORES == 1 ? kKeys / kTileKeys : 1; // of S, of kTileQueries
const uint kOctets = kHeadDim / 8;
const uint kScoreWidth = kScoreSteps * kScoreK;
const uint kWeighWidth = kTilesN * kSlices * kTileKeys;
const uint kWidth = (kScoreWidth > kWeighWidth ? kScoreWidth : kWeighWidth) / 8; // 16-byte words
const uint kStride = kWidth + kPad;

// Q passes through kv_tile where it is held in registers.
const uint kTileRows = kHoldQ && kRows > kKeys ? kRows : kKeys;

shared uvec4 q_tile[kHoldQ ? 1 : kRows * kStride];
shared uvec4 kv_tile[kTileRows * kStride];
shared uint key_at[kKeys]; // of a step with keys of several spans
// What a row of O is scaled by; and where S is in shared memory, behind that what is added to it.
const uint kFactors = kHalfSums && LACUNA_HOLD_SCORES == 0 ? 2 : 1;
shared float shrink[kRows * kFactors];

uint strip()
{
    return gl_SubgroupID / kSlices;
}
uint slice()
{
    return gl_SubgroupID % kSlices;
}
uint threadIndex()
{
    return gl_SubgroupID * kSubgroupSize + gl_SubgroupInvocationID;
}

// What fp16 cannot hold becomes its largest number: infinity times a weight of 0 would be NaN.
uvec4 toHalves(Octet octet)
{
    const vec4 limit = vec4(65504);
    return uvec4(packHalf4(clamp(octet.low, -limit, limit)),
                 packHalf4(clamp(octet.high, -limit, limit)));
}

// 8 channels as fp16.
uvec4 loadHalves(uvec2 base, uint index)
{
    if (kInputType == kF16)
        return Uvec4Array(base).at[index];
    return toHalves(loadOctet(base, index, kInputType));
}

// The same of a query; sums in fp16 are of logits, which are smaller than products.
uvec4 loadQuery(AttendParams params, uvec2 base, uint index)
{
    if (!kHalfSums)
        return loadHalves(base, index);
    const Octet octet = loadOctet(base, index, kInputType);
    return toHalves(Octet(params.scale_log2 * octet.low, params.scale_log2 * octet.high));
}

void stageQueries(AttendParams params, AttendItem item)
{
    const uvec2 base = queriesOf(params, item, kInputType);
    for (uint i = threadIndex(); i < kRows * kWidth; i += kThreads)
    {
        const uint position = item.begin + i / kWidth;
        const uint octet = i % kWidth;
        uvec4 channels = uvec4(0);
        if (position < item.end && octet < kOctets)
        {
            const uint token = tokenAt(params, item, position);
            channels = loadQuery(params, base, token * params.q_token + octet);
        }
        if (kHoldQ)
            kv_tile[i / kWidth * kStride + octet] = channels;
        else
            q_tile[i / kWidth * kStride + octet] = channels;
    }
}

// The keys of one step: `count` from `key` on, or those in key_at.
struct Step
{
    uint key;
    uint count;
    bool is_packed;
};

uint keyOf(Step taken, uint column)
{
    return taken.is_packed ? key_at[column] : taken.key + column;
}

// Fills key_at from as many spans as it takes; all threads walk alike.
void packKeys(AttendItem item, inout Walk walk, inout Step taken)
{
    taken.count = 0;
    taken.is_packed = true;
    do
    {
        const uint piece = min(kKeys - taken.count, walk.span.y - walk.span.x);
        for (uint i = threadIndex(); i < piece; i += kThreads)
            key_at[taken.count + i] = walk.span.x + i;
        taken.count += piece;
        take(item, walk, piece, kHasParts);
    } while (taken.count < kKeys && hasKeys(walk));
}

// With windows a step is a piece of one span, because a row keeps its columns from .. to.
Step takeStep(AttendParams params, AttendItem item, inout Walk walk)
{
    const uint end = stepLimit(params, walk.span.x, walk.span.y);
    Step taken = Step(walk.span.x, min(kKeys, end - walk.span.x), false);
    if (!kHasWindows && taken.count < kKeys && walk.index < walk.last)
        packKeys(item, walk, taken);
    else
        take(item, walk, taken.count, kHasParts);
    return taken;
}

// Their rows of K or V into kv_tile; base is that of the head.
void stageKeys(uvec2 base, uint token_stride, Step taken)
{
    for (uint i = threadIndex(); i < kKeys * kWidth; i += kThreads)
    {
        const uint row = i / kWidth;
        const uint octet = i % kWidth;
        uvec4 channels = uvec4(0);
        if (row < taken.count && octet < kOctets)
            channels = loadHalves(base, keyOf(taken, row) * token_stride + octet);
        kv_tile[row * kStride + octet] = channels;
    }
}

#endif

// tile.glsl - the shared memory of coopmat.comp, how Q, K and V get there, and the softmax.
//
// SPDX-License-Identifier: Apache-2.0
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
layout(constant_id = 11) const bool kHalfIn = true;
layout(constant_id = 12) const bool kHalfResult = true;
layout(constant_id = 13) const bool kHasParts = true;
layout(constant_id = 14) const bool kHasBounds = true;
layout(constant_id = 15) const bool kSoftCap = true;

const uint kStrips = kThreads / kSubgroupSize / kSlices;
const uint kRows = kStrips * kTilesM * kM; // queries of the workgroup (Br)
const uint kScoreSteps = (kHeadDim + kScoreK - 1) / kScoreK;
const uint kTilesN = (kHeadDim + kN * kSlices - 1) / (kN * kSlices); // of O in one subgroup
const uint kOctets = kHeadDim / 8;
const uint kScoreWidth = kScoreSteps * kScoreK;
const uint kWeighWidth = kTilesN * kSlices * kN;
const uint kWidth = (kScoreWidth > kWeighWidth ? kScoreWidth : kWeighWidth) / 8; // 16-byte words
const uint kStride = kWidth + kPad;
const uint kScoreStride = kKeys + 4;                               // floats
const uint kWeightStride = kKeys / 2 + 4;                          // 4-byte words
const uint kLanesPerRow = kThreads > kRows ? kThreads / kRows : 1; // within a subgroup
const uint kRowsAtOnce = kThreads / kLanesPerRow;
const uint kRowPasses = (kRows + kRowsAtOnce - 1) / kRowsAtOnce;

shared uvec4 q_tile[kRows * kStride];
shared uvec4 kv_tile[kKeys * kStride];
shared float score[kRows * kScoreStride];  // S, and at the end tiles of O
shared uint weight[kRows * kWeightStride]; // P, two fp16 in a word
shared float shrink[kRows];                // what a new maximum scales O by

float row_max[kRowPasses]; // of the rows whose softmax this thread computes
float row_sum[kRowPasses];
uvec2 window[kRowPasses]; // with kHasBounds

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
// 8 channels as fp16.
uvec4 loadOctet(uvec2 base, uint index, bool is_half)
{
    if (is_half)
        return Uvec4Array(base).at[index];
    const vec4 low = Vec4Array(base).at[index * 2];
    const vec4 high = Vec4Array(base).at[index * 2 + 1];
    return uvec4(packHalf4(low), packHalf4(high));
}

void stageQueries(AttendParams params, AttendItem item)
{
    const uvec2 base = queriesOf(params, item, kHalfIn);
    for (uint i = threadIndex(); i < kRows * kWidth; i += kThreads)
    {
        const uint position = item.begin + i / kWidth;
        const uint octet = i % kWidth;
        uvec4 channels = uvec4(0);
        if (position < item.end && octet < kOctets)
        {
            const uint token = tokenAt(params, item, position);
            channels = loadOctet(base, token * params.q_token + octet, kHalfIn);
        }
        q_tile[i / kWidth * kStride + octet] = channels;
    }
}

// kKeys rows of K or V; base is the row of the first one, `count` of them are in the span.
void stageKeys(uvec2 base, uint token_stride, uint count)
{
    for (uint i = threadIndex(); i < kKeys * kWidth; i += kThreads)
    {
        const uint row = i / kWidth;
        const uint octet = i % kWidth;
        uvec4 channels = uvec4(0);
        if (row < count && octet < kOctets)
            channels = loadOctet(base, row * token_stride + octet, kHalfIn);
        kv_tile[row * kStride + octet] = channels;
    }
}

// Before the first step.
void startRows(AttendItem item)
{
    [[unroll]] for (uint pass = 0; pass < kRowPasses; ++pass)
    {
        row_max[pass] = kLowest;
        row_sum[pass] = 0;
        const uint row = pass * kRowsAtOnce + threadIndex() / kLanesPerRow;
        if (kHasBounds)
            window[pass] = Uvec2Array(push.windows).at[min(item.begin + row, item.end - 1)];
    }
}

// The columns begin, end of a row, of `count` that begin at `key`, that it keeps.
uvec2 keptColumns(AttendParams params, uint pass, uint key, uint count)
{
    if (!kHasBounds)
        return uvec2(0, count);
    const uvec2 kept = windowFrom(params, window[pass], key);
    return min(uvec2(max(kept.x, key), max(kept.y, key)) - key, uvec2(count));
}

// In base 2, of the product at score[at].
float logitOf(AttendParams params, uint at)
{
    const float logit = score[at] * params.scale_log2;
    return kSoftCap ? softCap(logit, params.cap_log2) : logit;
}

// Online softmax: kLanesPerRow neighbouring lanes share the columns of a row.
void softmaxRows(AttendParams params, uint key, uint count)
{
    const uint part = threadIndex() % kLanesPerRow;
    [[unroll]] for (uint pass = 0; pass < kRowPasses; ++pass)
    {
        const uint row = pass * kRowsAtOnce + threadIndex() / kLanesPerRow;
        const uvec2 kept = keptColumns(params, pass, key, count);
        float new_max = row_max[pass];
        for (uint j = part; j < kept.y; j += kLanesPerRow)
            if (j >= kept.x)
                new_max = max(new_max, logitOf(params, row * kScoreStride + j));
        [[unroll]] for (uint step = 1; step < kLanesPerRow; step *= 2)
            new_max = max(new_max, subgroupShuffleXor(new_max, step));

        const float factor = exp2(row_max[pass] - new_max);
        float sum = 0;
        for (uint j = part; j < kKeys / 2; j += kLanesPerRow)
        {
            const uint at = row * kScoreStride + 2 * j;
            const bool keeps_low = 2 * j >= kept.x && 2 * j < kept.y;
            const bool keeps_high = 2 * j + 1 >= kept.x && 2 * j + 1 < kept.y;
            const float low = keeps_low ? exp2(logitOf(params, at) - new_max) : 0;
            const float high = keeps_high ? exp2(logitOf(params, at + 1) - new_max) : 0;
            weight[row * kWeightStride + j] = packHalf2x16(vec2(low, high));
            sum += low + high;
        }
        row_max[pass] = new_max;
        row_sum[pass] = row_sum[pass] * factor + sum; // of this lane; see finishRows()
        if (part == 0)
            shrink[row] = factor;
    }
}

// What storeTiles() scales each row by into `shrink`: 1 / sum, and 0 for a row without keys, whose
// LSE is -inf. A partial result is not scaled.
void finishRows(AttendParams params, AttendItem item)
{
    const uint part = threadIndex() % kLanesPerRow;
    const bool is_final = item.slot == kNone;
    [[unroll]] for (uint pass = 0; pass < kRowPasses; ++pass)
    {
        const uint row = pass * kRowsAtOnce + threadIndex() / kLanesPerRow;
        float sum = row_sum[pass];
        [[unroll]] for (uint step = 1; step < kLanesPerRow; step *= 2)
            sum += subgroupShuffleXor(sum, step);
        const float factor =
            is_final ? finishRow(push.sinks, item.head % params.q_heads, row_max[pass], sum) : 1;
        if (part == 0)
            shrink[row] = factor;
        if (part == 0 && item.begin + row < item.end)
        {
            if (!is_final)
                storePartialSum(partialOf(item, kRows, kHeadDim), row, kHeadDim, row_max[pass],
                                sum);
            else if (!isNull(push.lse))
                storeLse(push.lse, item.head, params.q_len,
                         tokenAt(params, item, item.begin + row), row_max[pass], sum);
        }
    }
}

#endif

// softmax.glsl - coopmat.comp's online softmax: from S in shared memory to the weights P, and what
// becomes of each row at the end.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef LACUNA_ATTEND_SOFTMAX_GLSL
#define LACUNA_ATTEND_SOFTMAX_GLSL

#include "attend/score_tile.glsl" // first: it has the constants

#include "attend/keep.glsl"
#include "attend/matrices.glsl"

const uint kLanesPerRow = kThreads > kRows ? kThreads / kRows : 1; // within a subgroup
const uint kRowsAtOnce = kThreads / kLanesPerRow;
const uint kRowPasses = (kRows + kRowsAtOnce - 1) / kRowsAtOnce;

float row_max[kRowPasses]; // of the rows whose softmax this thread computes
float row_sum[kRowPasses];
Query query[kRowPasses];

// Before the first step.
void startRows(AttendParams params, AttendItem item)
{
    [[unroll]] for (uint pass = 0; pass < kRowPasses; ++pass)
    {
        row_max[pass] = kLowest;
        row_sum[pass] = 0;
        const uint row = pass * kRowsAtOnce + threadIndex() / kLanesPerRow;
        query[pass] = queryAt(params, item, min(item.begin + row, item.end - 1));
    }
}

// In base 2, of the sum at score[at] of a row and `key`.
float logitOf(AttendParams params, AttendItem item, uint pass, uint key, uint at)
{
    float logit = logitOfSum(params, score[at]);
    if (kSoftCap)
        logit = softCap(logit, params.cap_log2);
    return keptLogit(params, item, query[pass], keyAt(params, item, key), logit);
}

// Online softmax: kLanesPerRow neighbouring lanes share the columns of a row.
void softmaxRows(AttendParams params, AttendItem item, Step taken)
{
    const uint part = threadIndex() % kLanesPerRow;
    [[unroll]] for (uint pass = 0; pass < kRowPasses; ++pass)
    {
        const uint row = pass * kRowsAtOnce + threadIndex() / kLanesPerRow;
        const uvec2 kept = keptColumns(params, query[pass], taken.key, taken.count);
        float step_max = kLowest;
        for (uint j = part; j < kept.y; j += kLanesPerRow)
            if (j >= kept.x)
                step_max = max(step_max, logitOf(params, item, pass, keyOf(taken, j),
                                                 row * kScoreStride + j));
        [[unroll]] for (uint step = 1; step < kLanesPerRow; step *= 2)
            step_max = max(step_max, subgroupShuffleXor(step_max, step));

        const float new_max = max(row_max[pass], step_max);
        const float base = weightBase(step_max, new_max), grow = weightGrowth(base, new_max);
        const float factor = exp2(row_max[pass] - new_max);
        float sum = 0;
        for (uint j = part; j < kKeys / 2; j += kLanesPerRow)
        {
            const uint at = row * kScoreStride + 2 * j;
            const bool keeps_low = 2 * j >= kept.x && 2 * j < kept.y;
            const bool keeps_high = 2 * j + 1 >= kept.x && 2 * j + 1 < kept.y;
            float low = 0, high = 0;
            if (keeps_low)
                low = exp2(logitOf(params, item, pass, keyOf(taken, 2 * j), at) - base);
            if (keeps_high)
                high = exp2(logitOf(params, item, pass, keyOf(taken, 2 * j + 1), at + 1) - base);
            weight[row * kWeightStride + j] = packHalf2x16(vec2(low, high));
            sum += low + high;
        }
        row_max[pass] = new_max;
        row_sum[pass] = row_sum[pass] * factor + sum * grow; // of this lane; see finishRows()
        if (part == 0)
            shrink[row] = factor;
        if (kHalfSums && part == 0)
            shrink[kRows * (kFactors - 1) + row] = grow;
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

// lanes.glsl - the online softmax of coopmat_lanes.comp, on S in registers, where a probe has told
// which elements of an accumulator a lane holds.
//
// SPDX-License-Identifier: Apache-2.0
//
// Component i of an accumulator belongs to slot i / kSlotStep % kSlots of its lane, and a slot to
// one query. Lanes that differ in the bits of kRowLanes only have the same queries.
#ifndef LACUNA_ATTEND_LANES_GLSL
#define LACUNA_ATTEND_LANES_GLSL

#include "attend/matrices.glsl" // first: it has the constants

#include "attend/keep.glsl"
#include "shared/matrices.h"

const uint kWeighTiles = kWeighK / kTileKeys; // of S in a matrix of P
const uint kWeightStride = kKeys + 8;         // numbers

shared float score[kStrips * kM * kN]; // of a subgroup: places, and at the end a tile of O
shared float16_t weight[kChain == kThroughMemory ? kRows * kWeightStride : 1]; // P

uint spots[(kComponents + 3) / 4]; // the key of each component in its tile, a byte each
uint slot_row[kSlots];             // the query of each slot in its tile
float row_max[kTilesM * kSlots];
float row_sum[kTilesM * kSlots]; // over the keys of this lane, see finishRows()
float row_shrink[kTilesM * kSlots]; // what O is scaled by in this step
float row_grow[kTilesM * kSlots];   // and what is added to it then
Query query[kTilesM * kSlots];

uint slotOf(uint component)
{
    return component / kSlotStep % kSlots;
}

// The key of a component, as a column of the step.
uint columnOf(uint t, uint component)
{
    return t * kTileKeys + bitfieldExtract(spots[component / 4], int(component % 4) * 8, 8);
}

// The query of a slot, as a row of the workgroup.
uint rowOf(uint m, uint slot)
{
    return (strip() * kTilesM + m) * kTileQueries + slot_row[slot];
}

// What is the same for all lanes of a row, of what each has.
float rowMaximum(float value)
{
    [[unroll]] for (uint bit = 1; bit < kSubgroupSize; bit *= 2)
        if ((kRowLanes & bit) != 0)
            value = max(value, subgroupShuffleXor(value, bit));
    return value;
}

float rowTotal(float value)
{
    [[unroll]] for (uint bit = 1; bit < kSubgroupSize; bit *= 2)
        if ((kRowLanes & bit) != 0)
            value += subgroupShuffleXor(value, bit);
    return value;
}

// Before the first step. A matrix whose elements tell where they are tells a lane what it has.
void startRows(AttendParams params, AttendItem item)
{
    const uint scratch = gl_SubgroupID * kM * kN;
    for (uint i = gl_SubgroupInvocationID; i < kM * kN; i += kSubgroupSize)
        score[scratch + i] = i;
    barrier();
    Accumulator place;
    coopMatLoad(place, score, scratch, kTileKeys, kRowsOfQueries);
    [[unroll]] for (uint i = 0; i < (kComponents + 3) / 4; ++i)
        spots[i] = 0;
    [[unroll]] for (uint i = 0; i < kComponents; ++i)
    {
        spots[i / 4] |= uint(place[i]) % kTileKeys << i % 4 * 8;
        slot_row[slotOf(i)] = uint(place[i]) / kTileKeys;
    }
    [[unroll]] for (uint m = 0; m < kTilesM; ++m)
        [[unroll]] for (uint slot = 0; slot < kSlots; ++slot)
        {
            const uint at = m * kSlots + slot;
            row_max[at] = kLowest;
            row_sum[at] = 0;
            query[at] = queryAt(params, item, min(item.begin + rowOf(m, slot), item.end - 1));
        }
}

// In base 2; without weight where the query does not keep the key.
float keptOrMasked(AttendParams params, AttendItem item, Step taken, Query of, uint column,
                   float logit)
{
    const uvec2 kept = keptColumns(params, of, taken.key, taken.count);
    if (column < kept.x || column >= kept.y)
        return kMasked;
    return keptLogit(params, item, of, keyAt(params, item, keyOf(taken, column)), logit);
}

// From S to logits in base 2; raises the maximum of each slot.
void takeLogits(AttendParams params, AttendItem item, Step taken, uint m, inout float top[kSlots])
{
    const bool keeps_all = !kHasWindows && !kHasBoxes && !kHasMods && taken.count == kKeys;
    LACUNA_MATRIX_LOOP for (uint t = 0; t < kTilesS; ++t)
    {
        Accumulator tile = s[m * kTilesS + t];
        [[unroll]] for (uint i = 0; i < kComponents; ++i)
        {
            float logit = logitOfSum(params, tile[i]);
            if (kSoftCap)
                logit = softCap(logit, params.cap_log2);
            tile[i] = logit;
        }
        if (!keeps_all)
            [[unroll]] for (uint i = 0; i < kComponents; ++i)
                tile[i] = keptOrMasked(params, item, taken, query[m * kSlots + slotOf(i)],
                                       columnOf(t, i), tile[i]);
        [[unroll]] for (uint i = 0; i < kComponents; ++i)
            top[slotOf(i)] = max(top[slotOf(i)], tile[i]);
        s[m * kTilesS + t] = tile;
    }
}

// From logits to P, in place or in shared memory.
void takeWeights(uint m, float base[kSlots])
{
    LACUNA_MATRIX_LOOP for (uint t = 0; t < kTilesS; ++t)
    {
        Accumulator tile = s[m * kTilesS + t];
        [[unroll]] for (uint i = 0; i < kComponents; ++i)
        {
            const uint at = m * kSlots + slotOf(i);
            tile[i] = exp2(tile[i] - base[slotOf(i)]);
            row_sum[at] += row_grow[at] * tile[i];
            if (kChain == kThroughMemory)
                weight[rowOf(m, slotOf(i)) * kWeightStride + columnOf(t, i)] = float16_t(tile[i]);
        }
        if (kChain != kThroughMemory)
            s[m * kTilesS + t] = tile;
    }
}

// 2. From S to P; the sums shrink where a maximum has grown, and so does O, see also addUp().
void softmaxTiles(AttendParams params, AttendItem item, Step taken)
{
    if (kChain == kThroughMemory)
        subgroupBarrier(); // the step before has read weight
    LACUNA_MATRIX_LOOP for (uint m = 0; m < kTilesM; ++m)
    {
        float top[kSlots];
        [[unroll]] for (uint slot = 0; slot < kSlots; ++slot)
            top[slot] = kLowest;
        takeLogits(params, item, taken, m, top);
        bool has_grown = false;
        [[unroll]] for (uint slot = 0; slot < kSlots; ++slot)
        {
            const uint at = m * kSlots + slot;
            const float step_max = rowMaximum(top[slot]);
            const float new_max = max(row_max[at], step_max);
            top[slot] = weightBase(step_max, new_max);
            row_grow[at] = weightGrowth(top[slot], new_max);
            row_shrink[at] = exp2(row_max[at] - new_max);
            has_grown = has_grown || row_shrink[at] != 1;
            row_max[at] = new_max;
            row_sum[at] *= row_shrink[at];
        }
        takeWeights(m, top);
        if (!kHalfSums && subgroupAny(has_grown)) // the rarer, the longer the row
            LACUNA_MATRIX_LOOP for (uint n = 0; n < kTilesN; ++n)
            {
                Accumulator tile = o[m * kTilesN + n];
                [[unroll]] for (uint i = 0; i < kComponents; ++i)
                    tile[i] *= row_shrink[m * kSlots + slotOf(i)];
                o[m * kTilesN + n] = tile;
            }
    }
    if (kChain == kThroughMemory)
        subgroupBarrier();
}

#endif

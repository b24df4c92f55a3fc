#version 460
// coopmat_lanes.comp - coopmat.comp with S and P in registers, where a probe of the matrices has
// told which elements each lane holds.
//
// SPDX-License-Identifier: Apache-2.0
//
// in     as AttendPush; operands of other types are rounded to fp16 here
// out    result, lse fp32
//
// grid   flat, one workgroup per item and per head that shares the items
// spec   as coopmat.comp, but kSlices is 1: a subgroup has its queries to itself; and
//       16 kComponents    of an accumulator in one lane
//       17 kSlots, 18 kSlotStep, 19 kRowLanes: see lanes.glsl
//       20 kChain         how P becomes an operand, see weightsFrom()
// With LACUNA_SUMS 1 sums are fp16 as far as they are short, see matrix_sums_half.glsl.
// shared tile.glsl, lanes.glsl; sharedBytes() in attend_coopmat.cpp counts them
//
// Trip counts are uniform in a workgroup. Loops over the list test at their end: see memory.glsl.

#pragma use_vulkan_memory_model
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#extension GL_KHR_shader_subgroup_vote : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#include "lib/unroll.glsl" // first: it has extensions

#define LACUNA_HOLD_SCORES 1
#include "attend/lanes.glsl"
#include "attend/store.glsl"

// 1. S = Q K^T
void scoreTiles(Rows keys)
{
    LACUNA_MATRIX_LOOP for (uint t = 0; t < kTilesS; ++t)
        scoreKeys(keys, t * kTileKeys, t);
}

// P of the tiles from `first` on as the operand of a product. Its component has the element of an
// accumulator's component of the same lane, in one of two orders; or it goes through memory.
void weightsFrom(uint m, uint first)
{
    const uint place = placeOf(m, first * kTileKeys);
    if (kChain == kThroughMemory)
    {
        coopMatLoad(p[place], weight,
                    (strip() * kTilesM + m) * kTileQueries * kWeightStride + first * kTileKeys,
                    kWeightStride, kRowsOfQueries);
        return;
    }
    Weights gathered;
    [[unroll]] for (uint t = 0; t < kWeighTiles; ++t)
    {
        const Accumulator tile = s[m * kTilesS + first + t];
        [[unroll]] for (uint i = 0; i < kComponents; ++i)
            gathered[kChain == kTileByTile ? t * kComponents + i : i * kWeighTiles + t] =
                float16_t(tile[i]);
    }
    p[place] = gathered;
}

// With sums in fp16: O = shrink * O + grow * sums
void addUp(uint m, uint n, Accumulator sums)
{
    Accumulator tile = o[m * kTilesN + n];
    [[unroll]] for (uint i = 0; i < kComponents; ++i)
    {
        const uint at = m * kSlots + slotOf(i);
        tile[i] = tile[i] * row_shrink[at] + sums[i] * row_grow[at];
    }
    o[m * kTilesN + n] = tile;
}

// 3. O += P V
void weighTiles(Rows values)
{
    LACUNA_MATRIX_LOOP for (uint t = 0; t < kTilesS; t += kWeighTiles)
    {
        LACUNA_MATRIX_LOOP for (uint m = 0; m < kTilesM; ++m)
            weightsFrom(m, t);
        weighKeys(values, t * kTileKeys);
    }
}

// What storeTiles() scales each row by into `shrink`: 1 / sum, and 0 for a row without keys, whose
// LSE is -inf. A partial result is not scaled.
void finishRows(AttendParams params, AttendItem item)
{
    const bool is_final = item.slot == kNone;
    const bool is_first = (gl_SubgroupInvocationID & kRowLanes) == 0;
    [[unroll]] for (uint m = 0; m < kTilesM; ++m)
        [[unroll]] for (uint slot = 0; slot < kSlots; ++slot)
        {
            const uint row = rowOf(m, slot);
            float top = row_max[m * kSlots + slot];
            float sum = rowTotal(row_sum[m * kSlots + slot]);
            const float factor =
                is_final ? finishRow(push.sinks, item.head % params.q_heads, top, sum) : 1;
            if (is_first)
                shrink[row] = factor;
            if (is_first && item.begin + row < item.end)
            {
                if (!is_final)
                    storePartialSum(partialOf(item, kRows, kHeadDim), row, kHeadDim, top, sum);
                else if (!isNull(push.lse))
                    storeLse(push.lse, item.head, params.q_len,
                             tokenAt(params, item, item.begin + row), top, sum);
            }
        }
}

void main()
{
    const AttendParams params = ParamsView(push.params).value;
    const AttendItem item = takeItem(params, kHasParts);
    const uvec2 keys = keysOf(params, item, kInputType);
    const uvec2 values = valuesOf(params, item, kInputType);
    if (item.begin == item.end)
        return;

    stageQueries(params, item);
    if (kHoldQ)
    {
        barrier();
        holdQueries();
    }
    for (uint i = 0; i < kTilesM * kTilesN; ++i)
        o[i] = Accumulator(0);
    startRows(params, item);

    Walk walk = startWalk(item, kHasParts);
    if (hasKeys(walk))
        do
        {
            const Step taken = takeStep(params, item, walk);
            const bool is_direct = kDirect && !taken.is_packed && taken.count == kKeys;
            const Rows k = rowsOf(keys, params.k_token, taken, is_direct);
            const Rows v = rowsOf(values, params.v_token, taken, is_direct);
            if (!is_direct)
            {
                barrier(); // the step before has read kv_tile, and key_at is complete
                stageKeys(keys, params.k_token, taken);
                barrier();
            }
            scoreTiles(k);
            if (!is_direct)
            {
                barrier(); // K has been read
                stageKeys(values, params.v_token, taken);
            }
            softmaxTiles(params, item, taken);
            if (!is_direct)
                barrier();
            weighTiles(v);
        } while (hasKeys(walk));
    finishRows(params, item);
    barrier();
    storeTiles(params, item);
}

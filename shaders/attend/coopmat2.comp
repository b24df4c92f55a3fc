#version 460
// coopmat2.comp - ATTEND with cooperative matrices as large as the tile (NV_cooperative_matrix2):
// S, P and O never leave them. Operands are fp16, all sums fp32.
//
// SPDX-License-Identifier: Apache-2.0
//
// in     as AttendPush; Q, K and V are fp16
// out    result, lse fp32
//
// grid   flat, one workgroup per item and per head that shares the items
// spec   0 kThreads     workgroup size
//        1 kScope       who shares a matrix: 2 the workgroup, 3 a subgroup, subgroups being full
//        2 kStrips      matrices on top of each other: subgroups, each with its own queries, or 1
//        3 kHeadDim     D
//        4 kM           queries of one matrix
//        5 kKeys        keys of one step (Bc)
//        6 kWidth       columns of Q, K, V and O: D, rounded up to what matrices allow
//        7 kResultType  LacunaDtype of the result
//        8 kHasParts    some items are parts of a split row
//        9 kHasWindows  queries keep only the keys in their windows
//       10 kHasBoxes    queries keep only the keys in their boxes
//       11 kSoftCap     logits are capped
// shared wide_tile.glsl
//
// One step:  S = Q K^T;  logits, masked;  new maximum;  P;  O = shrink * O + P V
//
// Trip counts are uniform in a workgroup. Loops over the list test at their end: see memory.glsl.

#pragma use_vulkan_memory_model
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_NV_cooperative_matrix2 : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_EXT_shader_16bit_storage : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require

#include "attend/wide_tile.glsl"

float larger(const in float a, const in float b)
{
    return max(a, b);
}

float plus(const in float a, const in float b)
{
    return a + b;
}

float largerElement(const in uint row, const in uint column, const in float a,
                    const in float b)
{
    return max(a, b);
}

float powerElement(const in uint row, const in uint column, const in float logit,
                   const in float row_max)
{
    return exp2(logit - row_max);
}

// In base 2, of a query and the key `column` of the `count` that begin at `key`.
float logitElement(const in uint row, const in uint column, const in float product,
                   const in uint key, const in uint count)
{
    float logit = params.scale_log2 * product;
    if (kSoftCap)
        logit = softCap(logit, params.cap_log2);
    if (column >= count)
        return kMasked;
    const Query query =
        queryAt(params, item, min(item.begin + first_row + row, item.end - 1));
    if (kHasWindows && !isInWindow(params, query, key + column))
        return kMasked;
    return keptLogit(params, item, query, keyAt(params, item, key + column), logit);
}

void storeNumber(uvec2 row, uint column, float value)
{
    if (kResultType == kF32)
        FloatArray(row).at[column] = value;
    else if (kResultType == kF16)
        Word16Array(row).at[column] = uint16_t(packHalf2x16(vec2(value, 0)));
    else
        Word16Array(row).at[column] = uint16_t(packBfloat4(vec4(value, 0, 0, 0)).x);
}

// One number of O to the caller's row or to the partial result; the first of a row takes the LSE
// or the sum along.
float resultElement(const in uint row, const in uint column, const in float value,
                    const in float row_max, const in float row_sum)
{
    const uint at = first_row + row;
    const uint position = item.begin + at;
    if (position >= item.end || column >= kHeadDim)
        return value;
    if (item.slot == kNone)
    {
        float last_max = row_max, last_sum = row_sum;
        const float factor =
            finishRow(push.sinks, item.head % params.q_heads, last_max, last_sum);
        const uint token = tokens[at];
        storeNumber(advance(resultOf(params, item, kResultType), token,
                            params.out_token * octetBytes(kResultType)),
                    column, factor * value);
        if (column == 0 && !isNull(push.lse))
            storeLse(push.lse, item.head, params.q_len, token, last_max, last_sum);
    }
    else
    {
        const uvec2 partial = partialOf(item, kRows, kHeadDim);
        FloatArray(partial).at[at * (kHeadDim + kPartialExtra) + column] = value;
        if (column == 0)
            storePartialSum(partial, at, kHeadDim, row_max, row_sum);
    }
    return value;
}

Queries q;
Scores row_max, row_sum; // the same number along a row
Sums o;

void attendStep(uvec2 keys, uvec2 values, uint key, uint count)
{
    const Keys k = loadKeys(advance(keys, key, params.k_token * 16), params.k_token, count);
    Scores s = coopMatMulAdd(q, k, Scores(0));
    if (kHasWindows || kHasBoxes || kSoftCap || count < kKeys)
        coopMatPerElementNV(s, s, logitElement, key, count);
    else
        s = s * params.scale_log2;

    Scores new_max, shrink, sum;
    coopMatReduceNV(new_max, s, gl_CooperativeMatrixReduceRowNV, larger);
    coopMatPerElementNV(new_max, new_max, largerElement, row_max);
    coopMatPerElementNV(shrink, row_max, powerElement, new_max);
    coopMatPerElementNV(s, s, powerElement, new_max);
    coopMatReduceNV(sum, s, gl_CooperativeMatrixReduceRowNV, plus);
    row_max = new_max;
    row_sum = row_sum * shrink + sum;

    Sums factor; // shrink, as wide as O
    coopMatReduceNV(factor, shrink, gl_CooperativeMatrixReduceRowNV, larger);
    const Values v = loadValues(advance(values, key, params.v_token * 16), params.v_token, count);
    o = coopMatMulAdd(Weights(s), v, o * factor);
}

void storeRows()
{
    Sums wide_max, wide_sum;
    coopMatReduceNV(wide_max, row_max, gl_CooperativeMatrixReduceRowNV, larger);
    coopMatReduceNV(wide_sum, row_sum, gl_CooperativeMatrixReduceRowNV, larger);
    coopMatPerElementNV(o, o, resultElement, wide_max, wide_sum);
}

void main()
{
    params = ParamsView(push.params).value;
    item = takeItem(params, kHasParts);
    first_row = kStrips > 1 ? gl_SubgroupID * kM : 0;
    const uvec2 keys = keysOf(params, item, kF16);
    const uvec2 values = valuesOf(params, item, kF16);
    if (item.begin == item.end)
        return;

    stageTokens();
    q = loadQueries();
    row_max = Scores(kLowest);
    row_sum = Scores(0);
    o = Sums(0);
    Walk walk = startWalk(item, kHasParts);
    if (hasKeys(walk))
        do
        {
            const uint key = walk.span.x;
            const uint count = min(kKeys, walk.span.y - key);
            attendStep(keys, values, key, count);
            take(item, walk, count, kHasParts);
        } while (hasKeys(walk));
    storeRows();
}

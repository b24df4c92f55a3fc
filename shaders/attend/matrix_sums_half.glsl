// matrix_sums_half.glsl - the sums of the coopmat kernels in fp16 as far as they are short:
// S = Q K^T, and P V of one step, LACUNA_SUMS_F16.
//
// SPDX-License-Identifier: Apache-2.0
//
//   S    sums over all channels, of queries that were scaled before. What is more than fp16 holds
//        becomes a huge logit.
//   P V  sums over the keys of a step, which are added up in fp32. The weights of a step are
//        relative to its own maximum, so that no weight gets lost beside a larger one of another
//        step, and so small that the sum of any values stays finite; in fp32 they become relative
//        to the row's maximum.
#ifndef LACUNA_ATTEND_MATRIX_SUMS_HALF_GLSL
#define LACUNA_ATTEND_MATRIX_SUMS_HALF_GLSL

#include "attend/checked_logit.glsl"

#define HalfSums coopmat<float16_t, gl_ScopeSubgroup, kM, kN, gl_MatrixUseAccumulator>

// Weights are at most 2^-kHeadroom: those of a step's keys sum to 1/2 at most.
const uint kHeadroom =
    kKeys <= 16 ? 5 : kKeys <= 32 ? 6 : kKeys <= 64 ? 7 : kKeys <= 128 ? 8 : 9;

// S, scaled, of the kTileKeys keys from column `key` of the step on: the tile `t` of s.
void scoreKeys(Rows keys, uint key, uint t)
{
    HalfSums sums[kTilesM];
    LACUNA_MATRIX_LOOP for (uint m = 0; m < kTilesM; ++m)
        sums[m] = HalfSums(0);
    LACUNA_MATRIX_LOOP for (uint d = 0; d < kScoreSteps; ++d)
    {
        const Keys k = loadKeys(keys, key, d);
        LACUNA_MATRIX_LOOP for (uint m = 0; m < kTilesM; ++m)
            sums[m] = LACUNA_PRODUCT(heldQueries(m, d), k, sums[m]);
    }
    LACUNA_MATRIX_LOOP for (uint m = 0; m < kTilesM; ++m)
        s[m * kTilesS + t] = Accumulator(sums[m]);
}

// A logit in base 2.
float logitOfSum(AttendParams params, float sum)
{
    return checkedLogit(sum);
}

// What the weights of a step are relative to.
float weightBase(float step_max, float row_max)
{
    return step_max + float(kHeadroom);
}

// What they are multiplied by then, to be relative to the row's maximum.
float weightGrowth(float base, float row_max)
{
    return exp2(base - row_max);
}

// O = shrink * O + grow * sums, where `shrink` and `grow` belong to a row.
void addUp(uint m, uint n, Accumulator sums);

// P V of all keys of the step, when P is that of the last ones.
void weighKeys(Rows values, uint key)
{
    if (key + kWeighK < kKeys)
        return;
    LACUNA_MATRIX_LOOP for (uint n = 0; n < kTilesN; ++n)
    {
        HalfSums sums[kTilesM];
        LACUNA_MATRIX_LOOP for (uint m = 0; m < kTilesM; ++m)
            sums[m] = HalfSums(0);
        LACUNA_MATRIX_LOOP for (uint group = 0; group < kGroups; ++group)
        {
            const Values v = loadValues(values, group * kWeighK, n);
            LACUNA_MATRIX_LOOP for (uint m = 0; m < kTilesM; ++m)
                sums[m] = LACUNA_PRODUCT(p[placeOf(m, group * kWeighK)], v, sums[m]);
        }
        LACUNA_MATRIX_LOOP for (uint m = 0; m < kTilesM; ++m)
            addUp(m, n, Accumulator(sums[m]));
    }
}

#endif

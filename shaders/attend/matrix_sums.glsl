// matrix_sums.glsl - the sums of the coopmat kernels in fp32: S = Q K^T, and O += P V.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef LACUNA_ATTEND_MATRIX_SUMS_GLSL
#define LACUNA_ATTEND_MATRIX_SUMS_GLSL

// S, not scaled, of the kTileKeys keys from column `key` of the step on: the tile `t` of s.
void scoreKeys(Rows keys, uint key, uint t)
{
    if (kScoreSteps == 1) // llvmpipe would read the zeros from memory
    {
        const Keys k = loadKeys(keys, key, 0);
        LACUNA_MATRIX_LOOP for (uint m = 0; m < kTilesM; ++m)
            s[m * kTilesS + t] = LACUNA_PRODUCT(heldQueries(m, 0), k, Accumulator(0));
        return;
    }
    LACUNA_MATRIX_LOOP for (uint m = 0; m < kTilesM; ++m)
        s[m * kTilesS + t] = Accumulator(0);
    LACUNA_MATRIX_LOOP for (uint d = 0; d < kScoreSteps; ++d)
    {
        const Keys k = loadKeys(keys, key, d);
        LACUNA_MATRIX_LOOP for (uint m = 0; m < kTilesM; ++m)
            s[m * kTilesS + t] = LACUNA_PRODUCT(heldQueries(m, d), k, s[m * kTilesS + t]);
    }
}

// A logit in base 2.
float logitOfSum(AttendParams params, float sum)
{
    return sum * params.scale_log2;
}

// What the weights of a step are relative to.
float weightBase(float step_max, float row_max)
{
    return row_max;
}

// What they are multiplied by then, to be relative to the row's maximum.
float weightGrowth(float base, float row_max)
{
    return 1;
}

// O += P V of the kWeighK keys from column `key` of the step on.
void weighKeys(Rows values, uint key)
{
    LACUNA_MATRIX_LOOP for (uint n = 0; n < kTilesN; ++n)
    {
        const Values v = loadValues(values, key, n);
        LACUNA_MATRIX_LOOP for (uint m = 0; m < kTilesM; ++m)
            o[m * kTilesN + n] = LACUNA_PRODUCT(p[placeOf(m, key)], v, o[m * kTilesN + n]);
    }
}

#endif

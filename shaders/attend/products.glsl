// products.glsl - the two matrix products of coopmat.comp, with S and P in shared memory.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef LACUNA_ATTEND_PRODUCTS_GLSL
#define LACUNA_ATTEND_PRODUCTS_GLSL

#include "attend/score_tile.glsl" // first: it chooses the orientation

#include "attend/matrices.glsl"

Accumulator factors[kTilesM * kFactors]; // of rows, with sums in fp16: shrink, then grow

// 1. S = Q K^T
void scoreTiles(Rows keys)
{
    LACUNA_MATRIX_LOOP for (uint column = slice() * kN; column < kKeys; column += kSlices * kN)
    {
        scoreKeys(keys, column, 0);
        LACUNA_MATRIX_LOOP for (uint m = 0; m < kTilesM; ++m)
            coopMatStore(s[m], score, (strip() * kTilesM + m) * kM * kScoreStride + column,
                         kScoreStride, gl_CooperativeMatrixLayoutRowMajor);
    }
}

// O += P V of the kWeighK keys from column `key` on.
void weighColumns(Rows values, uint key)
{
    LACUNA_MATRIX_LOOP for (uint m = 0; m < kTilesM; ++m)
        coopMatLoad(p[placeOf(m, key)], weight,
                    (strip() * kTilesM + m) * kM * kWeightStride + key / 2, kWeightStride,
                    gl_CooperativeMatrixLayoutRowMajor);
    weighKeys(values, key);
}

// `shrink` of each row, from `first` on, in all columns of a tile. A load with stride 0 repeats the
// one number; where it is not trusted, the tile is made where S was, by the subgroup that stored S
// there.
Accumulator factorTile(uint m, uint first)
{
    const uint row = (strip() * kTilesM + m) * kM, column = slice() * kN;
    Accumulator factor;
    if (kBroadcast)
        coopMatLoad(factor, shrink, first + row, 0, gl_CooperativeMatrixLayoutColumnMajor);
    else
    {
        for (uint i = gl_SubgroupInvocationID; i < kM * kN; i += kSubgroupSize)
            score[(row + i / kN) * kScoreStride + column + i % kN] = shrink[first + row + i / kN];
        barrier();
        coopMatLoad(factor, score, row * kScoreStride + column, kScoreStride,
                    gl_CooperativeMatrixLayoutRowMajor);
        barrier(); // before the next S is stored
    }
    return factor;
}

// With sums in fp16: O = shrink * O + grow * sums
void addUp(uint m, uint n, Accumulator sums)
{
    const uint last = m * kFactors + kFactors - 1;
    o[m * kTilesN + n] = o[m * kTilesN + n] * factors[m * kFactors] + sums * factors[last];
}

// 3. O = shrink * O + P V
void weighTiles(Rows values)
{
    LACUNA_MATRIX_LOOP for (uint m = 0; m < kTilesM; ++m)
    {
        const Accumulator factor = factorTile(m, 0);
        if (kHalfSums)
        {
            factors[m * kFactors] = factor;
            factors[m * kFactors + kFactors - 1] = factorTile(m, kRows);
        }
        else
            LACUNA_MATRIX_LOOP for (uint n = 0; n < kTilesN; ++n)
                o[m * kTilesN + n] = o[m * kTilesN + n] * factor;
    }
    if (kSubgroupSize < 32 && !kHalfSums)
    {
        // Narrow subgroups have few registers: Mesa 25.0.7 ANV spills at D=128 when it unrolls
        // this, on DG2 also in one rolled loop, but not with a loop of one step inside it.
        [[dont_unroll]] for (uint group = 0; group < kKeys; group += kWeighK)
            [[dont_unroll]] for (uint key = group; key < group + kWeighK; key += kWeighK)
                weighColumns(values, key);
    }
    else
        LACUNA_MATRIX_LOOP for (uint key = 0; key < kKeys; key += kWeighK)
            weighColumns(values, key);
}

#endif

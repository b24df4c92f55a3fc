// products.glsl - the two matrix products of coopmat.comp, and what they hold in registers.
//
// SPDX-License-Identifier: Apache-2.0
//
// A load of a matrix costs like a product, on a CPU: there Q is loaded once, and each K or V serves
// kTilesM products.
#ifndef LACUNA_ATTEND_PRODUCTS_GLSL
#define LACUNA_ATTEND_PRODUCTS_GLSL

#include "attend/tile.glsl"

#define Accumulator coopmat<float, gl_ScopeSubgroup, kM, kN, gl_MatrixUseAccumulator>
#define Queries coopmat<float16_t, gl_ScopeSubgroup, kM, kScoreK, gl_MatrixUseA>

Accumulator o[kTilesM * kTilesN];
Queries held[kHoldQ ? kTilesM * kScoreSteps : 1];

// K or V of one step: in kv_tile, or where they are.
struct Rows
{
    uvec2 base;  // the row of the first key
    uint stride; // 16-byte words between rows
    bool is_direct;
};

Rows rowsOf(uvec2 head, uint stride, Step taken, bool is_direct)
{
    return Rows(advance(head, taken.key, stride * octetBytes(kInputType)), stride, is_direct);
}

Queries stagedQueries(uint m, uint d)
{
    Queries q;
    const uint row = (strip() * kTilesM + m) * kM;
    if (kHoldQ)
        coopMatLoad(q, kv_tile, row * kStride + d * (kScoreK / 8), kStride,
                    gl_CooperativeMatrixLayoutRowMajor);
    else
        coopMatLoad(q, q_tile, row * kStride + d * (kScoreK / 8), kStride,
                    gl_CooperativeMatrixLayoutRowMajor);
    return q;
}

void holdQueries()
{
    LACUNA_MATRIX_LOOP for (uint m = 0; m < kTilesM; ++m)
        LACUNA_MATRIX_LOOP for (uint d = 0; d < kScoreSteps; ++d)
            held[m * kScoreSteps + d] = stagedQueries(m, d);
}

// 1. S = Q K^T, not scaled.
void scoreTiles(Rows keys)
{
    LACUNA_MATRIX_LOOP for (uint column = slice() * kN; column < kKeys; column += kSlices * kN)
    {
        Accumulator s[kTilesM];
        LACUNA_MATRIX_LOOP for (uint m = 0; m < kTilesM; ++m)
            s[m] = Accumulator(0);
        LACUNA_MATRIX_LOOP for (uint d = 0; d < kScoreSteps; ++d)
        {
            coopmat<float16_t, gl_ScopeSubgroup, kScoreK, kN, gl_MatrixUseB> k;
            if (kDirect && keys.is_direct)
                coopMatLoad(k, Uvec4Array(keys.base).at, column * keys.stride + d * (kScoreK / 8),
                            keys.stride, gl_CooperativeMatrixLayoutColumnMajor);
            else
                coopMatLoad(k, kv_tile, column * kStride + d * (kScoreK / 8), kStride,
                            gl_CooperativeMatrixLayoutColumnMajor);
            LACUNA_MATRIX_LOOP for (uint m = 0; m < kTilesM; ++m)
            {
                if (kHoldQ)
                    s[m] = coopMatMulAdd(held[m * kScoreSteps + d], k, s[m]);
                else
                    s[m] = coopMatMulAdd(stagedQueries(m, d), k, s[m]);
            }
        }
        LACUNA_MATRIX_LOOP for (uint m = 0; m < kTilesM; ++m)
            coopMatStore(s[m], score, (strip() * kTilesM + m) * kM * kScoreStride + column,
                         kScoreStride, gl_CooperativeMatrixLayoutRowMajor);
    }
}

// O += P V of the kWeighK keys from `key` on.
void weighKeys(Rows values, uint key)
{
    coopmat<float16_t, gl_ScopeSubgroup, kM, kWeighK, gl_MatrixUseA> p[kTilesM];
    LACUNA_MATRIX_LOOP for (uint m = 0; m < kTilesM; ++m)
        coopMatLoad(p[m], weight, (strip() * kTilesM + m) * kM * kWeightStride + key / 2,
                    kWeightStride, gl_CooperativeMatrixLayoutRowMajor);
    LACUNA_MATRIX_LOOP for (uint n = 0; n < kTilesN; ++n)
    {
        coopmat<float16_t, gl_ScopeSubgroup, kWeighK, kN, gl_MatrixUseB> v;
        const uint octet = (n * kSlices + slice()) * (kN / 8);
        if (kDirect && values.is_direct)
            coopMatLoad(v, Uvec4Array(values.base).at, key * values.stride + octet, values.stride,
                        gl_CooperativeMatrixLayoutRowMajor);
        else
            coopMatLoad(v, kv_tile, key * kStride + octet, kStride,
                        gl_CooperativeMatrixLayoutRowMajor);
        LACUNA_MATRIX_LOOP for (uint m = 0; m < kTilesM; ++m)
            o[m * kTilesN + n] = coopMatMulAdd(p[m], v, o[m * kTilesN + n]);
    }
}

// `shrink` of each row in all columns of a tile. A load with stride 0 repeats the one number; where
// it is not trusted, the tile is made where S was, by the subgroup that stored S there.
Accumulator shrinkTile(uint m)
{
    const uint row = (strip() * kTilesM + m) * kM, column = slice() * kN;
    Accumulator factor;
    if (kBroadcast)
        coopMatLoad(factor, shrink, row, 0, gl_CooperativeMatrixLayoutColumnMajor);
    else
    {
        for (uint i = gl_SubgroupInvocationID; i < kM * kN; i += kSubgroupSize)
            score[(row + i / kN) * kScoreStride + column + i % kN] = shrink[row + i / kN];
        barrier();
        coopMatLoad(factor, score, row * kScoreStride + column, kScoreStride,
                    gl_CooperativeMatrixLayoutRowMajor);
        barrier(); // before the next S is stored
    }
    return factor;
}

// 3. O = shrink * O + P V
void weighTiles(Rows values)
{
    LACUNA_MATRIX_LOOP for (uint m = 0; m < kTilesM; ++m)
    {
        const Accumulator factor = shrinkTile(m);
        LACUNA_MATRIX_LOOP for (uint n = 0; n < kTilesN; ++n)
            o[m * kTilesN + n] = o[m * kTilesN + n] * factor;
    }
    if (kSubgroupSize < 32)
    {
        // Narrow subgroups have few registers: Mesa 25.0.7 ANV spills at D=128 when it unrolls
        // this, on DG2 also in one rolled loop, but not with a loop of one step inside it.
        [[dont_unroll]] for (uint group = 0; group < kKeys; group += kWeighK)
            [[dont_unroll]] for (uint key = group; key < group + kWeighK; key += kWeighK)
                weighKeys(values, key);
    }
    else
        LACUNA_MATRIX_LOOP for (uint key = 0; key < kKeys; key += kWeighK)
            weighKeys(values, key);
}

#endif

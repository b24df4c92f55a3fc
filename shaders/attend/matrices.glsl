// matrices.glsl - the matrices of the coopmat kernels, in either orientation, and what they hold in
// registers.
//
// SPDX-License-Identifier: Apache-2.0
//
// LACUNA_TURNED=0  S = Q K^T and O += P V: queries are rows, and P is operand A
// LACUNA_TURNED=1  S^T = K Q^T and O^T += V^T P^T: queries are columns, and P is operand B
//
// A load of a matrix costs like a product, on a CPU: there Q is loaded once, and each K or V serves
// kTilesM products.
#ifndef LACUNA_ATTEND_MATRICES_GLSL
#define LACUNA_ATTEND_MATRICES_GLSL

#include "attend/tile.glsl"

#define Accumulator coopmat<float, gl_ScopeSubgroup, kM, kN, gl_MatrixUseAccumulator>

#if LACUNA_TURNED
#define Queries coopmat<float16_t, gl_ScopeSubgroup, kScoreK, kN, gl_MatrixUseB>
#define Keys coopmat<float16_t, gl_ScopeSubgroup, kM, kScoreK, gl_MatrixUseA>
#define Weights coopmat<float16_t, gl_ScopeSubgroup, kWeighK, kN, gl_MatrixUseB>
#define Values coopmat<float16_t, gl_ScopeSubgroup, kM, kWeighK, gl_MatrixUseA>
#define LACUNA_PRODUCT(of_queries, of_keys, sum) coopMatMulAdd(of_keys, of_queries, sum)
const int kRowsOfQueries = gl_CooperativeMatrixLayoutColumnMajor; // memory has a row per query
const int kRowsOfKeys = gl_CooperativeMatrixLayoutRowMajor;       // or per key: K
const int kRowsOfValues = gl_CooperativeMatrixLayoutColumnMajor;
#else
#define Queries coopmat<float16_t, gl_ScopeSubgroup, kM, kScoreK, gl_MatrixUseA>
#define Keys coopmat<float16_t, gl_ScopeSubgroup, kScoreK, kN, gl_MatrixUseB>
#define Weights coopmat<float16_t, gl_ScopeSubgroup, kM, kWeighK, gl_MatrixUseA>
#define Values coopmat<float16_t, gl_ScopeSubgroup, kWeighK, kN, gl_MatrixUseB>
#define LACUNA_PRODUCT(of_queries, of_keys, sum) coopMatMulAdd(of_queries, of_keys, sum)
const int kRowsOfQueries = gl_CooperativeMatrixLayoutRowMajor;
const int kRowsOfKeys = gl_CooperativeMatrixLayoutColumnMajor;
const int kRowsOfValues = gl_CooperativeMatrixLayoutRowMajor;
#endif

// Matrices of P that are held at once, each of kWeighK keys.
const uint kGroups = kHalfSums ? kKeys / kWeighK : 1;

Queries held[kHoldQ ? kTilesM * kScoreSteps : 1];
Accumulator s[kTilesM * kTilesS];
Weights p[kTilesM * kGroups];
Accumulator o[kTilesM * kTilesN];

// Where that of these keys is in p.
uint placeOf(uint m, uint key)
{
    return m * kGroups + key / kWeighK % kGroups;
}

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
    const uint at = (strip() * kTilesM + m) * kTileQueries * kStride + d * (kScoreK / 8);
    if (kHoldQ)
        coopMatLoad(q, kv_tile, at, kStride, kRowsOfQueries);
    else
        coopMatLoad(q, q_tile, at, kStride, kRowsOfQueries);
    return q;
}

void holdQueries()
{
    LACUNA_MATRIX_LOOP for (uint m = 0; m < kTilesM; ++m)
        LACUNA_MATRIX_LOOP for (uint d = 0; d < kScoreSteps; ++d)
            held[m * kScoreSteps + d] = stagedQueries(m, d);
}

Queries heldQueries(uint m, uint d)
{
    if (kHoldQ)
        return held[m * kScoreSteps + d];
    return stagedQueries(m, d);
}

// Channels of the kTileKeys keys from column `key` of the step on.
Keys loadKeys(Rows keys, uint key, uint d)
{
    Keys k;
    if (kDirect && keys.is_direct)
        coopMatLoad(k, Uvec4Array(keys.base).at, key * keys.stride + d * (kScoreK / 8), keys.stride,
                    kRowsOfKeys);
    else
        coopMatLoad(k, kv_tile, key * kStride + d * (kScoreK / 8), kStride, kRowsOfKeys);
    return k;
}

// The n-th channels of this subgroup, of the kWeighK keys from column `key` of the step on.
Values loadValues(Rows values, uint key, uint n)
{
    Values v;
    const uint octet = (n * kSlices + slice()) * (kTileKeys / 8);
    if (kDirect && values.is_direct)
        coopMatLoad(v, Uvec4Array(values.base).at, key * values.stride + octet, values.stride,
                    kRowsOfValues);
    else
        coopMatLoad(v, kv_tile, key * kStride + octet, kStride, kRowsOfValues);
    return v;
}

#if LACUNA_SUMS == 1 // the products and sums
#include "attend/matrix_sums_half.glsl"
#else
#include "attend/matrix_sums.glsl"
#endif

#endif

// wide_tile.glsl - the matrices of coopmat2.comp, and how Q, K and V get into them.
//
// SPDX-License-Identifier: Apache-2.0
//
// Rows and channels beyond a tensor become zeros: a weight of 0 times whatever lies there could be
// NaN. Tensor loads do that themselves; without them whole matrices are loaded as they are, and the
// others element by element.
#ifndef LACUNA_ATTEND_WIDE_TILE_GLSL
#define LACUNA_ATTEND_WIDE_TILE_GLSL

#include "attend/task.glsl"

layout(local_size_x_id = 0) in;
layout(constant_id = 0) const uint kThreads = 32;
layout(constant_id = 1) const uint kScope = 3;
layout(constant_id = 2) const uint kStrips = 1;
layout(constant_id = 3) const uint kHeadDim = 64;
layout(constant_id = 4) const uint kM = 16;
layout(constant_id = 5) const uint kKeys = 16;
layout(constant_id = 6) const uint kWidth = 64;
layout(constant_id = 7) const uint kResultType = kF16;
layout(constant_id = 8) const bool kHasParts = true;
layout(constant_id = 9) const bool kHasWindows = true;
layout(constant_id = 10) const bool kHasBoxes = true;
layout(constant_id = 11) const bool kSoftCap = true;
#include "attend/keep.glsl"
#include "attend/walk.glsl"

const uint kRows = kStrips * kM; // queries of the workgroup (Br)

layout(buffer_reference, std430, buffer_reference_align = 16) readonly buffer HalfArray
{
    float16_t at[];
};
layout(buffer_reference, std430, buffer_reference_align = 2) writeonly buffer Word16Array
{
    uint16_t at[];
};

#define Queries coopmat<float16_t, kScope, kM, kWidth, gl_MatrixUseA>
#define Keys coopmat<float16_t, kScope, kWidth, kKeys, gl_MatrixUseB>
#define Scores coopmat<float, kScope, kM, kKeys, gl_MatrixUseAccumulator>
#define Weights coopmat<float16_t, kScope, kM, kKeys, gl_MatrixUseA>
#define Values coopmat<float16_t, kScope, kKeys, kWidth, gl_MatrixUseB>
#define Sums coopmat<float, kScope, kM, kWidth, gl_MatrixUseAccumulator>

// What the functions for single elements see.
AttendParams params;
AttendItem item;
uint first_row; // of this matrix in the tile

// The caller's tokens of all rows, the last one repeated. tokenAt() in a function for single
// elements crashed lavapipe (Mesa 26.1) where the order is null.
shared uint tokens[kRows];

void stageTokens()
{
    for (uint row = gl_LocalInvocationIndex; row < kRows; row += kThreads)
        tokens[row] = tokenAt(params, item, min(item.begin + row, item.end - 1));
    barrier();
}

float16_t queryElement(const in uint row, const in uint column, const in float16_t unused)
{
    const uint at = first_row + row;
    if (item.begin + at >= item.end || column >= kHeadDim)
        return float16_t(0);
    const uvec2 base = advance(queriesOf(params, item, kF16), tokens[at], params.q_token * 16);
    return HalfArray(base).at[column];
}

#if LACUNA_TENSORS

#define Rows tensorLayoutNV<2, gl_CooperativeMatrixClampModeConstantNV>

// `count` rows of kHeadDim channels, `stride` 16-byte words apart, as height x kWidth.
Rows rowsOf(uint count, uint stride, uint height)
{
    Rows rows = createTensorLayoutNV(2, gl_CooperativeMatrixClampModeConstantNV);
    rows = setTensorLayoutDimensionNV(rows, count, kHeadDim);
    rows = setTensorLayoutStrideNV(rows, stride * 8, 1);
    return sliceTensorLayoutNV(rows, 0, height, 0, kWidth);
}

Keys loadKeys(uvec2 base, uint stride, uint count)
{
    Keys k;
    coopMatLoadTensorNV(k, HalfArray(base).at, 0, rowsOf(count, stride, kKeys),
                        createTensorViewNV(2, false, 1, 0));
    return k;
}

Values loadValues(uvec2 base, uint stride, uint count)
{
    Values v;
    coopMatLoadTensorNV(v, HalfArray(base).at, 0, rowsOf(count, stride, kKeys));
    return v;
}

#else

float16_t keyElement(const in uint channel, const in uint key, const in float16_t unused,
                     const in uvec2 base, const in uint stride, const in uint count)
{
    if (key >= count || channel >= kHeadDim)
        return float16_t(0);
    return HalfArray(base).at[key * stride * 8 + channel];
}

float16_t valueElement(const in uint key, const in uint channel, const in float16_t unused,
                       const in uvec2 base, const in uint stride, const in uint count)
{
    if (key >= count || channel >= kHeadDim)
        return float16_t(0);
    return HalfArray(base).at[key * stride * 8 + channel];
}

Keys loadKeys(uvec2 base, uint stride, uint count)
{
    Keys k = Keys(0);
    if (kHeadDim == kWidth && count == kKeys)
        coopMatLoad(k, HalfArray(base).at, 0, stride * 8, gl_CooperativeMatrixLayoutColumnMajor);
    else
        coopMatPerElementNV(k, k, keyElement, base, stride, count);
    return k;
}

Values loadValues(uvec2 base, uint stride, uint count)
{
    Values v = Values(0);
    if (kHeadDim == kWidth && count == kKeys)
        coopMatLoad(v, HalfArray(base).at, 0, stride * 8, gl_CooperativeMatrixLayoutRowMajor);
    else
        coopMatPerElementNV(v, v, valueElement, base, stride, count);
    return v;
}

#endif

Queries loadQueries()
{
    Queries q = Queries(0);
#if LACUNA_TENSORS
    if (isNull(push.order))
    {
        const uint begin = min(item.begin + first_row, item.end);
        const uvec2 base = advance(queriesOf(params, item, kF16), begin, params.q_token * 16);
        coopMatLoadTensorNV(q, HalfArray(base).at, 0,
                            rowsOf(item.end - begin, params.q_token, kM));
        return q;
    }
#endif
    coopMatPerElementNV(q, q, queryElement);
    return q;
}

#endif

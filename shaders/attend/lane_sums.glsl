// lane_sums.glsl - the sums of scalar.comp in fp32: Q K^T of one step, and what lane_weigh.glsl does.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef LACUNA_ATTEND_LANE_SUMS_GLSL
#define LACUNA_ATTEND_LANE_SUMS_GLSL

#include "attend/lane_weigh.glsl"

const uint kScoreType = kKeyType; // of K

vec4 q[kRows * kQuads];

// Query r, from where it was loaded to: o.
void holdQuery(uint r)
{
    [[unroll]] for (uint i = 0; i < kQuads; ++i)
        q[r * kQuads + i] = o[r * kQuads + i];
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

#endif

// lane_weigh.glsl - the online softmax of scalar.comp, and O += P V of one step, in fp32.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef LACUNA_ATTEND_LANE_WEIGH_GLSL
#define LACUNA_ATTEND_LANE_WEIGH_GLSL

#include "attend/lane_tile.glsl"

// A sum over the lanes of a query is what it should be.
float checkedLogit(float logit)
{
    return logit;
}

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

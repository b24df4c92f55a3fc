// lane_sums_int.glsl - Q K^T of scalar.comp in integers, LACUNA_SUMS_I32; O += P V in fp32.
//
// SPDX-License-Identifier: Apache-2.0
//
// A query and a key are 8-bit integers times one scale each: the sum over channels is exact, and only
// then multiplied by both.
#ifndef LACUNA_ATTEND_LANE_SUMS_INT_GLSL
#define LACUNA_ATTEND_LANE_SUMS_INT_GLSL

#include "attend/lane_weigh.glsl"
#include "lib/int8.glsl"

const uint kScoreType = kI8; // of K, from round_keys.comp

int q[kRows * kQuads];
float q_scale[kRows];

// Query r, from where it was loaded to: o. Its lanes share the scale.
void holdQuery(uint r)
{
    float largest = 0;
    [[unroll]] for (uint i = 0; i < kQuads; ++i)
        largest = max(largest, largestOf(o[r * kQuads + i]));
    largest = laneMax(largest, kSplit);
    const float factor = int8Factor(largest);
    q_scale[r] = largest / kLargestInt8;
    [[unroll]] for (uint i = 0; i < kQuads; ++i)
        q[r * kQuads + i] = packInt8(o[r * kQuads + i], factor);
}

// s = Q K^T, of this lane's channels
void scoreKeys(uint part)
{
    int sum[kRows * kKeys];
    [[unroll]] for (uint n = 0; n < kRows * kKeys; ++n)
        sum[n] = 0;
    [[unroll]] for (uint i = 0; i < kQuads; ++i)
    {
        int k[kKeys];
        [[unroll]] for (uint j = 0; j < kKeys; ++j)
            k[j] = int(UintArray(row_at[j]).at[i * kSplit + part]);
        [[unroll]] for (uint r = 0; r < kRows; ++r)
            [[unroll]] for (uint j = 0; j < kKeys; ++j)
                sum[r * kKeys + j] += dotPacked4x8EXT(q[r * kQuads + i], k[j]);
    }
    [[unroll]] for (uint j = 0; j < kKeys; ++j)
    {
        const float k_scale = FloatArray(row_at[j]).at[kHeadDim / 4];
        [[unroll]] for (uint r = 0; r < kRows; ++r)
            s[r * kKeys + j] = float(sum[r * kKeys + j]) * (q_scale[r] * k_scale);
    }
}

#endif

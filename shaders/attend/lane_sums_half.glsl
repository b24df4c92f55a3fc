// lane_sums_half.glsl - the sums of scalar.comp in fp16 as far as they are short: Q K^T and
// O += P V of one step, LACUNA_SUMS_F16.
//
// SPDX-License-Identifier: Apache-2.0
//
// Two neighbouring channels go into one packed multiply-add.
//   Q K^T  chains of kChain quads, the sums of which are added up in fp32. What is more than fp16
//          holds becomes infinite there, or no number, and checkedLogit() a huge logit.
//   P V    chains of the keys of a step. The weights of a step are relative to its own maximum, so
//          that no weight gets lost beside a larger one of another step, and so small that the sum
//          of any values stays finite; in fp32 they become relative to the row's maximum.
#ifndef LACUNA_ATTEND_LANE_SUMS_HALF_GLSL
#define LACUNA_ATTEND_LANE_SUMS_HALF_GLSL

#include "attend/checked_logit.glsl"
#include "attend/lane_tile.glsl"

const uint kChain = 4; // quads; 8 products in each half
// Weights are at most 2^-kHeadroom: that of a step's keys sum to 1/2 at most.
const uint kHeadroom = kKeys <= 2 ? 2 : kKeys <= 4 ? 3 : kKeys <= 8 ? 4 : 5;

const uint kScoreType = kKeyType; // of K

f16vec4 q[kRows * kQuads];

// What fp16 cannot hold becomes its largest number.
f16vec4 toHalves(vec4 quad)
{
    const vec4 limit = vec4(65504);
    return f16vec4(clamp(quad, -limit, limit));
}

f16vec4 loadHalves(uvec2 base, uint index)
{
    if (kKeyType != kF16)
        return toHalves(loadQuad(base, index, kKeyType));
    const uvec2 words = Uvec2Array(base).at[index];
    return f16vec4(unpackFloat2x16(words.x), unpackFloat2x16(words.y));
}

// Query r, from where it was loaded to: o.
void holdQuery(uint r)
{
    [[unroll]] for (uint i = 0; i < kQuads; ++i)
        q[r * kQuads + i] = toHalves(o[r * kQuads + i]);
}

// s = Q K^T
void scoreKeys(uint part)
{
    f16vec2 chain[kRows * kKeys];
    [[unroll]] for (uint n = 0; n < kRows * kKeys; ++n)
        s[n] = 0;
    [[unroll]] for (uint i = 0; i < kQuads; ++i)
    {
        f16vec4 k[kKeys];
        [[unroll]] for (uint j = 0; j < kKeys; ++j)
            k[j] = loadHalves(row_at[j], i * kSplit + part);
        [[unroll]] for (uint r = 0; r < kRows; ++r)
            [[unroll]] for (uint j = 0; j < kKeys; ++j)
            {
                const uint n = r * kKeys + j;
                const f16vec4 a = q[r * kQuads + i];
                chain[n] = i % kChain == 0 ? a.xy * k[j].xy : fma(a.xy, k[j].xy, chain[n]);
                chain[n] = fma(a.zw, k[j].zw, chain[n]);
                if (i % kChain == kChain - 1 || i == kQuads - 1)
                    s[n] += float(chain[n].x) + float(chain[n].y);
            }
    }
}

// Online softmax, and O += P V.
void weighKeys(uint part)
{
    float shrink[kRows], grow[kRows]; // of O so far, and of the step
    float16_t weight[kRows * kKeys];
    [[unroll]] for (uint r = 0; r < kRows; ++r)
    {
        float step_max = kLowest;
        [[unroll]] for (uint j = 0; j < kKeys; ++j)
            step_max = max(step_max, s[r * kKeys + j]);
        const float new_max = max(row_max[r], step_max);
        shrink[r] = exp2(row_max[r] - new_max);
        grow[r] = exp2(step_max - new_max + float(kHeadroom));
        row_max[r] = new_max;
        float sum = 0;
        [[unroll]] for (uint j = 0; j < kKeys; ++j)
        {
            const float w = exp2(s[r * kKeys + j] - step_max - float(kHeadroom));
            weight[r * kKeys + j] = float16_t(w);
            sum += w;
        }
        row_sum[r] = row_sum[r] * shrink[r] + sum * grow[r];
    }

    [[unroll]] for (uint i = 0; i < kQuads; ++i)
    {
        f16vec4 v[kKeys];
        [[unroll]] for (uint j = 0; j < kKeys; ++j)
            v[j] = loadHalves(row_at[j], i * kSplit + part);
        [[unroll]] for (uint r = 0; r < kRows; ++r)
        {
            f16vec4 chain = weight[r * kKeys] * v[0];
            [[unroll]] for (uint j = 1; j < kKeys; ++j)
                chain = fma(f16vec4(weight[r * kKeys + j]), v[j], chain);
            o[r * kQuads + i] = fma(vec4(grow[r]), vec4(chain), o[r * kQuads + i] * shrink[r]);
        }
    }
}

#endif

// store.glsl - how the coopmat kernels hand O over: through shared memory, tile by tile, to the
// caller's rows or to the partial result.
//
// SPDX-License-Identifier: Apache-2.0
//
// Include it behind `score`, which has kM * kN numbers for each subgroup.
#ifndef LACUNA_ATTEND_STORE_GLSL
#define LACUNA_ATTEND_STORE_GLSL

#include "attend/matrices.glsl"

void storeTiles(AttendParams params, AttendItem item)
{
    const uvec2 base = resultOf(params, item, kResultType);
    const uvec2 partial = partialOf(item, kRows, kHeadDim);
    const uint scratch = gl_SubgroupID * kM * kN;
    LACUNA_MATRIX_LOOP for (uint m = 0; m < kTilesM; ++m)
    {
        LACUNA_MATRIX_LOOP for (uint n = 0; n < kTilesN; ++n)
        {
            coopMatStore(o[m * kTilesN + n], score, scratch, kTileKeys, kRowsOfQueries);
            barrier();
            for (uint i = gl_SubgroupInvocationID; i < kM * kN / 4; i += kSubgroupSize)
            {
                const uint row =
                    (strip() * kTilesM + m) * kTileQueries + i / (kTileKeys / 4);
                const uint quad = (n * kSlices + slice()) * (kTileKeys / 4) + i % (kTileKeys / 4);
                const uint at = scratch + i * 4;
                const vec4 values =
                    shrink[row] * vec4(score[at], score[at + 1], score[at + 2], score[at + 3]);
                if (item.begin + row < item.end && quad < kHeadDim / 4)
                {
                    if (item.slot == kNone)
                    {
                        const uint token = tokenAt(params, item, item.begin + row);
                        storeQuad(base, token * params.out_token * 2 + quad, values, kResultType);
                    }
                    else
                        Vec4Array(partial).at[row * (kHeadDim + kPartialExtra) / 4 + quad] = values;
                }
            }
            barrier();
        }
    }
}

#endif

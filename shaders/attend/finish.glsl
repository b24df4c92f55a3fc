// finish.glsl - the last step of a row, where all its keys have been added up: the sink's logit,
// and the LSE.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef LACUNA_ATTEND_FINISH_GLSL
#define LACUNA_ATTEND_FINISH_GLSL

#include "lib/memory.glsl"

const float kLn2 = 0.693147180559945309;
const float kNegativeInfinity = -1.0 / 0.0;

// Adds the sink's share to the sum of a row of query head `head`; maximum and sink are in base 2.
// Returns what O has to be scaled by: 0 for a row without keys.
float finishRow(uvec2 sinks, uint head, inout float row_max, inout float row_sum)
{
    float factor = 1;
    if (!isNull(sinks))
    {
        const float sink = FloatArray(sinks).at[head];
        const float new_max = max(row_max, sink);
        factor = exp2(row_max - new_max);
        row_sum = row_sum * factor + exp2(sink - new_max);
        row_max = new_max;
    }
    return row_sum > 0 ? factor / row_sum : 0;
}

// Of one query of one head, `slice` of all batches, from its maximum (base 2) and its sum.
void storeLse(uvec2 lse, uint slice, uint q_len, uint token, float row_max, float row_sum)
{
    FloatArray(advance(lse, slice, q_len * 4)).at[token] =
        row_sum > 0 ? kLn2 * (row_max + log2(row_sum)) : kNegativeInfinity;
}

#endif

// lane_tile.glsl - what a lane of scalar.comp holds: some queries, and a step of keys.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef LACUNA_ATTEND_LANE_TILE_GLSL
#define LACUNA_ATTEND_LANE_TILE_GLSL

#include "attend/task.glsl"

layout(local_size_x_id = 0) in;
layout(constant_id = 0) const uint kThreads = 8;
layout(constant_id = 1) const uint kHeadDim = 64;
layout(constant_id = 2) const uint kSplit = 1;
layout(constant_id = 3) const uint kRows = 2;
layout(constant_id = 4) const uint kKeys = 8;
layout(constant_id = 5) const uint kQueryType = kF16;
layout(constant_id = 6) const uint kKeyType = kF16;
layout(constant_id = 7) const uint kResultType = kF16;
layout(constant_id = 8) const bool kHasParts = true;
layout(constant_id = 9) const bool kHasWindows = true;
layout(constant_id = 10) const bool kHasBoxes = true;
layout(constant_id = 11) const bool kSoftCap = true;

const uint kQuads = kHeadDim / 4 / kSplit; // of one lane: kSplit * i + part
const uint kLanes = kThreads / kSplit;     // queries side by side
const uint kAll = (1u << kKeys) - 1;       // keys of a full step

vec4 o[kRows * kQuads];
float row_max[kRows];
float row_sum[kRows];
float s[kRows * kKeys]; // logits, then weights, of one step
uint key_at[kKeys];     // the keys of one step, ascending
uint filled;            // bit j: key_at[j] is one; else it stands in for none
uvec2 row_at[kKeys];    // where their channels lie, in K or V

void findRows(uvec2 tensor, uint token_stride, uint dtype)
{
    [[unroll]] for (uint j = 0; j < kKeys; ++j)
        row_at[j] = advance(tensor, key_at[j], token_stride * octetBytes(dtype));
}

#endif

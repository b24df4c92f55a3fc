// score_tile.glsl - S and P of coopmat.comp in shared memory.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef LACUNA_ATTEND_SCORE_TILE_GLSL
#define LACUNA_ATTEND_SCORE_TILE_GLSL

#define LACUNA_TURNED 0
#define LACUNA_HOLD_SCORES 0
#include "attend/tile.glsl"

const uint kScoreStride = kKeys + 4;      // floats
const uint kWeightStride = kKeys / 2 + 4; // 4-byte words

shared float score[kRows * kScoreStride];  // S, and at the end tiles of O
shared uint weight[kRows * kWeightStride]; // P, two fp16 in a word

#endif

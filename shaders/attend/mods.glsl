// mods.glsl - the caller's own mask and scores: none here. lacuna::jit compiles the kernels with
// the caller's functions in place of this file.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef LACUNA_ATTEND_MODS_GLSL
#define LACUNA_ATTEND_MODS_GLSL

const bool kHasMods = false;

bool mask_mod(uint b, uint h, uint q, uint k)
{
    return true;
}

float score_mod(float score, uint b, uint h, uint q, uint k)
{
    return score;
}

#endif

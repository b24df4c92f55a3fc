// checked_logit.glsl - what a sum of products in fp16 counts as where it is more than fp16 holds.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef LACUNA_ATTEND_CHECKED_LOGIT_GLSL
#define LACUNA_ATTEND_CHECKED_LOGIT_GLSL

const float kLogitLimit = 2097152; // above 16 times two sums of 65504, see lane_sums_half.glsl

// A logit that is infinite, or no number because both signs were, is a huge one of its sign. As
// integers, positive numbers rise up to infinity and NaN, and so do negative ones without a sign.
float checkedLogit(float logit)
{
    const int bits = min(floatBitsToInt(logit), floatBitsToInt(kLogitLimit));
    return uintBitsToFloat(min(uint(bits), floatBitsToUint(-kLogitLimit)));
}

#endif

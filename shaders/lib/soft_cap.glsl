// soft_cap.glsl - logits that approach a cap.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef LACUNA_LIB_SOFT_CAP_GLSL
#define LACUNA_LIB_SOFT_CAP_GLSL

// c * tanh(x / c); exp2 may overflow to infinity or vanish, and both are right.
float softCap(float logit, float cap)
{
    const float kLog2e = 1.44269504088896341;
    return cap - 2 * cap / (exp2(2 * kLog2e / cap * logit) + 1);
}

#endif

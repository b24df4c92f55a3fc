// reference.h - the definition of right: attention under a mask in double precision, on the host, without Vulkan.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../plan/problem.h"

#include <cstdint>

namespace lacuna
{

// softmax(q k^T * scale, over the kept keys) v, with the problem's soft cap and sink logits, for queries first_query .. first_query + query_count - 1.
//
// q, k, v  dense fp32 [B, Hq, Nq, D], [B, Hkv, Nk, D], [B, Hkv, Nk, D]; the strides of `problem` are not used
// mask     uint8 [B * Hq, query_count, Nk], not 0 = kept; null is dense. A key that is not kept is not even read
// out      [B * Hq, query_count, D]; 0 for a query without keys
// lse      [B * Hq, query_count], natural log; -inf (or the sink logit) for a query without keys; may be null
void attendReference(const Problem& problem, const float* q, const float* k, const float* v,
                     uint32_t first_query, uint32_t query_count, const uint8_t* mask, double* out,
                     double* lse);

} // namespace lacuna

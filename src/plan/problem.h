// problem.h - the shape of one attention, after validation: what methods and kernels see of a LacunaPlanDesc.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../data/video_grid.h"

#include <lacuna/lacuna.h>

#include <cstdint>
#include <vector>

namespace lacuna
{

struct Strides // elements; multiples of 8; never zero
{
    uint64_t batch = 0;
    uint64_t head = 0;
    uint64_t token = 0;
};

struct Problem
{
    uint32_t batch = 1;    // B
    uint32_t q_heads = 1;  // Hq
    uint32_t kv_heads = 1; // Hkv
    uint32_t q_len = 1;    // Nq
    uint32_t k_len = 1;    // Nk
    uint32_t head_dim = 8; // D
    VideoGrid grid;
    LacunaDtype dtype = LACUNA_DTYPE_F16;
    LacunaDtype out_dtype = LACUNA_DTYPE_F16;
    LacunaSums sums = LACUNA_SUMS_F32;
    Strides q, k, v, out;
    double scale = 1;
    double soft_cap = 0;            // 0: none
    std::vector<float> sink_logits; // [Hq] or empty
    std::vector<uint32_t> order;    // [Nq], of the caller's list; empty is the identity

    // Of a part of the heads, see parts.h: where it begins among all.
    uint32_t first_batch = 0;
    uint32_t first_head = 0;

    uint32_t heads() const { return batch * q_heads; }
    uint32_t keyHead(uint32_t q_head) const { return q_head / (q_heads / kv_heads); }
};

inline uint32_t dtypeBytes(LacunaDtype dtype)
{
    return dtype == LACUNA_DTYPE_F32 ? 4 : 2;
}

} // namespace lacuna

// parts.h - the heads of a problem in parts, for plans that would want too much workspace for all
// of them at once.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "plan_builder.h"
#include "problem.h"

#include <cstdint>
#include <vector>

namespace lacuna
{

// Neighbouring query heads of one batch, or all heads of neighbouring batches.
struct Part
{
    uint32_t first_batch = 0;
    uint32_t batches = 0;
    uint32_t first_head = 0;
    uint32_t heads = 0;
    uint64_t offsets[uint32_t(Caller::Count)] =
        {}; // bytes to the part in each of the caller's buffers

    uint32_t slices() const { return batches * heads; }
};

// Parts of at most `key_heads` key heads (over all batches) with their query heads; those of one
// size side by side. `rows`: of the caller's list. More parts than about a thousand are not made:
// the parts are larger then.
std::vector<Part> divideHeads(const Problem& problem, uint64_t key_heads, uint32_t rows);

// Least `key_heads` that make a difference there.
uint64_t leastKeyHeads(const Problem& problem);

// The problem of a part alone.
Problem problemOf(const Problem& problem, const Part& part);

} // namespace lacuna

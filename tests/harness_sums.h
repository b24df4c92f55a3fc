// harness_sums.h - what the tests of sums on request share: a hostile case, how long sums in fp16
// are, and the worst that their rounding can do.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "harness_attend.h"

namespace lacuna::test
{

// The sums in fp16 of a kernel, whose totals are added up in fp32.
struct ShortSums
{
    uint32_t chains;   // of a logit, side by side
    uint32_t products; // of each
    uint32_t keys;     // of a step
    uint32_t headroom; // weights of a step are at most 2^-headroom
};

// With tier coopmat, the tuning has to tell the keys of a step.
ShortSums shortSumsOf(const LacunaPlanDesc& desc);

// As makeCase(), with sums in fp16.
Case halfCase(const Kernel& kernel, const Shape& shape, const std::string& method = "dense");

constexpr uint32_t kHostileBlock = 24; // queries of one list row: no tile size divides it

// Grouped heads, strided, and lists of blocks for runHostile(kernel, c, kHostileBlock).
Case hostileCase(const Kernel& kernel, LacunaSums sums, LacunaDtype dtype, uint32_t head_dim = 40);

std::string explanationOf(const Case& c);
std::string refusalOf(const Case& c); // empty: the plan is made

// The worst that rounding can do to dense attention, u = 2^-11 being half an ulp of fp16:
//
//   logit   s = sum of a_i k_i with a = scale * q. Rounding a, and k where it is not fp16 already,
//           costs u each. Of n products in a sum each passes n roundings at most, in whatever
//           order: its own, which a fused multiply-add leaves out, and n - 1 additions. So a logit
//           is off by e = ((1 + u)^(n + 1) - 1) * sum |a_i k_i|, with fp32 inputs (1 + u)^(n + 2).
//   weight  Each logit off by at most e: w_j / sum w is off by the factor exp(2 e) at most.
//   out     w_j rounds, its product with v rounds, and each addition of the step after it: with n
//           keys a term passes n + 1 roundings, v's own makes n + 2. So out is off by
//           (exp(2 e) (1 + u)^(n + 1) - 1) * sum w_j |v_j|, and LSE by e.
//
// To which come fp32's own roundings, and numbers too small for u: below 2^-14 fp16 is off by
// 2^-25, in each channel's a, times k, product and sum, and in each weight and its product, times
// 2^headroom there, which is what a step's sum is multiplied by at most.
class WorstCase
{
public:
    WorstCase(const Case& c, const Inputs& in);

    // Largest errors, in bounds.
    struct Ratio
    {
        double out = 0, lse = 0;
    };
    Ratio of(const Output& output) const;

private:
    Ratio ofRow(const Output& output, uint32_t row) const;

    Problem p_;
    ShortSums sums_;
    const Inputs& in_;
};

// Runs the case, and says how much of the bounds its errors take.
void checkWorstCase(const Case& c, const Inputs& in);

// Runs fp16 inputs whose sums fp16 cannot hold: values, then products of Q and K of both signs.
void checkOverflow(Case c);

} // namespace lacuna::test

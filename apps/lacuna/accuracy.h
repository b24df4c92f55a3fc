// accuracy.h - an attention that ran on the device against the double-precision reference, on all
// queries or a sample.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "tensors.h"

#include <lacuna/host.hpp>

namespace lacuna::tool
{

// How far numbers a are from numbers b, over all that were added.
class Difference
{
public:
    void add(double a, double b);
    void add(const Difference& other);

    double max() const { return max_; } // largest |a - b|; NaN sticks
    double relativeL1() const;          // sum |a - b| / sum |b|
    double rmse() const;
    double cosine() const;

private:
    double max_ = 0, difference_ = 0, magnitude_ = 0, squares_ = 0, product_ = 0, a2_ = 0, b2_ = 0;
    uint64_t count_ = 0;
};

struct Accuracy
{
    uint64_t queries = 0;     // per head, compared
    uint64_t all_queries = 0; // per head
    Difference kernel;        // output against the reference over the keys that the device kept
    double lse_max = 0;       // the same for LSE
    Difference method;        // output against dense attention: what skipping keys changed
    // Query-key pairs whose selection was compared with the method's definition, 0 where the caller
    // gave the list; of these, kept by one and skipped by the other: ties within rounding.
    uint64_t pairs = 0;
    uint64_t pairs_apart = 0;

    void add(const Accuracy& other); // other heads of the same attention
};

// `out` and `lse` as the device wrote them; `qkv` as the kernel saw it. Costs about `budget`
// multiply-adds on the host.
Accuracy measureAccuracy(const LacunaPlanDesc& desc, const Qkv& qkv,
                         const host::Attention::Kept& kept, std::span<const float> out,
                         std::span<const float> lse, double budget);

} // namespace lacuna::tool

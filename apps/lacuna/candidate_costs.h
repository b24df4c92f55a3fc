// candidate_costs.h - candidates beside dense attention on the self-attention of one layer in one
// step.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "calibration.h"
#include "head_plans.h"
#include "safetensors.h"
#include "tensors.h"

#include <optional>
#include <string>

namespace lacuna::tool
{

// One layer in one step.
struct Sample
{
    Qkv qkv;
    uint32_t step = 0;
    uint32_t layer = 0;
    PolicySizes sizes;
    LacunaPlanDesc shape = {};
};

// From tensors q, k and v with the metadata that `generate --capture-qkv` writes. Throws InputError
// that names `where`.
Sample sampleOf(const Tensors& tensors, const std::string& where);

class CandidateCosts
{
public:
    // All samples look like the first one.
    CandidateCosts(host::Device& device, LacunaTier tier, const Policy& candidates);
    CandidateCosts(const CandidateCosts&) = delete;
    CandidateCosts& operator=(const CandidateCosts&) = delete;

    // Every candidate in every head. Throws InputError that names `where`.
    void measure(const Sample& sample, const std::string& where);

    Calibration& calibration() { return *calibration_; } // after a first sample

private:
    struct Outcome;
    void requireAlike(const Sample& sample, const std::string& where) const;
    Outcome attend(const Sample& sample, const std::vector<HeadRun>& runs);

    host::Device& device_;
    LacunaTier tier_;
    Policy candidates_;
    std::string first_, first_where_; // how the first sample looks
    LacunaPlanDesc shape_ = {};
    std::optional<HeadPlans> plans_;
    std::optional<Calibration> calibration_;
};

} // namespace lacuna::tool

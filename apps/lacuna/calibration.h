// calibration.h - from what candidates cost in each head to the policy that meets a target.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "policy.h"

#include <nlohmann/json_fwd.hpp>

#include <compare>
#include <map>
#include <vector>

namespace lacuna::tool
{

// One candidate in one head, against dense attention.
struct CandidateCost
{
    double density = 1; // kept pairs / all pairs
    double error = 0;   // of the output: sum |o - dense| / sum |dense|
    double recall = 1;  // of the attention mass: its mean share on the kept keys
    double square = 0;  // of the error: mean (o - dense)^2 / mean dense^2 of all heads of the layer
};

struct HeadPlace
{
    uint32_t step = 0;
    uint32_t layer = 0;
    uint32_t head = 0;

    auto operator<=>(const HeadPlace&) const = default;
};

// A captured step stands for the steps from it to before the next captured one of its layer.
class Calibration
{
public:
    // `candidates` as in Policy::choices(): the first is dense.
    Calibration(const PolicySizes& sizes, std::vector<HeadChoice> candidates);

    // In order of the candidates. Another sample of the same head replaces nothing: means are kept.
    void add(const HeadPlace& place, const std::vector<CandidateCost>& costs);

    struct Head
    {
        std::vector<CandidateCost> costs; // of each candidate
        uint32_t samples = 0;
        uint32_t chosen = 0;
        uint32_t steps = 0; // that it stands for
    };
    const std::map<HeadPlace, Head>& heads() const { return heads_; }
    const std::vector<HeadChoice>& candidates() const { return candidates_; }

    // The least density whose error is at most `target`, head by head.
    void chooseByError(double target);
    // Small error, at a mean density of at most `target` over the heads that were added: from the
    // sparsest candidate of each head on, what removes most error per kept pair comes first. Throws
    // CheckFailed when even the sparsest keep more.
    void chooseByDensity(double target);

    // The candidate with the least square error; dense only where no other one is finite. With
    // `is_for_all_steps` the means over the steps decide, once for each layer and head.
    void chooseNearest(bool is_for_all_steps);
    // The candidate with the least loss, its square error + lambda * density; dense where every
    // loss is larger than epsilon.
    void chooseByLoss(double lambda, double epsilon);

    double density() const;      // of the heads that were added
    double densityInAll() const; // the others are dense
    double largestError() const;
    nlohmann::json policy() const; // the file

private:
    void countSteps();

    PolicySizes sizes_;
    std::vector<HeadChoice> candidates_;
    std::map<HeadPlace, Head> heads_;
};

} // namespace lacuna::tool

// searches.h - the searches of published systems: their candidates, and how each head's is chosen.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "calibration.h"

#include <string>
#include <vector>

namespace lacuna::tool
{

struct Search
{
    enum class Rule
    {
        Nearest,         // in each step
        NearestForSteps, // one choice for all steps
        Loss,
    };
    std::string name;
    Rule rule = Rule::Nearest;
    std::vector<std::string> candidates; // "svg1 heads=spatial density=0.3"
    double lambda = 0, epsilon = 0;      // of Rule::Loss

    void choose(Calibration& calibration) const;
};

// "svg1 density=0.3": a search, options for its candidates, and for sparse_vdit lambda and epsilon.
// Throws InputError.
Search parseSearch(const std::string& text);

std::string searchNames(); // "sta, sparse_vdit, paro, svg1"

} // namespace lacuna::tool

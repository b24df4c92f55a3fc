// self_test.h - which tiers of a device may not be trusted, and what in them, remembered between
// runs.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <lacuna/host.hpp>

#include <string>
#include <utility>
#include <vector>

namespace lacuna::host
{

struct SelfTestOutcome
{
    std::vector<std::pair<LacunaTier, std::string>> refusals; // tiers that failed, and how
    std::string registers_refusal; // how coopmat failed that passed with its softmax in shared memory
    std::string broadcast_refusal; // the same without loads of stride 0 only

    bool passed() const
    {
        return refusals.empty() && registers_refusal.empty() && broadcast_refusal.empty();
    }
};

// Runs the quick self-test of every tier, or recalls its outcome under `cache_key`. An outcome
// counts for the same device, driver and shaders only. `notice` hears of a run.
SelfTestOutcome testTiers(Device& device, const std::string& cache_key, const Notice& notice);

} // namespace lacuna::host

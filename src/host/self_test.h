// self_test.h - which tiers of a device may not be trusted, remembered between runs.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <lacuna/host.hpp>

#include <string>
#include <utility>
#include <vector>

namespace lacuna::host
{

// Runs the quick self-test of every tier, or recalls its outcome under `cache_key`; the tiers that
// failed, with reasons. An outcome counts for the same device, driver and shaders only.
std::vector<std::pair<LacunaTier, std::string>> failedTiers(Device& device,
                                                            const std::string& cache_key);

} // namespace lacuna::host

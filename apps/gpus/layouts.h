// layouts.h - which elements of a matrix the lanes of a GPU hold, for GPUs that cannot be asked
// because they are not here.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace lacuna::gpus
{

// What lacunaCmdProbe would write on the target ("navi31"), as its instruction set has it; empty
// where the library does not use it: on Intel, whose lanes have too few registers.
std::vector<uint32_t> probeOf(const std::string& target);

} // namespace lacuna::gpus

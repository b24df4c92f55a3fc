// harness_options.h - values of options for tests that know no method.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "harness.h"

#include <string>
#include <utility>
#include <vector>

namespace lacuna::test
{

using OptionValues = std::vector<std::pair<std::string, std::string>>;

// The defaults, each option alone at both ends of its range (every choice), and values that make
// ragged blocks, and heads that differ.
std::vector<OptionValues> optionSweep(const Method& method, uint32_t q_heads);

// A value near the lower end, where masks are neither empty nor full on small videos.
std::string randomValue(const OptionDesc& option, uint32_t q_heads, Rng& rng);

} // namespace lacuna::test

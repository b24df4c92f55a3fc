// make_problem.h - turns a LacunaPlanDesc into a Problem, a method and its options, or into one sentence.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../methods/method.h"

#include <string>

namespace lacuna
{

struct Request
{
    Problem problem;
    const Method* method = nullptr;
    Options options;
};

// Checks everything that does not depend on a device.
LacunaResult makeRequest(const LacunaPlanDesc* desc, Request& request, std::string& sentence);

// The same for a grid alone, which must not be empty. False, and a sentence, when it is refused.
bool makeGrid(const LacunaVideoGrid& from, VideoGrid& grid, std::string& sentence);

// Elements from the first to behind the last of a [batch, heads, tokens, D] tensor.
uint64_t tensorExtent(const Strides& strides, uint32_t batch, uint32_t heads, uint32_t tokens, uint32_t head_dim);

} // namespace lacuna

// calibrator.cpp - hands the captures of a step to the candidates.
//
// SPDX-License-Identifier: Apache-2.0
#include "calibrator.h"

#include <fmt/format.h>

namespace generate
{

namespace tool = lacuna::tool;

void Calibrator::take(std::span<Capture> captures)
{
    for (Capture& capture : captures)
    {
        if (capture.tensors.arrays.empty())
            continue;
        const std::string where = fmt::format("step {}, layer {}", capture.step, capture.layer);
        costs_.measure(tool::sampleOf(capture.tensors, where), where);
        capture.tensors = {};
    }
}

void Calibrator::finish(const std::vector<std::string>& prompts)
{
    task_.finish(costs_.calibration(), device_, prompts);
}

} // namespace generate

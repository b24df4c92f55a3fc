// calibrator.h - `generate --calibrate`: candidates measured on every step of a dense clip.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "sampler.h"

#include "lacuna/calibration_flags.h"
#include "lacuna/candidate_costs.h"

namespace generate
{

class Calibrator
{
public:
    // `task` must outlive this object.
    Calibrator(lacuna::host::Device& device, LacunaTier tier, lacuna::tool::CalibrationTask& task)
        : device_(device), task_(task), costs_(device, tier, task.candidates())
    {
    }

    // After each step: measures the captures that it filled, and empties them, so that no more than
    // those of one step are in memory.
    void take(std::span<Capture> captures);
    // After the last clip: writes the files.
    void finish(const std::vector<std::string>& prompts);

    const lacuna::tool::Calibration& calibration() { return costs_.calibration(); }

private:
    lacuna::host::Device& device_;
    lacuna::tool::CalibrationTask& task_;
    lacuna::tool::CandidateCosts costs_;
};

} // namespace generate

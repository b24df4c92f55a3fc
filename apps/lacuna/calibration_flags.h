// calibration_flags.h - the flags that say what is calibrated: candidates, what is chosen of them,
// and the files.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "calibration.h"
#include "output.h"

#include <lacuna/host.hpp>

#include <CLI/CLI.hpp>

#include <optional>
#include <string>
#include <vector>

namespace lacuna::tool
{

// --candidate, --search, --target-error, --target-density, --report.
struct CalibrationFlags
{
    std::vector<std::string> candidates;
    std::string search;
    std::optional<double> error, density;
    std::string report;

    void add(CLI::App& command);
    bool given() const;
};

// What the flags ask for, checked before any work. Throws InputError.
class CalibrationTask
{
public:
    // `output` is the policy.
    CalibrationTask(const CalibrationFlags& flags, const std::string& output);

    const Policy& candidates() const { return candidates_; }

    // Chooses, and writes the files. `inputs` are named in the report.
    void finish(Calibration& calibration, const host::Device& device,
                const std::vector<std::string>& inputs);

private:
    nlohmann::json makeReport(const Calibration& calibration, const host::Device& device,
                              const std::vector<std::string>& inputs) const;

    CalibrationFlags flags_;
    Policy candidates_;
    OutputFile output_;
    std::optional<OutputFile> report_;
};

// What was chosen, as a table.
void print(const Calibration& calibration);

} // namespace lacuna::tool

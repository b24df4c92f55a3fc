// job.h - what `lacuna generate` was asked for, and the clips made of it.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "calibrator.h"
#include "report.h"

#include "lacuna/command.h"

namespace generate
{

struct Flags
{
    lacuna::tool::DeviceFlags device;
    lacuna::tool::MethodFlags method;
    lacuna::tool::CalibrationFlags calibration;
    std::string prompt, prompts, model, output, sheet, compare, capture, calibrate;
    std::vector<std::string> at; // of capture and calibrate
    std::string precision = "auto";
    uint64_t seed = 1;
    std::optional<uint32_t> steps, frames, height, width;
    std::optional<double> guidance, shift;
    uint32_t dense_steps = 0, dense_layers = 0;
    uint32_t frames_per_second = 8;
    double slice_ms = 0;
    bool is_json = false;
};

// The flags with the model's recommendations filled in.
struct Job
{
    const Flags& flags;
    const Model& model;
    ForwardDesc forward;
    Schedule schedule;
    std::vector<Capture> captures;
    lacuna::tool::Policy policy;
    bool is_sparse = false;
    bool has_dense = false;
    uint32_t runs() const { return uint32_t(is_sparse) + uint32_t(has_dense); }
};

// All clips, their files and their reports; `calibrator` may be null.
void runAll(Job& job, lacuna::host::Device& device, const std::vector<std::string>& prompts,
            Calibrator* calibrator);

} // namespace generate

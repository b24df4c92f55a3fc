// report.h - what one clip cost with dense and with sparse attention, as a table and as JSON.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "sampler.h"

#include <nlohmann/json_fwd.hpp>

#include <string>

namespace generate
{

// Milliseconds: medians over the steps in which the sparse run was sparse, for both runs.
struct Cost
{
    double step_ms = 0;
    double attention_ms = 0;
    uint32_t steps = 0;   // that the medians are over
    bool is_warm = false; // the first step of its kind, in which drivers compile, is left out
};
// Steps that the policy makes sparse; those in which drivers compile only when there is no other.
Cost costOf(const Run& run);

struct Report
{
    std::string device, driver;
    std::string dense_tier, sparse_tier;
    std::string prompt, method; // "block_topk keep_ratio=0.25", "policy p.json"
    std::string policy;         // its file
    uint32_t dense_steps = 0;   // the first ones, by the policy
    uint32_t dense_layers = 0;  // as asked for
    std::string precision;      // of queries, keys and values
    uint64_t seed = 0;
    ClipShape shape;
    uint32_t tokens = 0;
    Schedule schedule;
    bool has_timestamps = true;
    std::optional<Cost> dense, sparse;
    double density = 1, total_density = 1; // as in Run
    std::vector<GroupDensity> groups;
    std::optional<double> psnr, ssim; // of the sparse clip against the dense one
    double slice_ms = 0;              // wanted; 0: self-attention ran in one piece
    lacuna::host::Slices slices;      // of all runs so far
    std::vector<std::string> files;

    std::string table() const;
    nlohmann::json json() const;
};

} // namespace generate

// command.h - how a subcommand joins the tool, and the flags that several of them share.
//
// SPDX-License-Identifier: Apache-2.0
//
// A subcommand is one file with one `void addName(CLI::App& app)`: it adds its flags to a
// subcommand of `app` and sets a callback. The callback returns when the work is done, and
// otherwise throws; main() turns what was thrown into one sentence on stderr and an exit status.
#pragma once

#include "errors.h"
#include "policy.h"

#include <lacuna/host.hpp>

#include <CLI/CLI.hpp>

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace lacuna::tool
{

// --device, --tier, --validation: the same for every subcommand that runs on a device.
struct DeviceFlags
{
    int device = -1;
    std::string tier = "auto";
    bool validation = false;

    void add(CLI::App& command);
    host::Device open() const;
    LacunaTier tierValue() const;
    // After the work: throws CheckFailed when --validation was given and the layers said something.
    void checkValidation(const host::Device& device) const;
};

// --method, --set name=value..., --grid TxHxW, --text-before N, --text-after N.
struct MethodFlags
{
    std::string method = "dense";
    std::vector<std::string> settings;
    std::string policy; // a file
    std::string grid;
    uint32_t text_before = 0;
    uint32_t text_after = 0;

    void add(CLI::App& command, bool with_grid = true);
    // --policy FILE, which says the same for each head; call after --method and --set are there.
    void addPolicy(CLI::App& command);
    // Of --policy, else of --method and --set for all heads. Throws InputError.
    Policy makePolicy() const;
    // Fills method, options and grid of `desc`; the pointers live as long as this object. Call once
    // per run.
    void apply(LacunaPlanDesc& desc);

private:
    std::vector<std::pair<std::string, std::string>> pairs_;
    std::vector<LacunaOption> options_;
};

// --sums f32|f16|i32.
void addSumsFlag(CLI::App& command, LacunaSums& sums);
// --slice-ms M; 0 when it was not given: all in one piece.
void addSliceFlag(CLI::App& command, double& slice_ms);

// "keep_ratio=0.25" -> {"keep_ratio", "0.25"}; `flag` is named in the error.
std::pair<std::string, std::string> parseSetting(const std::string& text, const char* flag);
// "2,0" -> {2, 0}: a step and a layer.
std::optional<std::pair<uint32_t, uint32_t>> parseStepLayer(const std::string& text);
// "4x16x16" -> {4, 16, 16}, exactly `count` numbers of at least 1.
std::vector<uint32_t> parseSizes(const std::string& text, size_t count, const char* flag);

// The subcommands, in the order in which help shows them.
void addDevices(CLI::App& app);
void addSelftest(CLI::App& app);
void addTune(CLI::App& app);
void addMethods(CLI::App& app);
void addMask(CLI::App& app);
void addViewMask(CLI::App& app);
void addSimulate(CLI::App& app);
void addOrder(CLI::App& app);
void addAttend(CLI::App& app);
void addBench(CLI::App& app);
void addCalibrate(CLI::App& app);
void addGenerate(CLI::App& app); // apps/generate

} // namespace lacuna::tool

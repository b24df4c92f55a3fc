// calibrate.cpp - `lacuna calibrate`: candidates on captured q, k and v, and the policy that meets
// a target or comes out of a search.
//
// SPDX-License-Identifier: Apache-2.0
#include "calibration_flags.h"
#include "candidate_costs.h"
#include "command.h"

namespace lacuna::tool
{
namespace
{

struct Flags
{
    DeviceFlags device;
    CalibrationFlags calibration;
    std::vector<std::string> files;
    std::string output;
};

void run(const Flags& flags)
{
    const auto load = [&](const std::string& path)
    {
        return sampleOf(readSafetensors(path), path);
    };
    CalibrationTask task(flags.calibration, flags.output);
    load(flags.files.front()); // bad files are told before a device is opened
    host::Device device = flags.device.open();
    CandidateCosts costs(device, flags.device.tierValue(), task.candidates());
    {
        Progress progress("calibrate", flags.files.size());
        for (size_t i = 0; i < flags.files.size(); ++i)
        {
            costs.measure(load(flags.files[i]), flags.files[i]);
            progress.step(i + 1);
        }
    }
    flags.device.checkValidation(device);
    task.finish(costs.calibration(), device, flags.files);
    print(costs.calibration());
}

} // namespace

void addCalibrate(CLI::App& app)
{
    CLI::App* const command = app.add_subcommand(
        "calibrate", "a policy from captured q, k and v: the methods that meet a target");
    const auto flags = std::make_shared<Flags>();
    command
        ->add_option("--qkv", flags->files,
                     "of generate --capture-qkv; several steps, layers and prompts")
        ->required()
        ->type_name("FILE.safetensors...");
    flags->calibration.add(*command);
    command->add_option("-o,--output", flags->output, "the policy")
        ->required()
        ->type_name("FILE.json");
    flags->device.add(*command);
    command->callback([flags] { run(*flags); });
}

} // namespace lacuna::tool

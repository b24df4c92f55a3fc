// command.cpp - `lacuna generate`: the flags, checked before any work.
//
// SPDX-License-Identifier: Apache-2.0
#include "job.h"

#include "lacuna/command.h"
#include "lacuna/errors.h"
#include "lacuna/output.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <sstream>

namespace generate
{

namespace host = lacuna::host;
namespace tool = lacuna::tool;
using tool::InputError;

namespace
{

void addFlags(CLI::App& command, Flags& f)
{
    f.device.add(command);
    const auto positive = CLI::Range(1u, 1u << 20);
    auto* const prompt = command.add_option("--prompt", f.prompt,
                                            "what the clip shows: \"a red circle moves right\"");
    command
        .add_option("--prompts", f.prompts,
                    "a prompt a line; clip I goes to folder -o/I, its seed is --seed + I")
        ->excludes(prompt)
        ->type_name("FILE");
    command.add_option("--seed", f.seed, "of the noise that the clip starts from (default 1)");
    command.add_option("--steps", f.steps, "denoising steps (default: the model's)")
        ->check(CLI::Range(1u, 1000u));
    command
        .add_option("--guidance", f.guidance,
                    "weight of the prompt, 1 is none (default: the model's)")
        ->check(CLI::Range(0.0, 100.0));
    command
        .add_option("--shift", f.shift,
                    "more than 1 spends more steps on the layout (default: the model's)")
        ->check(CLI::Range(0.01, 100.0));
    command.add_option("--frames", f.frames, "default: what the model was trained for")
        ->check(positive);
    command.add_option("--height", f.height, "pixels, a multiple of the model's patch")
        ->check(positive);
    command.add_option("--width", f.width, "pixels, a multiple of the model's patch")
        ->check(positive);
    command.add_option("--model", f.model, "default: LACUNA_MODEL, else the bundled one")
        ->type_name("FILE");
    command.add_option("--method", f.method.method,
                       "self-attention: a name from `lacuna methods` (default dense)");
    command.add_option("--set", f.method.settings, "an option of the method; may be repeated")
        ->type_name("NAME=VALUE");
    f.method.addPolicy(command);
    command.add_option("--dense-steps", f.dense_steps, "the first N steps stay dense")
        ->type_name("N");
    command.add_option("--dense-layers", f.dense_layers, "the first N layers stay dense")
        ->type_name("N");
    command.add_option("--compare", f.compare, "dense: make the dense clip too, and compare")
        ->check(CLI::IsMember({"dense"}));
    command
        .add_option("--precision", f.precision,
                    "of q, k and v: f16, f32, or auto: f32 on a CPU, f16 on a GPU")
        ->check(CLI::IsMember({"auto", "f16", "f32"}));
    command
        .add_option("--capture-qkv", f.capture,
                    "writes q, k and v of a self-attention; of several, FILE-STEP-LAYER")
        ->type_name("FILE.safetensors");
    command
        .add_option("--at", f.at,
                    "of --capture-qkv and --calibrate, both from 0; LAYER may be all; may be "
                    "repeated")
        ->type_name("STEP,LAYER");
    command
        .add_option("-o,--output", f.output, "clip.apng, clip.y4m, or a folder for frames: frames/")
        ->required();
    command.add_option("--fps", f.frames_per_second, "frames a second of the file (default 8)")
        ->check(CLI::Range(1u, 240u));
    command.add_option("--contact-sheet", f.sheet, "frames side by side in one picture")
        ->type_name("FILE.png");
    tool::addSliceFlag(command, f.slice_ms);
    command.add_flag("--json", f.is_json, "the report as one JSON object");
}

void addCalibration(CLI::App& command, Flags& f)
{
    CLI::Option* const flag =
        command
            .add_option("--calibrate", f.calibrate,
                        "measures candidates while a dense clip is made, in every step and layer "
                        "or those of --at, and writes the policy")
            ->type_name("FILE.json");
    for (const char* const other :
         {"--method", "--set", "--policy", "--compare", "--capture-qkv"})
        flag->excludes(command.get_option(other));
    f.calibration.add(command);
}

ClipShape shapeOf(const Flags& f, const ModelConfig& config, uint32_t branches)
{
    const ClipShape shape = {f.frames.value_or(config.clip.frames),
                             f.height.value_or(config.clip.height),
                             f.width.value_or(config.clip.width)};
    for (const auto& [name, value] :
         {std::pair{"--height", shape.height}, {"--width", shape.width}})
        if (value % config.patch != 0)
            throw InputError(
                fmt::format("{} is {}, expected a multiple of {}", name, value, config.patch));
    constexpr uint64_t kMaxRows = 262140; // 4 rows of the GEMM in each of 65535 workgroups
    const uint64_t tokens = shape.pixels() / config.patch / config.patch;
    if (tokens * branches > kMaxRows)
        throw InputError(fmt::format("{} frames of {}x{} are {} tokens, expected at most {}",
                                     shape.frames, shape.width, shape.height, tokens,
                                     kMaxRows / branches));
    return shape;
}

std::vector<Capture> capturesOf(const Flags& f, const Schedule& schedule, const ModelConfig& config)
{
    if (f.calibrate.empty() && f.capture.empty() != f.at.empty())
        throw InputError(
            "--capture-qkv FILE and --at STEP,LAYER belong together, one of them is missing");
    std::vector<Capture> captures;
    for (uint32_t i = 0; i < schedule.steps * config.layers; ++i)
        if (!f.calibrate.empty() && f.at.empty())
            captures.push_back({i / config.layers, i % config.layers, {}});
    for (const std::string& text : f.at)
    {
        const bool is_all = text.ends_with(",all");
        const auto at = tool::parseStepLayer(is_all ? text.substr(0, text.size() - 3) + "0" : text);
        if (!at || at->first >= schedule.steps || at->second >= config.layers)
            throw InputError(fmt::format("--at is '{}', expected STEP,LAYER in 0..{} and 0..{}, or "
                                         "STEP,all",
                                         text, schedule.steps - 1, config.layers - 1));
        const uint32_t last = is_all ? config.layers - 1 : at->second;
        for (uint32_t layer = at->second; layer <= last; ++layer)
            captures.push_back({at->first, layer, {}});
    }
    return captures;
}

void checkSparse(const Flags& f, const Job& job, const ModelConfig& config)
{
    const uint32_t steps = job.schedule.steps;
    if (!job.is_sparse && !f.compare.empty())
        throw InputError(
            f.method.policy.empty()
                ? "--compare dense needs a sparse --method, it is 'dense'"
                : fmt::format("--compare dense needs a sparse --policy, '{}' keeps all dense",
                              f.method.policy));
    const bool wants_sparse = f.method.method != "dense" || !f.method.policy.empty();
    if (wants_sparse && f.dense_steps >= steps)
        throw InputError(
            fmt::format("--dense-steps is {}, expected at most {}: the others are sparse",
                        f.dense_steps, steps - 1));
    if (wants_sparse && f.dense_layers >= config.layers)
        throw InputError(
            fmt::format("--dense-layers is {}, expected at most {}: the others are sparse",
                        f.dense_layers, config.layers - 1));
    if (!f.prompts.empty() && clipForm(f.output) != ClipForm::Frames)
        throw InputError(
            fmt::format("-o is '{}', expected a folder that ends in '/' with --prompts", f.output));
    if (!f.prompts.empty() && (!f.sheet.empty() || !f.capture.empty()))
        throw InputError(
            "--contact-sheet and --capture-qkv are for one --prompt, not for --prompts");
}

Job makeJob(const Flags& f, const Model& model, bool is_cpu)
{
    const ModelConfig& config = model.config();
    Job job = {f, model, {}, {}, {}, {}, false, false};
    job.schedule = {f.steps.value_or(config.steps), f.shift.value_or(config.shift),
                    f.guidance.value_or(config.guidance)};
    job.forward.branches = job.schedule.guidance == 1 ? 1 : 2;
    job.forward.shape = shapeOf(f, config, job.forward.branches);
    job.forward.half = f.precision == "f16" || (f.precision == "auto" && !is_cpu);
    job.forward.tier = f.device.tierValue();
    job.forward.slice_ms = f.slice_ms;
    job.captures = capturesOf(f, job.schedule, config);
    job.policy = f.method.makePolicy();
    job.policy.addDense(std::min(f.dense_steps, job.schedule.steps),
                        std::min(f.dense_layers, config.layers));
    job.policy.bind({job.schedule.steps, config.layers, config.heads});
    job.is_sparse = !job.policy.isDense();
    job.has_dense = !job.is_sparse || !f.compare.empty();
    checkSparse(f, job, config);
    return job;
}

std::vector<std::string> promptsOf(const Flags& f)
{
    if (f.prompts.empty())
        return {f.prompt};
    std::istringstream text(tool::readFile(f.prompts));
    std::vector<std::string> prompts;
    for (std::string line; std::getline(text, line);)
        if (!line.empty())
            prompts.push_back(line);
    if (prompts.empty())
        throw InputError(fmt::format("'{}' has no prompt", f.prompts));
    return prompts;
}

// A file that can only fail at the end of minutes of work is tried at the beginning.
void requireWritable(const std::string& path)
{
    const std::filesystem::path parent = std::filesystem::path(path).parent_path();
    std::error_code error;
    if (!parent.empty())
        std::filesystem::create_directories(parent, error);
    if (error)
        throw InputError(fmt::format("cannot write '{}': {}", path, error.message()));
    if (!path.ends_with('/'))
        tool::OutputFile probe(path); // not committed
}

void runGenerate(const Flags& f)
{
    if (f.prompt.empty() && f.prompts.empty())
        throw InputError("--prompt or --prompts is missing");
    const Model model(f.model.empty() ? bundledModelPath() : f.model);
    clipForm(f.output);
    const std::vector<std::string> prompts = promptsOf(f);
    for (const std::string& prompt : prompts)
        model.encode(prompt);
    if (f.calibrate.empty() && f.calibration.given())
        throw InputError("--candidate, --search, --target-error, --target-density and --report "
                         "belong to --calibrate, which is missing");
    makeJob(f, model, false); // bad flags are told before a device is opened
    std::optional<tool::CalibrationTask> task;
    if (!f.calibrate.empty())
        task.emplace(f.calibration, f.calibrate);
    for (const std::string& path : {f.output, f.sheet, f.capture})
        if (!path.empty())
            requireWritable(path);

    host::Device device = f.device.open();
    Job job = makeJob(f, model, device.info().is_cpu);
    std::optional<Calibrator> calibrator;
    if (task)
        calibrator.emplace(device, f.device.tierValue(), *task);
    runAll(job, device, prompts, calibrator ? &*calibrator : nullptr);
    f.device.checkValidation(device);
}

} // namespace
} // namespace generate

namespace lacuna::tool
{

void addGenerate(CLI::App& app)
{
    auto flags = std::make_shared<generate::Flags>();
    CLI::App* const command = app.add_subcommand(
        "generate", "a short video from the bundled model, sparse and dense side by side");
    generate::addFlags(*command, *flags);
    generate::addCalibration(*command, *flags);
    command->callback([flags] { generate::runGenerate(*flags); });
}

} // namespace lacuna::tool

// command.cpp - `lacuna generate`: the flags, checked before any work, and the order of that work.
//
// SPDX-License-Identifier: Apache-2.0
#include "report.h"

#include "lacuna/command.h"
#include "lacuna/errors.h"
#include "lacuna/output.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <limits>
#include <sstream>

namespace generate
{

namespace host = lacuna::host;
namespace tool = lacuna::tool;
using tool::InputError;

namespace
{

struct Flags
{
    tool::DeviceFlags device;
    tool::MethodFlags method;
    std::string prompt, prompts, model, output, sheet, compare, capture, at;
    std::string precision = "auto";
    uint64_t seed = 1;
    std::optional<uint32_t> steps, frames, height, width;
    std::optional<double> guidance, shift;
    uint32_t dense_steps = 0, dense_layers = 0;
    uint32_t frames_per_second = 8;
    bool is_json = false;
};

// The flags with the model's recommendations filled in.
struct Job
{
    const Flags& flags;
    const Model& model;
    ForwardDesc forward;
    Schedule schedule;
    std::optional<Capture> capture;
    LacunaPlanDesc sparse = {};
    bool is_sparse = false;
    bool has_dense = false;
    uint32_t runs() const { return uint32_t(is_sparse) + uint32_t(has_dense); }
};

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
    command.add_option("--capture-qkv", f.capture, "writes q, k and v of one self-attention")
        ->type_name("FILE.safetensors");
    command.add_option("--at", f.at, "of --capture-qkv, both from 0")->type_name("STEP,LAYER");
    command
        .add_option("-o,--output", f.output, "clip.apng, clip.y4m, or a folder for frames: frames/")
        ->required();
    command.add_option("--fps", f.frames_per_second, "frames a second of the file (default 8)")
        ->check(CLI::Range(1u, 240u));
    command.add_option("--contact-sheet", f.sheet, "frames side by side in one picture")
        ->type_name("FILE.png");
    command.add_flag("--json", f.is_json, "the report as one JSON object");
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

std::optional<Capture> captureOf(const Flags& f, const Schedule& schedule,
                                 const ModelConfig& config)
{
    if (f.capture.empty() != f.at.empty())
        throw InputError(
            "--capture-qkv FILE and --at STEP,LAYER belong together, one of them is missing");
    if (f.capture.empty())
        return std::nullopt;
    Capture capture;
    std::istringstream text(f.at);
    char comma = 0;
    const bool is_read = bool(text >> capture.step >> comma >> capture.layer) && comma == ',' &&
                         text.peek() == EOF && f.at.find('-') == std::string::npos;
    if (!is_read || capture.step >= schedule.steps || capture.layer >= config.layers)
        throw InputError(fmt::format("--at is '{}', expected STEP,LAYER in 0..{} and 0..{}", f.at,
                                     schedule.steps - 1, config.layers - 1));
    return capture;
}

void checkSparse(const Flags& f, const Job& job, const ModelConfig& config)
{
    const Schedule& schedule = job.schedule;
    if (!job.is_sparse && !f.compare.empty())
        throw InputError("--compare dense needs a sparse --method, it is 'dense'");
    if (job.is_sparse && schedule.dense_steps >= schedule.steps)
        throw InputError(
            fmt::format("--dense-steps is {}, expected at most {}: the others are sparse",
                        schedule.dense_steps, schedule.steps - 1));
    if (job.is_sparse && schedule.dense_layers >= config.layers)
        throw InputError(
            fmt::format("--dense-layers is {}, expected at most {}: the others are sparse",
                        schedule.dense_layers, config.layers - 1));
    if (!f.prompts.empty() && clipForm(f.output) != ClipForm::Frames)
        throw InputError(
            fmt::format("-o is '{}', expected a folder that ends in '/' with --prompts", f.output));
    if (!f.prompts.empty() && (!f.sheet.empty() || job.capture))
        throw InputError(
            "--contact-sheet and --capture-qkv are for one --prompt, not for --prompts");
}

Job makeJob(Flags& f, const Model& model, bool is_cpu)
{
    const ModelConfig& config = model.config();
    Job job = {f, model, {}, {}, {}, {}, false, false};
    job.schedule = {f.steps.value_or(config.steps), f.shift.value_or(config.shift),
                    f.guidance.value_or(config.guidance), f.dense_steps, f.dense_layers};
    job.forward.branches = job.schedule.guidance == 1 ? 1 : 2;
    job.forward.shape = shapeOf(f, config, job.forward.branches);
    job.forward.half = f.precision == "f16" || (f.precision == "auto" && !is_cpu);
    job.forward.tier = f.device.tierValue();
    job.capture = captureOf(f, job.schedule, config);
    job.is_sparse = f.method.method != "dense";
    job.has_dense = !job.is_sparse || !f.compare.empty();
    f.method.apply(job.sparse);
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

struct Clips
{
    std::optional<Clip> dense, sparse;
};

// The clips of one prompt and what they cost; paths are where the main clip and the dense one
// beside it go.
Report makeOne(Job& job, Sampler& sampler, const std::string& prompt, uint64_t seed,
               const std::function<void()>& after_step, Clips& clips)
{
    Report report;
    sampler.begin(job.model.encode(prompt), seed);
    const uint32_t first = job.is_sparse ? job.schedule.dense_steps : 0;
    Capture* const capture = job.capture ? &*job.capture : nullptr;
    if (job.has_dense)
    {
        const bool is_main =
            !job.is_sparse || (capture && capture->step < job.schedule.dense_steps);
        const Run run = sampler.run(false, after_step, is_main ? capture : nullptr);
        clips.dense = toClip(job.forward.shape, run.clip);
        report.dense = costOf(run, first);
    }
    if (job.is_sparse)
    {
        const Run run = sampler.run(true, after_step, capture);
        clips.sparse = toClip(job.forward.shape, run.clip);
        report.sparse = costOf(run, first);
        report.density = run.density;
    }
    if (clips.dense && clips.sparse)
    {
        report.psnr = psnr(*clips.sparse, *clips.dense);
        report.ssim = ssim(*clips.sparse, *clips.dense);
    }
    report.prompt = prompt;
    report.seed = seed;
    return report;
}

void describe(Report& report, const Job& job, const host::Device& device, const Sampler& sampler)
{
    report.device = device.info().name;
    report.driver = device.info().driver;
    report.shape = job.forward.shape;
    report.tokens = sampler.tokens();
    report.schedule = job.schedule;
    report.precision = job.forward.half ? "f16" : "f32";
    report.method = job.flags.method.method;
    for (const std::string& setting : job.flags.method.settings)
        report.method += " " + setting;
    report.dense_tier = tierName(sampler.attention(false).info().tier);
    if (job.is_sparse)
        report.sparse_tier = tierName(sampler.attention(true).info().tier);
    const std::optional<Cost>& cost = report.sparse ? report.sparse : report.dense;
    report.has_timestamps = cost->attention_ms > 0;
}

void writeFiles(const Job& job, const Clips& clips, const std::string& output, Report& report)
{
    const Flags& f = job.flags;
    const auto write = [&](const std::string& path, const Clip& clip)
    {
        writeClip(path, clip, f.frames_per_second);
        report.files.push_back(path);
    };
    write(output, clips.sparse ? *clips.sparse : *clips.dense);
    if (clips.sparse && clips.dense)
        write(besidePath(output, "-dense"), *clips.dense);
    if (!f.sheet.empty())
    {
        std::vector<SheetRow> rows;
        if (clips.dense)
            rows.push_back({"dense: " + report.prompt, &*clips.dense});
        if (clips.sparse)
            rows.push_back({fmt::format("{}, density {:.2f}: {}", report.method, report.density,
                                        report.prompt),
                            &*clips.sparse});
        tool::writeFile(f.sheet, formatContactSheet(rows));
        report.files.push_back(f.sheet);
    }
    if (job.capture)
    {
        tool::Tensors tensors = job.capture->tensors;
        tensors.metadata["prompt"] = report.prompt;
        tool::writeSafetensors(f.capture, tensors);
        report.files.push_back(f.capture);
    }
}

void printBrief(const std::string& folder, const Report& report)
{
    const Cost& cost = report.sparse ? *report.sparse : *report.dense;
    const std::string quality =
        report.psnr ? fmt::format(", PSNR {:.2f} dB, SSIM {:.3f}", *report.psnr, *report.ssim) : "";
    fmt::print("{} {}: {:.0f} ms a step{}\n", folder, report.prompt, cost.step_ms, quality);
    std::fflush(stdout);
}

void runAll(Job& job, host::Device& device, const std::vector<std::string>& prompts)
{
    const Flags& f = job.flags;
    Sampler sampler(device, job.model, job.forward, job.schedule, f.device.tierValue(),
                    job.is_sparse ? &job.sparse : nullptr);
    const uint32_t repeated =
        job.runs() == 2 ? job.schedule.dense_steps : 0; // steps that two runs share
    const size_t steps_each = job.schedule.steps * job.runs() - repeated;
    nlohmann::json all = nlohmann::json::array();
    {
        tool::Progress progress("generate", prompts.size() * steps_each);
        size_t done = 0;
        const auto after_step = [&]
        {
            progress.step(++done);
            tool::throwIfInterrupted();
        };
        for (size_t i = 0; i < prompts.size(); ++i)
        {
            Clips clips;
            Report report = makeOne(job, sampler, prompts[i], f.seed + i, after_step, clips);
            describe(report, job, device, sampler);
            std::string output = f.output;
            if (!f.prompts.empty())
            {
                writeClip((std::filesystem::path(f.output) / fmt::format("{:02}/", i)).string(),
                          clips.sparse ? *clips.sparse : *clips.dense, f.frames_per_second);
                if (clips.sparse && clips.dense)
                    writeClip((std::filesystem::path(besidePath(f.output, "-dense")) /
                               fmt::format("{:02}/", i))
                                  .string(),
                              *clips.dense, f.frames_per_second);
                if (!f.is_json)
                    printBrief(fmt::format("{:02}", i), report);
            }
            else
                writeFiles(job, clips, output, report);
            all.push_back(report.json());
            if (f.prompts.empty() && !f.is_json)
                fmt::print("{}", report.table());
        }
    }
    if (f.is_json)
        fmt::print("{}\n", f.prompts.empty() ? all[0].dump(2) : all.dump(2));
}

void runGenerate(Flags& f)
{
    if (f.prompt.empty() && f.prompts.empty())
        throw InputError("--prompt or --prompts is missing");
    const Model model(f.model.empty() ? bundledModelPath() : f.model);
    clipForm(f.output);
    const std::vector<std::string> prompts = promptsOf(f);
    for (const std::string& prompt : prompts)
        model.encode(prompt);
    makeJob(f, model, false); // bad flags are told before a device is opened
    for (const std::string& path : {f.output, f.sheet, f.capture})
        if (!path.empty())
            requireWritable(path);

    host::Device device = f.device.open();
    Job job = makeJob(f, model, device.info().is_cpu);
    runAll(job, device, prompts);
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
    command->callback([flags] { generate::runGenerate(*flags); });
}

} // namespace lacuna::tool

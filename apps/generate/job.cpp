// job.cpp - makes the clips of one command, dense and sparse, writes and reports them.
//
// SPDX-License-Identifier: Apache-2.0
#include "job.h"

#include "lacuna/output.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <filesystem>

namespace generate
{

namespace host = lacuna::host;
namespace tool = lacuna::tool;

namespace
{

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
    if (job.has_dense)
    {
        // Steps that the sparse run takes too are captured anew in it.
        const Run run = sampler.run(false, after_step, job.captures);
        clips.dense = toClip(job.forward.shape, run.clip);
        report.dense = costOf(run);
    }
    if (job.is_sparse)
    {
        const Run run = sampler.run(true, after_step, job.captures);
        clips.sparse = toClip(job.forward.shape, run.clip);
        report.sparse = costOf(run);
        report.density = run.density;
        report.total_density = run.total_density;
        report.groups = run.groups;
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

void describe(Report& report, const Job& job, const host::Device& device, Sampler& sampler)
{
    report.device = device.info().name;
    report.driver = device.info().driver;
    report.shape = job.forward.shape;
    report.tokens = sampler.tokens();
    report.schedule = job.schedule;
    report.precision = job.forward.half ? "f16" : "f32";
    report.policy = job.flags.method.policy;
    report.dense_steps = job.is_sparse ? job.policy.denseSteps() : 0;
    report.dense_layers = job.flags.dense_layers;
    report.method = report.policy.empty() ? job.flags.method.method : "policy " + report.policy;
    for (const std::string& setting : job.flags.method.settings)
        report.method += " " + setting;
    report.dense_tier = host::tierName(sampler.tier(false));
    if (job.is_sparse)
        report.sparse_tier = host::tierName(sampler.tier(true));
    report.slice_ms = job.flags.slice_ms;
    report.slices = sampler.slices();
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
    if (f.capture.empty())
        return;
    for (const Capture& capture : job.captures)
    {
        tool::Tensors tensors = capture.tensors;
        tensors.metadata["prompt"] = report.prompt;
        const std::string path =
            job.captures.size() == 1
                ? f.capture
                : besidePath(f.capture, fmt::format("-{}-{}", capture.step, capture.layer));
        tool::writeSafetensors(path, tensors);
        report.files.push_back(path);
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

} // namespace

void runAll(Job& job, host::Device& device, const std::vector<std::string>& prompts,
            Calibrator* calibrator)
{
    const Flags& f = job.flags;
    Sampler sampler(device, job.model, job.forward, job.schedule, f.device.tierValue(), job.policy);
    const uint32_t repeated =
        job.runs() == 2 ? job.policy.denseSteps() : 0; // steps that two runs share
    const size_t steps_each = job.schedule.steps * job.runs() - repeated;
    nlohmann::json all = nlohmann::json::array();
    {
        tool::Progress progress("generate", prompts.size() * steps_each);
        size_t done = 0;
        const auto after_step = [&]
        {
            if (calibrator)
                calibrator->take(job.captures);
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
    if (calibrator)
        calibrator->finish(prompts);
    if (calibrator && !f.is_json)
        tool::print(calibrator->calibration());
    if (f.is_json)
        fmt::print("{}\n", f.prompts.empty() ? all[0].dump(2) : all.dump(2));
}

} // namespace generate

// attend.cpp - `lacuna attend`: one attention on your tensors, its time, and its error against
// double precision.
//
// SPDX-License-Identifier: Apache-2.0
#include "accuracy.h"
#include "attend_report.h"
#include "command.h"
#include "head_plans.h"
#include "measure.h"
#include "mods.h"
#include "npy.h"
#include "output.h"
#include "registry.h"
#include "tensors.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <optional>
#include <tuple>

namespace lacuna::tool
{
namespace
{

using Json = nlohmann::json;

struct Flags
{
    DeviceFlags device;
    MethodFlags method;
    TensorFlags tensors;
    ModFlags mods;
    std::string random;
    uint64_t seed = 1;
    std::string output, lse, report;
    std::string precision, output_precision, sink_logits;
    LacunaSums sums = LACUNA_SUMS_F32;
    std::vector<std::string> tuning;
    double scale = 0, soft_cap = 0;
    double max_error = 0, slice_ms = 0;
    uint64_t max_workspace = 0;
    double reference_budget = 4e9;
    uint32_t repeat = 1, steps = 0;
    std::string at; // of --policy
    std::pair<uint32_t, uint32_t> stepLayer() const
    {
        const auto read = parseStepLayer(at.empty() ? "0,0" : at);
        if (!read)
            throw InputError(fmt::format("--at is '{}', expected STEP,LAYER, both from 0", at));
        return *read;
    }
};

// The heads of one launch.
struct Launch
{
    HeadRun run;
    host::Attention::Kept kept;
    std::vector<float> lse;
    Accuracy accuracy;
};

struct Outcome
{
    std::vector<float> out, lse;
    std::vector<double> ms; // of each repetition
    std::vector<Launch> launches;
    Accuracy accuracy; // over all heads
    host::Slices slices; // of the last run
    host::DeviceInfo device;
};

// [H], empty without a file.
std::vector<float> loadSinkLogits(const std::string& path, uint32_t heads)
{
    if (path.empty())
        return {};
    const Array array = readNpy(path);
    if (array.shape != std::vector<uint64_t>{heads})
        throw InputError(fmt::format("'{}' has shape {}, expected {}, one number for each head",
                                     path, array.shapeText(), heads));
    return array.toFloats();
}

Outcome attend(host::Device& device, const LacunaPlanDesc& desc, const Qkv& qkv, HeadPlans& plans,
               const Flags& flags)
{
    const auto [step, layer] = flags.stepLayer();
    Measurement measurement(device, desc, qkv, plans.runs(step, layer));
    Outcome outcome;
    measurement.sliceBy(flags.slice_ms);
    outcome.lse.resize(size_t(desc.batch) * desc.q_heads * desc.q_len);
    measurement.run(); // some drivers finish compiling at the first dispatch
    Progress progress("attend", flags.repeat);
    for (uint32_t i = 0; i < flags.repeat; ++i)
    {
        throwIfInterrupted();
        if (const std::optional<double> ms = measurement.run())
            outcome.ms.push_back(*ms);
        progress.step(i + 1);
    }
    outcome.out = measurement.out();
    outcome.slices = measurement.slices();
    for (size_t i = 0; i < measurement.runs().size(); ++i)
    {
        outcome.launches.push_back(
            {measurement.runs()[i], measurement.kept(i, plans.whole(measurement.runs()[i]).get()),
             measurement.lse(i), {}});
        placeHeads(outcome.launches[i].lse, desc.batch, desc.q_heads, outcome.launches[i].run.first,
                   outcome.launches[i].run.count, outcome.lse);
    }
    outcome.device = device.info();
    return outcome;
}

// Each launch against the definition of its own method.
void compare(const LacunaPlanDesc& desc, const Qkv& qkv, const Policy& policy, double budget,
             Outcome& outcome)
{
    for (Launch& launch : outcome.launches)
    {
        const HeadRun& run = launch.run;
        const PlanOptions options(policy.choices()[run.choice], run, desc.q_heads);
        LacunaPlanDesc part = run.describe(desc);
        part.q_strides = part.k_strides = part.v_strides = part.out_strides = {};
        options.apply(part);
        launch.accuracy = measureAccuracy(
            part, qkv.heads(run.first, run.count, run.kv_first, run.kv_count), launch.kept,
            cutHeads(outcome.out, desc.batch, desc.q_heads, run.first, run.count), launch.lse,
            budget * run.count / desc.q_heads);
        outcome.accuracy.add(launch.accuracy);
    }
}

Json toJson(const Difference& d)
{
    return {{"max", d.max()}, {"rel_l1", d.relativeL1()}, {"rmse", d.rmse()}, {"cos", d.cosine()}};
}

void describe(Json& json, const Accuracy& accuracy)
{
    json["queries_compared"] = accuracy.queries;
    json["queries"] = accuracy.all_queries;
    json["error"] = toJson(accuracy.kernel);
    json["lse_error_max"] = accuracy.lse_max;
    json["against_dense"] = toJson(accuracy.method);
    json["selection"] = {{"pairs_compared", accuracy.pairs}, {"pairs_apart", accuracy.pairs_apart}};
}

// The heads with one choice: what they run, what they keep, how far off they are.
Json makeGroup(const HeadChoice& choice, uint32_t index, const Outcome& outcome)
{
    Json json = {{"method", choice.method}, {"options", Json::object()}, {"heads", Json::array()}};
    for (const auto& [name, value] : choice.options)
        json["options"][name] = value;
    double density = 0;
    Accuracy accuracy;
    for (const Launch& launch : outcome.launches)
    {
        if (launch.run.choice != index)
            continue;
        for (uint32_t i = 0; i < launch.run.count; ++i)
            json["heads"].push_back(launch.run.first + i);
        density += launch.kept.density() * launch.run.count;
        accuracy.add(launch.accuracy);
        json["explain"] = Json::parse(launch.run.attention->explain());
    }
    json["density"] = density / double(json["heads"].size());
    describe(json, accuracy);
    return json;
}

Json makeReport(const Flags& flags, const LacunaPlanDesc& desc, const Policy& policy,
                const Outcome& outcome)
{
    double density = 0;
    for (const Launch& launch : outcome.launches)
        density += launch.kept.density() * launch.run.count / desc.q_heads;
    const double ms = median(outcome.ms);
    const double flops =
        4.0 * desc.head_dim * density * desc.batch * desc.q_heads * double(desc.q_len) * desc.k_len;
    Json json;
    json["version"] = LACUNA_VERSION_TEXT;
    json["device"] = outcome.device.name;
    json["driver"] = outcome.device.driver;
    json["input"] =
        flags.random.empty() ? "files" : fmt::format("random {} seed {}", flags.random, flags.seed);
    json["density"] = density;
    json["ms"] = outcome.ms.empty() ? Json() : Json(ms); // null: the device has no timestamps
    json["ms_all"] = outcome.ms;
    json["gflops"] = ms > 0 ? Json(flops / ms * 1e-6) : Json();
    if (flags.slice_ms > 0)
        json["slices"] = {{"wanted_ms", flags.slice_ms},
                          {"count", outcome.slices.count},
                          {"longest_ms", outcome.slices.longest_ms}};
    if (flags.mods.given()) // no reference knows them
        json["mods"] = {{"mask", flags.mods.mask}, {"score", flags.mods.score}};
    else
        describe(json, outcome.accuracy);
    if (flags.method.policy.empty())
    {
        json["method"] = flags.method.method;
        json["explain"] = Json::parse(outcome.launches.front().run.attention->explain());
        return json;
    }
    json["policy"] = flags.method.policy;
    json["step"] = flags.stepLayer().first;
    json["layer"] = flags.stepLayer().second;
    json["launches"] = outcome.launches.size();
    for (uint32_t i = 0; i < policy.choices().size(); ++i)
        if (std::any_of(outcome.launches.begin(), outcome.launches.end(),
                        [&](const Launch& launch) { return launch.run.choice == i; }))
            json["groups"].push_back(makeGroup(policy.choices()[i], i, outcome));
    return json;
}

// Opened before the work, so that a wrong folder is found before it; committed together after it.
struct Outputs
{
    std::optional<OutputFile> out, lse, report;

    explicit Outputs(const Flags& flags)
    {
        if (!flags.output.empty())
            out.emplace(flags.output);
        if (!flags.lse.empty())
            lse.emplace(flags.lse);
        if (!flags.report.empty())
            report.emplace(flags.report);
    }
    void write(const LacunaPlanDesc& desc, const Outcome& outcome, const Json& json)
    {
        if (out)
            out->write(formatNpy(
                arrayOfFloats(outcome.out, {desc.batch, desc.q_heads, desc.q_len, desc.head_dim},
                              fileDtype(desc.out_dtype))));
        if (lse)
            lse->write(formatNpy(
                arrayOfFloats(outcome.lse, {desc.batch, desc.q_heads, desc.q_len}, Dtype::F32)));
        if (report)
            report->write(json.dump(2) + "\n");
        for (std::optional<OutputFile>* file : {&out, &lse, &report})
            if (*file)
                (*file)->commit();
    }
};

Qkv loadInputs(const Flags& flags)
{
    if (flags.random.empty())
        return loadQkv(flags.tensors, true);
    if (flags.tensors.given())
        throw InputError(fmt::format(
            "--random is '{}' and tensors are given too, expected one or the other", flags.random));
    return randomQkv(flags.random, flags.seed);
}

// The policy of one attention of a run with so many heads.
Policy makePolicy(const Flags& flags, uint32_t heads)
{
    if (flags.method.policy.empty() && (!flags.at.empty() || flags.steps != 0))
        throw InputError("--at and --steps choose from a --policy, which is missing");
    Policy policy = flags.method.makePolicy();
    policy.bind({flags.steps, 0, heads});
    const auto [step, layer] = flags.stepLayer();
    for (const auto& [name, value, count] :
         {std::tuple{"step", step, policy.sizes().steps}, {"layer", layer, policy.sizes().layers}})
        if (count != 0 && value >= count)
            throw InputError(
                fmt::format("--at is '{}', expected a {} in 0..{}", flags.at, name, count - 1));
    return policy;
}

void run(Flags& flags)
{
    if (flags.method.method.empty() && flags.method.policy.empty())
        throw InputError("--method or --policy is missing");
    LacunaPlanDesc desc = {};
    flags.method.apply(desc);
    if (flags.method.policy.empty() && registryRow(flags.method.method)["kind"] == "given")
        throw InputError(fmt::format(
            "method '{}' takes its list from the program that calls it, there is none here",
            flags.method.method));
    std::vector<std::pair<std::string, std::string>> pairs;
    for (const std::string& text : flags.tuning)
        pairs.push_back(parseSetting(text, "--tune"));
    std::vector<LacunaOption> tuning;
    for (const auto& [name, value] : pairs)
        tuning.push_back({name.c_str(), value.c_str()});

    Qkv qkv = loadInputs(flags);
    qkv.describe(desc);
    desc.dtype = flags.precision.empty() ? qkv.dtype() : dtypeOf(flags.precision);
    desc.out_dtype = flags.output_precision.empty() ? desc.dtype : dtypeOf(flags.output_precision);
    qkv.roundTo(desc.dtype); // the error below is that of the kernel, not of the input's rounding
    desc.sums = flags.sums;
    desc.scale = float(flags.scale);
    desc.soft_cap = float(flags.soft_cap);
    const std::vector<float> sinks = loadSinkLogits(flags.sink_logits, desc.q_heads);
    desc.sink_logits = sinks.empty() ? nullptr : sinks.data();
    desc.tier = flags.device.tierValue();
    desc.tuning = tuning.data();
    desc.tuning_count = uint32_t(tuning.size());
    desc.max_workspace_bytes = flags.max_workspace;

    if (flags.mods.given() && (flags.max_error > 0 || !flags.method.policy.empty()))
        throw InputError("--mask-mod and --score-mod have no reference for --max-error, and count "
                         "heads in one launch, not in those of a --policy");
    const std::shared_ptr<void> mods = flags.mods.apply(desc);
    const Policy policy = makePolicy(flags, desc.q_heads);
    Outputs outputs(flags);
    host::Device device = flags.device.open();
    HeadPlans plans(device, desc, policy);
    Outcome outcome = attend(device, desc, qkv, plans, flags);
    flags.device.checkValidation(device);
    if (!flags.mods.given())
        compare(desc, qkv, policy, flags.reference_budget, outcome);
    const Json report = makeReport(flags, desc, policy, outcome);
    outputs.write(desc, outcome, report);
    printAttendReport(report);
    const double error = outcome.accuracy.kernel.max();
    if (flags.max_error > 0 && !(error <= flags.max_error))
        throw CheckFailed(
            fmt::format("the error is {:.3g}, at most {:.3g} was asked for (--max-error)", error,
                        flags.max_error));
}

} // namespace

void addAttend(CLI::App& app)
{
    CLI::App* const command =
        app.add_subcommand("attend", "one attention: output, time, error against double precision");
    const auto flags = std::make_shared<Flags>();
    const auto precision = CLI::IsMember({"f16", "bf16", "f32"});
    flags->method.method.clear();
    flags->method.add(*command);
    flags->method.addPolicy(*command);
    command->add_option("--at", flags->at, "of --policy, both from 0 (default 0,0)")
        ->type_name("STEP,LAYER");
    command->add_option("--steps", flags->steps, "of the whole run, for percentages in --policy")
        ->check(CLI::Range(1u, 1u << 20));
    flags->tensors.add(*command, true);
    command->add_option("--random", flags->random, "no files: q, k, v ~ N(0, 1) in fp16")
        ->type_name("BxHxNxD");
    command->add_option("--seed", flags->seed, "of --random")->capture_default_str();
    command->add_option("-o,--output", flags->output, "the result, .npy [B, H, N, D]")
        ->type_name("FILE");
    command
        ->add_option("--lse", flags->lse, "log of the softmax denominator, float32 .npy [B, H, N]")
        ->type_name("FILE");
    command->add_option("--report", flags->report, "error, density, time and explanation as JSON")
        ->type_name("FILE");
    command
        ->add_option("--precision", flags->precision,
                     "of q, k and v on the device: f16 or f32; else as in the files")
        ->check(precision);
    command
        ->add_option("--output-precision", flags->output_precision,
                     "of the result; else as --precision")
        ->check(precision);
    addSumsFlag(*command, flags->sums);
    command->add_option("--scale", flags->scale, "of the logits; else 1 / sqrt(D)")
        ->check(CLI::PositiveNumber);
    command
        ->add_option("--soft-cap", flags->soft_cap,
                     "c: a logit x becomes c tanh(x / c), as in Gemma 2")
        ->check(CLI::PositiveNumber);
    command
        ->add_option("--sink-logits", flags->sink_logits,
                     "one more logit for each query head, as in gpt-oss, .npy [H]")
        ->type_name("FILE");
    flags->mods.add(*command);
    command->add_option("--tune,--tile", flags->tuning, "a number of the kernel; may be repeated")
        ->type_name("NAME=VALUE");
    addSliceFlag(*command, flags->slice_ms);
    command
        ->add_option("--max-workspace", flags->max_workspace,
                     "plans that want more take their heads in parts (default 256000000)")
        ->check(CLI::PositiveNumber)
        ->type_name("BYTES");
    command->add_option("--repeat", flags->repeat, "timed runs after one to warm up")
        ->check(CLI::Range(1, 10000))
        ->capture_default_str();
    command->add_option("--max-error", flags->max_error, "exit 1 when the largest error is above")
        ->check(CLI::PositiveNumber);
    command
        ->add_option("--reference-budget", flags->reference_budget,
                     "multiply-adds to spend on the reference; beyond it a sample of the queries "
                     "is compared")
        ->check(CLI::PositiveNumber)
        ->capture_default_str();
    flags->device.add(*command);
    command->callback([flags] { run(*flags); });
}

} // namespace lacuna::tool

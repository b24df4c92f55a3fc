// attend.cpp - `lacuna attend`: one attention on your tensors, its time, and its error against
// double precision.
//
// SPDX-License-Identifier: Apache-2.0
#include "accuracy.h"
#include "command.h"
#include "measure.h"
#include "npy.h"
#include "output.h"
#include "registry.h"
#include "tensors.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <optional>

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
    std::string random;
    uint64_t seed = 1;
    std::string output, lse, report;
    std::string precision, output_precision;
    std::vector<std::string> tuning;
    double scale = 0;
    double max_error = 0;
    double reference_budget = 4e9;
    uint32_t repeat = 1;
};

struct Outcome
{
    std::vector<float> out, lse;
    std::vector<double> ms; // of each repetition
    host::Attention::Kept kept;
    Json explain;
    host::DeviceInfo device;
};

Outcome attend(host::Device& device, const LacunaPlanDesc& desc, const Qkv& qkv, uint32_t repeat)
{
    Measurement measurement(device, desc, qkv);
    Outcome outcome;
    measurement.run(); // some drivers finish compiling at the first dispatch
    Progress progress("attend", repeat);
    for (uint32_t i = 0; i < repeat; ++i)
    {
        throwIfInterrupted();
        if (const std::optional<double> ms = measurement.run())
            outcome.ms.push_back(*ms);
        progress.step(i + 1);
    }
    outcome.out = measurement.out();
    outcome.lse = measurement.lse();
    outcome.kept = measurement.kept();
    outcome.explain = Json::parse(measurement.attention().explain());
    outcome.device = device.info();
    return outcome;
}

Json toJson(const Difference& d)
{
    return {{"max", d.max}, {"rel_l1", d.relative_l1}, {"rmse", d.rmse}, {"cos", d.cosine}};
}

Json makeReport(const Flags& flags, const LacunaPlanDesc& desc, const Outcome& outcome,
                const Accuracy& accuracy)
{
    const double density = outcome.kept.density();
    const double ms = median(outcome.ms);
    const double flops =
        4.0 * desc.head_dim * density * desc.batch * desc.q_heads * double(desc.q_len) * desc.k_len;
    Json json;
    json["version"] = LACUNA_VERSION_TEXT;
    json["device"] = outcome.device.name;
    json["driver"] = outcome.device.driver;
    json["method"] = flags.method.method;
    json["input"] =
        flags.random.empty() ? "files" : fmt::format("random {} seed {}", flags.random, flags.seed);
    json["density"] = density;
    json["ms"] = outcome.ms.empty() ? Json() : Json(ms); // null: the device has no timestamps
    json["ms_all"] = outcome.ms;
    json["gflops"] = ms > 0 ? Json(flops / ms * 1e-6) : Json();
    json["queries_compared"] = accuracy.queries;
    json["queries"] = accuracy.all_queries;
    json["error"] = toJson(accuracy.kernel);
    json["lse_error_max"] = accuracy.lse_max;
    json["against_dense"] = toJson(accuracy.method);
    json["selection"] = {{"pairs_compared", accuracy.pairs}, {"pairs_apart", accuracy.pairs_apart}};
    json["explain"] = outcome.explain;
    return json;
}

void printReport(const Json& r)
{
    fmt::print("device     {}\n", r["device"].get<std::string>());
    fmt::print("kernel     {}, {}\n", r["explain"]["tier"].get<std::string>(),
               r["explain"]["tile"].get<std::string>());
    fmt::print("density    {:.4f}\n", r["density"].get<double>());
    if (r["ms"].is_null())
        fmt::print("time       the device has no timestamps\n");
    else
        fmt::print("time       {:.3f} ms, {:.1f} GFLOP/s (median of {})\n", r["ms"].get<double>(),
                   r["gflops"].get<double>(), r["ms_all"].size());
    const Json& e = r["error"];
    fmt::print("error      max {:.2e}, rel L1 {:.2e}, rmse {:.2e}, cos {:.9f}; LSE {:.2e} ({} of "
               "{} queries)\n",
               e["max"].get<double>(), e["rel_l1"].get<double>(), e["rmse"].get<double>(),
               e["cos"].get<double>(), r["lse_error_max"].get<double>(),
               r["queries_compared"].get<uint64_t>(), r["queries"].get<uint64_t>());
    const Json& d = r["against_dense"];
    fmt::print("vs dense   rel L1 {:.2e}, cos {:.6f}\n", d["rel_l1"].get<double>(),
               d["cos"].get<double>());
    fmt::print("selection  {} of {} pairs differ from the method's definition\n",
               r["selection"]["pairs_apart"].get<uint64_t>(),
               r["selection"]["pairs_compared"].get<uint64_t>());
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

void run(Flags& flags)
{
    LacunaPlanDesc desc = {};
    flags.method.apply(desc);
    if (registryRow(flags.method.method)["kind"] == "given")
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
    desc.dtype = flags.precision.empty()
                     ? (qkv.q.dtype == Dtype::F32 ? LACUNA_DTYPE_F32 : LACUNA_DTYPE_F16)
                     : dtypeOf(flags.precision);
    desc.out_dtype = flags.output_precision.empty() ? desc.dtype : dtypeOf(flags.output_precision);
    if (desc.dtype == LACUNA_DTYPE_F16)
        qkv.roundToHalf(); // the error below is that of the kernel, not of the input's rounding
    desc.scale = float(flags.scale);
    desc.tier = flags.device.tierValue();
    desc.tuning = tuning.data();
    desc.tuning_count = uint32_t(tuning.size());

    Outputs outputs(flags);
    host::Device device = flags.device.open();
    const Outcome outcome = attend(device, desc, qkv, flags.repeat);
    flags.device.checkValidation(device);
    const Accuracy accuracy =
        measureAccuracy(desc, qkv, outcome.kept, outcome.out, outcome.lse, flags.reference_budget);
    const Json report = makeReport(flags, desc, outcome, accuracy);
    outputs.write(desc, outcome, report);
    printReport(report);
    if (flags.max_error > 0 && !(accuracy.kernel.max <= flags.max_error))
        throw CheckFailed(
            fmt::format("the error is {:.3g}, at most {:.3g} was asked for (--max-error)",
                        accuracy.kernel.max, flags.max_error));
}

} // namespace

void addAttend(CLI::App& app)
{
    CLI::App* const command =
        app.add_subcommand("attend", "one attention: output, time, error against double precision");
    const auto flags = std::make_shared<Flags>();
    const auto precision = CLI::IsMember({"f16", "f32"});
    flags->method.add(*command);
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
    command->add_option("--scale", flags->scale, "of the logits; else 1 / sqrt(D)")
        ->check(CLI::PositiveNumber);
    command->add_option("--tune,--tile", flags->tuning, "a number of the kernel; may be repeated")
        ->type_name("NAME=VALUE");
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

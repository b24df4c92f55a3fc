// calibrate.cpp - `lacuna calibrate`: candidates on captured q, k and v, and the policy that meets
// a target.
//
// SPDX-License-Identifier: Apache-2.0
#include "calibration.h"

#include "accuracy.h"
#include "command.h"
#include "head_plans.h"
#include "measure.h"
#include "method_options.h"
#include "output.h"
#include "registry.h"
#include "safetensors.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <sstream>

namespace lacuna::tool
{
namespace
{

using Json = nlohmann::json;

struct Flags
{
    DeviceFlags device;
    std::vector<std::string> files, candidates;
    std::optional<double> error, density;
    std::string output, report;
};

// The self-attention of one layer in one step, as `generate --capture-qkv` wrote it.
struct Sample
{
    Qkv qkv;
    uint32_t step = 0;
    uint32_t layer = 0;
    PolicySizes sizes;
    LacunaPlanDesc shape = {};
};

uint32_t numberOf(const Tensors& file, const char* name, uint32_t least, uint32_t most,
                  const std::string& path)
{
    const auto found = file.metadata.find(name);
    const std::string text = found == file.metadata.end() ? "" : found->second;
    uint32_t value = 0;
    const auto [read, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || read != text.data() + text.size() || value < least || value > most)
        throw InputError(fmt::format("'{}' has '{}' as its {}, expected {}..{}, as lacuna generate "
                                     "--capture-qkv writes it",
                                     path, text, name, least, most));
    return value;
}

Sample loadSample(const std::string& path)
{
    constexpr uint32_t kMost = 1u << 20;
    Sample sample;
    TensorFlags flags;
    flags.qkv = path;
    sample.qkv = loadQkv(flags, true);
    const Tensors file = readSafetensors(path);
    sample.sizes.steps = numberOf(file, "steps", 1, kMost, path);
    sample.sizes.layers = numberOf(file, "layers", 1, kMost, path);
    sample.step = numberOf(file, "step", 0, sample.sizes.steps - 1, path);
    sample.layer = numberOf(file, "layer", 0, sample.sizes.layers - 1, path);
    const auto grid = file.metadata.find("grid");
    const std::vector<uint32_t> size = parseSizes(grid == file.metadata.end() ? "" : grid->second,
                                                  3, ("the grid of '" + path + "'").c_str());
    sample.qkv.describe(sample.shape);
    sample.sizes.heads = sample.shape.q_heads;
    sample.shape.grid = {size[0], size[1], size[2], 0, 0};
    sample.shape.dtype = sample.qkv.q.dtype == Dtype::F32 ? LACUNA_DTYPE_F32 : LACUNA_DTYPE_F16;
    sample.shape.out_dtype = LACUNA_DTYPE_F32; // the error is that of skipping keys alone
    return sample;
}

void requireAlike(const Sample& sample, const Sample& first, const std::string& path,
                  const std::string& first_path)
{
    const auto text = [](const Sample& s)
    {
        return fmt::format("q [{}], k [{}], grid {}x{}x{}, {} steps, {} layers",
                           fmt::format("{}, {}, {}, {}", s.qkv.q.shape[0], s.qkv.q.shape[1],
                                       s.qkv.q.shape[2], s.qkv.q.shape[3]),
                           s.qkv.k.shape[1], s.shape.grid.frames, s.shape.grid.height,
                           s.shape.grid.width, s.sizes.steps, s.sizes.layers);
    };
    if (text(sample) != text(first) || sample.shape.dtype != first.shape.dtype)
        throw InputError(fmt::format("'{}' has {}, expected {} as in '{}'", path, text(sample),
                                     text(first), first_path));
}

// "block_topk keep_ratio=0.25"
HeadChoice parseCandidate(const std::string& text)
{
    std::istringstream words(text);
    HeadChoice choice;
    choice.where = fmt::format("--candidate '{}'", text);
    choice.method.clear();
    words >> choice.method;
    const Json row = registryRow(choice.method);
    if (row["kind"] == "given")
        throw InputError(fmt::format("{}: its list comes from a program, expected another method",
                                     choice.where));
    for (std::string word; words >> word;)
    {
        choice.options.push_back(parseSetting(word, "an option of --candidate"));
        const auto& [name, value] = choice.options.back();
        if (const auto fault = optionFault(optionRow(row, name), value))
            throw InputError(
                fmt::format("{}: {} is '{}', expected {}", choice.where, name, value, *fault));
    }
    return choice;
}

double densityOf(const host::Attention::Kept& kept, uint32_t batch, uint32_t heads, uint32_t head)
{
    const size_t rows = kept.row_borders.size() - 1;
    double pairs = 0;
    for (size_t b = 0; b < batch; ++b)
        for (size_t row = 0; row < rows; ++row)
            for (const auto& span : kept.spans[(b * heads + head) * rows + row])
                pairs += double(kept.row_borders[row + 1] - kept.row_borders[row]) *
                         (span.end - span.begin);
    return pairs / (double(batch) * kept.queries() * kept.keys());
}

// What one attention of all heads gave.
struct Outcome
{
    std::vector<float> out, lse;
    host::Attention::Kept kept;
};

Outcome attend(host::Device& device, const Sample& sample, const std::vector<HeadRun>& runs)
{
    Measurement measurement(device, sample.shape, sample.qkv, runs);
    measurement.run();
    return {measurement.out(), measurement.lse(), measurement.kept()};
}

// Softmax over fewer keys has a smaller denominator: the ratio is the mass on the kept keys.
CandidateCost costOf(const LacunaPlanDesc& shape, const Outcome& sparse, const Outcome& dense,
                     uint32_t head)
{
    const auto cut = [&](const std::vector<float>& values)
    {
        return cutHeads(values, shape.batch, shape.q_heads, head, 1);
    };
    const std::vector<float> out = cut(sparse.out), right = cut(dense.out);
    const std::vector<float> lse = cut(sparse.lse), full = cut(dense.lse);
    Difference difference;
    for (size_t i = 0; i < out.size(); ++i)
        difference.add(out[i], right[i]);
    double recall = 0;
    for (size_t i = 0; i < lse.size(); ++i)
        recall += std::min(1.0, std::exp(double(lse[i]) - double(full[i]))) / double(lse.size());
    return {densityOf(sparse.kept, shape.batch, shape.q_heads, head), difference.relativeL1(),
            recall};
}

Calibration measure(host::Device& device, const std::vector<std::string>& files,
                    const Policy& candidates, const Sample& first)
{
    HeadPlans plans(device, first.shape, candidates);
    const uint32_t heads = first.sizes.heads;
    Calibration calibration(first.sizes, candidates.choices());
    Progress progress("calibrate", files.size());
    for (size_t i = 0; i < files.size(); ++i)
    {
        const Sample sample = loadSample(files[i]);
        requireAlike(sample, first, files[i], files[0]);
        const Outcome dense = attend(device, sample, plans.denseRuns());
        std::vector<std::vector<CandidateCost>> costs(heads, {CandidateCost()});
        for (uint32_t choice = 1; choice < candidates.choices().size(); ++choice)
        {
            throwIfInterrupted();
            const Outcome sparse =
                attend(device, sample, plans.runs(std::vector<uint32_t>(heads, choice)));
            for (uint32_t head = 0; head < heads; ++head)
                costs[head].push_back(costOf(sample.shape, sparse, dense, head));
        }
        for (uint32_t head = 0; head < heads; ++head)
            calibration.add({sample.step, sample.layer, head}, costs[head]);
        progress.step(i + 1);
    }
    return calibration;
}

Json makeReport(const Flags& flags, const Calibration& calibration, const host::Device& device)
{
    Json json = {
        {"version", LACUNA_VERSION_TEXT},          {"device", device.info().name},
        {"driver", device.info().driver},          {"files", flags.files},
        {"density", calibration.density()},        {"density_in_all", calibration.densityInAll()},
        {"error_max", calibration.largestError()}, {"heads", Json::array()}};
    if (flags.error)
        json["target_error"] = *flags.error;
    else
        json["target_density"] = *flags.density;
    for (const auto& [place, head] : calibration.heads())
    {
        Json row = {{"step", place.step},
                    {"layer", place.layer},
                    {"head", place.head},
                    {"samples", head.samples},
                    {"chosen", calibration.candidates()[head.chosen].name()}};
        for (size_t i = 0; i < head.costs.size(); ++i)
            row["candidates"].push_back({{"name", calibration.candidates()[i].name()},
                                         {"density", head.costs[i].density},
                                         {"error", head.costs[i].error},
                                         {"recall", head.costs[i].recall}});
        json["heads"].push_back(row);
    }
    return json;
}

void print(const Calibration& calibration)
{
    fmt::print("{:>5} {:>5} {:>5} {:>8} {:>9} {:>7}  {}\n", "step", "layer", "head", "density",
               "error", "recall", "chosen");
    for (const auto& [place, head] : calibration.heads())
    {
        const CandidateCost& cost = head.costs[head.chosen];
        fmt::print("{:>5} {:>5} {:>5} {:>8.4f} {:>9.2e} {:>7.4f}  {}\n", place.step, place.layer,
                   place.head, cost.density, cost.error, cost.recall,
                   calibration.candidates()[head.chosen].name());
    }
    fmt::print("density    {:.4f} of these heads, {:.4f} in all steps and layers\n",
               calibration.density(), calibration.densityInAll());
    fmt::print("error      at most {:.2e}, rel L1 of a head against dense\n",
               calibration.largestError());
}

void run(const Flags& flags)
{
    if (flags.error.has_value() == flags.density.has_value())
        throw InputError("expected one of --target-error and --target-density");
    Policy candidates;
    for (const std::string& text : flags.candidates)
        candidates.add({}, parseCandidate(text));
    Sample first = loadSample(flags.files.front());
    first.shape.tier = flags.device.tierValue();
    candidates.bind(first.sizes);
    OutputFile output(flags.output);
    std::optional<OutputFile> report;
    if (!flags.report.empty())
        report.emplace(flags.report);

    host::Device device = flags.device.open();
    Calibration calibration = measure(device, flags.files, candidates, first);
    flags.device.checkValidation(device);
    if (flags.error)
        calibration.chooseByError(*flags.error);
    else
        calibration.chooseByDensity(*flags.density);
    output.write(calibration.policy().dump(2) + "\n");
    if (report)
        report->write(makeReport(flags, calibration, device).dump(2) + "\n");
    output.commit();
    if (report)
        report->commit();
    print(calibration);
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
    command
        ->add_option("--candidate", flags->candidates,
                     "a method with options, \"block_topk keep_ratio=0.25\"; may be repeated")
        ->required()
        ->type_name("TEXT");
    CLI::Option* const error =
        command
            ->add_option("--target-error", flags->error,
                         "rel L1 of a head's output against dense, at most; as sparse as possible")
            ->check(CLI::PositiveNumber);
    command
        ->add_option("--target-density", flags->density,
                     "mean share of the pairs that is kept, at most; with little error")
        ->check(CLI::Range(0.0, 1.0))
        ->excludes(error);
    command->add_option("-o,--output", flags->output, "the policy")
        ->required()
        ->type_name("FILE.json");
    command->add_option("--report", flags->report, "every candidate in every head, as JSON")
        ->type_name("FILE.json");
    flags->device.add(*command);
    command->callback([flags] { run(*flags); });
}

} // namespace lacuna::tool

// calibration_flags.cpp - candidates from text, the choice that was asked for, and what is written.
//
// SPDX-License-Identifier: Apache-2.0
#include "calibration_flags.h"

#include "command.h"
#include "method_options.h"
#include "registry.h"
#include "searches.h"

#include <fmt/format.h>

#include <set>
#include <sstream>

namespace lacuna::tool
{
namespace
{

using Json = nlohmann::json;

// "block_topk keep_ratio=0.25"
HeadChoice parseCandidate(const std::string& text, const char* flag)
{
    std::istringstream words(text);
    HeadChoice choice;
    choice.where = fmt::format("{} '{}'", flag, text);
    choice.method.clear();
    words >> choice.method;
    const Json row = registryRow(choice.method);
    if (row["kind"] == "given")
        throw InputError(fmt::format("{}: its list comes from a program, expected another method",
                                     choice.where));
    std::set<std::string> names;
    for (std::string word; words >> word;)
    {
        choice.options.push_back(parseSetting(word, fmt::format("an option of {}", flag).c_str()));
        const auto& [name, value] = choice.options.back();
        if (const auto fault = optionFault(optionRow(row, name), value))
            throw InputError(
                fmt::format("{}: {} is '{}', expected {}", choice.where, name, value, *fault));
        if (!names.insert(name).second)
            throw InputError(fmt::format("{}: {} is given twice", choice.where, name));
    }
    return choice;
}

Policy candidatesOf(const CalibrationFlags& flags)
{
    if (flags.candidates.empty() == flags.search.empty())
        throw InputError("expected one of --candidate and --search");
    if (flags.error && flags.density)
        throw InputError("--target-error and --target-density are both given, expected one");
    if (flags.search.empty() && !flags.error && !flags.density)
        throw InputError("expected one of --target-error and --target-density");
    const bool searches = !flags.search.empty();
    Policy policy;
    for (const std::string& text : searches ? parseSearch(flags.search).candidates
                                            : flags.candidates)
        policy.add({}, parseCandidate(text, searches ? "--search" : "--candidate"));
    return policy;
}

} // namespace

void CalibrationFlags::add(CLI::App& command)
{
    command
        .add_option("--candidate", candidates,
                    "a method with options, \"block_topk keep_ratio=0.25\"; may be repeated")
        ->type_name("TEXT");
    command
        .add_option("--search", search,
                    "the candidates of a published search, and its choice unless there is a "
                    "target: " +
                        searchNames() + "; options for the candidates may follow, \"svg1 "
                                        "density=0.3\"")
        ->type_name("TEXT");
    command
        .add_option("--target-error", error,
                    "rel L1 of a head's output against dense, at most; as sparse as possible")
        ->check(CLI::PositiveNumber);
    command
        .add_option("--target-density", density,
                    "mean share of the pairs that is kept, at most; with little error")
        ->check(CLI::Range(0.0, 1.0));
    command.add_option("--report", report, "every candidate in every head, as JSON")
        ->type_name("FILE.json");
}

bool CalibrationFlags::given() const
{
    return !candidates.empty() || !search.empty() || error || density || !report.empty();
}

CalibrationTask::CalibrationTask(const CalibrationFlags& flags, const std::string& output)
    : flags_(flags), candidates_(candidatesOf(flags)), output_(output)
{
    if (!flags.report.empty())
        report_.emplace(flags.report);
}

Json CalibrationTask::makeReport(const Calibration& calibration, const host::Device& device,
                                 const std::vector<std::string>& inputs) const
{
    Json json = {
        {"version", LACUNA_VERSION_TEXT},          {"device", device.info().name},
        {"driver", device.info().driver},          {"files", inputs},
        {"density", calibration.density()},        {"density_in_all", calibration.densityInAll()},
        {"error_max", calibration.largestError()}, {"heads", Json::array()}};
    if (!flags_.search.empty())
        json["search"] = flags_.search;
    if (flags_.error)
        json["target_error"] = *flags_.error;
    if (flags_.density)
        json["target_density"] = *flags_.density;
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
                                         {"recall", head.costs[i].recall},
                                         {"square_error", head.costs[i].square}});
        json["heads"].push_back(row);
    }
    return json;
}

void CalibrationTask::finish(Calibration& calibration, const host::Device& device,
                             const std::vector<std::string>& inputs)
{
    if (flags_.error)
        calibration.chooseByError(*flags_.error);
    else if (flags_.density)
        calibration.chooseByDensity(*flags_.density);
    else
        parseSearch(flags_.search).choose(calibration);
    output_.write(calibration.policy().dump(2) + "\n");
    if (report_)
        report_->write(makeReport(calibration, device, inputs).dump(2) + "\n");
    output_.commit();
    if (report_)
        report_->commit();
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

} // namespace lacuna::tool

// report.cpp - prints the figures of every target, and finds what became worse.
//
// SPDX-License-Identifier: Apache-2.0
#include "report.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>

namespace lacuna::gpus
{
namespace
{

using Json = nlohmann::ordered_json;

// In the order of the table. `limit`: how much more is worse; spills and scratch may not grow at all.
struct Column
{
    const char* key;
    const char* title;
    double limit;
};
constexpr double kGrowth = 1.10;
const Column kColumns[] = {
    {"registers", "regs", kGrowth},     {"spills", "spills", 1},
    {"scratch_bytes", "scratch", 1},    {"shared_bytes", "shared", kGrowth},
    {"instructions", "instr", kGrowth},
};

std::optional<double> figure(const Json& kernel, const char* key)
{
    return kernel.contains(key) ? std::optional<double>(kernel[key].get<double>()) : std::nullopt;
}

std::string cell(const Json& kernel, const char* key)
{
    const auto value = figure(kernel, key);
    return value ? fmt::format("{}", uint64_t(*value)) : "-";
}

// The default kernels of one label ("f16 D64"): the label, and how many matrix instructions they hold together.
std::map<std::string, double> defaultMatrices(const Json& kernels)
{
    std::map<std::string, double> sums;
    for (const auto& [name, kernel] : kernels.items())
        if (kernel.value("is_default", false))
            sums[name.substr(name.find(' ') + 1)] += figure(kernel, "matrix_instructions").value_or(0);
    return sums;
}

void compareKernel(const Json& now, const Json& before, const std::string& target, const std::string& name,
                   std::vector<Difference>& differences)
{
    const auto add = [&](const char* what, double old_value, double new_value, bool is_worse) {
        differences.push_back({target, name, fmt::format("{} {} -> {}", what, old_value, new_value), is_worse});
    };
    for (const Column& column : kColumns)
    {
        const auto a = figure(before, column.key), b = figure(now, column.key);
        if (a && b && *a != *b)
            add(column.key, *a, *b, *b > *a * column.limit);
    }
    const auto before_matrix = figure(before, "matrix_instructions");
    const auto now_matrix = figure(now, "matrix_instructions");
    if (before_matrix && *before_matrix > 0 && now_matrix.value_or(0) == 0)
        add("matrix_instructions", *before_matrix, 0, true);
    const auto before_occupancy = figure(before, "occupancy"), now_occupancy = figure(now, "occupancy");
    if (before_occupancy && now_occupancy && *before_occupancy != *now_occupancy)
        add("occupancy", *before_occupancy, *now_occupancy, *now_occupancy * kGrowth < *before_occupancy);
}

void compareTarget(const Json& now, const Json& before, std::vector<Difference>& differences)
{
    const std::string target = now["target"];
    if (before["driver"] != now["driver"])
        differences.push_back({target, "driver",
                               fmt::format("{} -> {}", before["driver"].get<std::string>(),
                                           now["driver"].get<std::string>()),
                               false});
    for (const auto& [name, kernel] : now["kernels"].items())
        if (before["kernels"].contains(name))
            compareKernel(kernel, before["kernels"][name], target, name, differences);
        else
        {
            const double spills = figure(kernel, "spills").value_or(0);
            differences.push_back({target, name, spills > 0 ? fmt::format("new, with {} spills", spills) : "new",
                                   spills > 0});
        }
    for (const auto& [name, kernel] : before["kernels"].items())
        if (!now["kernels"].contains(name))
            differences.push_back({target, name, "gone", false});

    const auto sums = defaultMatrices(now["kernels"]);
    for (const auto& [label, sum] : defaultMatrices(before["kernels"]))
    {
        const auto found = sums.find(label);
        if (sum > 0 && (found == sums.end() || found->second == 0))
            differences.push_back({target, label, "the default kernel has no matrix instruction any more", true});
    }
}

} // namespace

std::vector<Difference> compare(const std::vector<Json>& measured, const Json& committed)
{
    std::vector<Difference> differences;
    for (const Json& now : measured)
    {
        const std::string target = now["target"];
        if (committed.contains("targets") && committed["targets"].contains(target))
            compareTarget(now, committed["targets"][target], differences);
        else
            differences.push_back({target, "all kernels", "not in the committed table yet", true});
    }
    return differences;
}

void printTable(const std::vector<Json>& measured)
{
    size_t width = 0;
    for (const Json& target : measured)
        for (const auto& [name, kernel] : target["kernels"].items())
            width = std::max(width, name.size());
    for (const Json& target : measured)
    {
        fmt::print("\n{}: {}, {}{}{}\n", target["target"].get<std::string>(), target["device"].get<std::string>(),
                   target["driver"].get<std::string>(),
                   target.value("matrices_are_assumed", false) ? ", matrices assumed: the driver compiles but does not offer them"
                                                               : "",
                   target.value("layouts_are_assumed", false) ? ", their layout assumed: the card cannot be probed" : "");
        fmt::print("  {:<{}}", "kernel", width);
        for (const Column& column : kColumns)
            fmt::print(" {:>8}", column.title);
        fmt::print(" {:>8} {:>8} {:>8}\n", "matrix", "waves", "ms");
        for (const auto& [name, kernel] : target["kernels"].items())
        {
            fmt::print("{} {:<{}}", kernel.value("is_default", false) ? '*' : ' ', name, width);
            for (const Column& column : kColumns)
                fmt::print(" {:>8}", cell(kernel, column.key));
            fmt::print(" {:>8} {:>8} {:>8.0f}\n", cell(kernel, "matrix_instructions"), cell(kernel, "occupancy"),
                       kernel["compile_ms"].get<double>());
        }
    }
    fmt::print("\n* what a plain plan on fp16 tensors runs\n");
}

Json toCommit(const std::vector<Json>& measured, const Json& committed)
{
    Json file = committed.is_object() ? committed : Json::object();
    for (const Json& target : measured)
    {
        Json kept = {{"device", target["device"]},
                     {"driver", target["driver"]},
                     {"matrices_are_assumed", target["matrices_are_assumed"]},
                     {"kernels", target["kernels"]}};
        for (auto& [name, kernel] : kept["kernels"].items())
        {
            kernel.erase("compile_ms");
            kernel.erase("statistics");
        }
        file["targets"][target["target"].get<std::string>()] = kept;
    }
    return file;
}

} // namespace lacuna::gpus

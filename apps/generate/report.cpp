// report.cpp - medians, the table and the JSON object of one clip.
//
// SPDX-License-Identifier: Apache-2.0
#include "report.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>

namespace generate
{

static double median(std::vector<double> values)
{
    std::sort(values.begin(), values.end());
    const size_t middle = values.size() / 2;
    return values.size() % 2 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

Cost costOf(const Run& run)
{
    std::vector<double> step, attention;
    const auto take = [&](bool wants_warm)
    {
        for (const StepTime& time : run.steps)
            if (time.is_sparse && time.is_warm == wants_warm)
            {
                step.push_back(time.step_ms);
                attention.push_back(time.attention_ms);
            }
    };
    take(true);
    const bool is_warm = !step.empty();
    if (!is_warm)
        take(false);
    return {median(step), median(attention), uint32_t(step.size()), is_warm};
}

static std::string cell(const std::optional<double>& value, const char* format)
{
    return value ? fmt::format(fmt::runtime(format), *value) : "-";
}

std::string Report::table() const
{
    std::string text;
    const auto line = [&](const char* name, const std::string& value)
    {
        text += fmt::format("{:<10} {}\n", name, value);
    };
    line("device", fmt::format("{}, {}", device, driver));
    line("clip", fmt::format("{} frames of {}x{}, {} tokens, q k v in {}", shape.frames,
                             shape.width, shape.height, tokens, precision));
    line("schedule", fmt::format("{} steps, shift {:g}, guidance {:g}, seed {}", schedule.steps,
                                 schedule.shift, schedule.guidance, seed));
    if (sparse)
        line("sparse", fmt::format("{}, density {:.3f}, first {} steps and {} layers dense; {:.3f} "
                                   "in all",
                                   method, density, dense_steps, dense_layers, total_density));
    if (slice_ms > 0)
        line("slices", fmt::format("{} of self-attention, the longest {:.1f} ms of {:g} ms wanted",
                                   slices.count, slices.longest_ms, slice_ms));
    if (!policy.empty())
        for (const GroupDensity& group : groups)
            line("group", fmt::format("{}: {:.1f} % of the heads, density {:.3f}", group.name,
                                      100 * group.share, group.density));
    const bool has_both = dense && sparse;
    const auto value = [&](const std::optional<Cost>& cost, double Cost::*field)
    {
        return cost ? std::optional(*cost.*field) : std::nullopt;
    };
    text += fmt::format("\n{:<22} {:>10} {:>10} {:>9}\n", "", "dense", "sparse", "speed-up");
    text += fmt::format("{:<22} {:>10} {:>10}\n", "tier", dense ? dense_tier : "-",
                        sparse ? sparse_tier : "-");
    for (const auto& [name, field] : {std::pair{"self-attention ms/step", &Cost::attention_ms},
                                      {"whole step ms", &Cost::step_ms}})
    {
        const auto d = value(dense, field), s = value(sparse, field);
        const std::optional<double> ratio =
            has_both && *s > 0 ? std::optional(*d / *s) : std::nullopt;
        const bool is_known = has_timestamps || field == &Cost::step_ms;
        text += fmt::format("{:<22} {:>10} {:>10} {:>9}\n", name,
                            cell(is_known ? d : std::nullopt, "{:.1f}"),
                            cell(is_known ? s : std::nullopt, "{:.1f}"),
                            cell(is_known ? ratio : std::nullopt, "{:.2f}x"));
    }
    const Cost& some = sparse ? *sparse : *dense;
    text += fmt::format(
        "medians over {} steps, from {}{}\n", some.steps,
        has_timestamps ? "GPU timestamps" : "the wall clock: this device has no timestamps",
        some.is_warm ? "; the first step of each kind, in which the driver compiles, is left out"
                     : "; the driver compiled in it, so take more steps to see the speed");
    if (psnr)
        text += fmt::format("\nsparse against dense: PSNR {:.2f} dB, SSIM {:.3f}\n", *psnr, *ssim);
    for (const std::string& file : files)
        text += fmt::format("wrote {}\n", file);
    return text;
}

nlohmann::json Report::json() const
{
    const auto cost = [&](const std::optional<Cost>& c, const std::string& tier) -> nlohmann::json
    {
        if (!c)
            return nullptr;
        nlohmann::json object = {{"tier", tier}, {"step_ms", c->step_ms}, {"steps", c->steps}};
        object["attention_ms"] =
            has_timestamps ? nlohmann::json(c->attention_ms) : nlohmann::json(nullptr);
        return object;
    };
    nlohmann::json object = {
        {"device", device},
        {"driver", driver},
        {"prompt", prompt},
        {"seed", seed},
        {"frames", shape.frames},
        {"height", shape.height},
        {"width", shape.width},
        {"tokens", tokens},
        {"precision", precision},
        {"steps", schedule.steps},
        {"shift", schedule.shift},
        {"guidance", schedule.guidance},
        {"method", method},
        {"dense_steps", dense_steps},
        {"dense_layers", dense_layers},
        {"density", density},
        {"density_in_all", total_density},
        {"dense", cost(dense, dense_tier)},
        {"sparse", cost(sparse, sparse_tier)},
        {"files", files},
    };
    for (const GroupDensity& group : groups)
        object["groups"].push_back(
            {{"name", group.name}, {"share", group.share}, {"density", group.density}});
    if (!policy.empty())
        object["policy"] = policy;
    if (slice_ms > 0)
        object["slices"] = {
            {"wanted_ms", slice_ms}, {"count", slices.count}, {"longest_ms", slices.longest_ms}};
    if (dense && sparse)
    {
        object["step_speedup"] = dense->step_ms / sparse->step_ms;
        if (has_timestamps)
            object["attention_speedup"] = dense->attention_ms / sparse->attention_ms;
    }
    if (psnr)
    {
        object["psnr"] = std::isinf(*psnr) ? nlohmann::json("inf") : nlohmann::json(*psnr);
        object["ssim"] = *ssim;
    }
    return object;
}

} // namespace generate

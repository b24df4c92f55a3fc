// tune.cpp - `lacuna tune`: which tile of the kernels is fastest on your GPU; later runs use it.
//
// SPDX-License-Identifier: Apache-2.0
#include "command.h"
#include "measure.h"
#include "output.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace lacuna::tool
{
namespace
{

using Json = nlohmann::json;

struct Flags
{
    int device = -1;
    std::vector<uint32_t> head_dims = {64, 128};
    std::vector<std::string> precisions = {"f16"};
    bool as_json = false;
};

std::string verdict(const host::TuneRow& row)
{
    if (!row.refused.empty())
        return "refused: " + row.refused;
    return row.is_best ? "chosen" : row.is_default ? "default" : "";
}

void print(const std::string& precision, uint32_t head_dim, const std::vector<host::TuneRow>& rows)
{
    for (const host::TuneRow& row : rows)
        fmt::print("| {} | {} | {} | {} | {} | {} | {} | {} |\n", precision, head_dim, row.tier,
                   row.tuning, row.tile, row.refused.empty() ? fmt::format("{:.3f}", row.ms) : "",
                   row.refused.empty() ? fmt::format("{:.2f}", rows[0].ms / row.ms) : "",
                   verdict(row));
}

Json toJson(const std::string& precision, uint32_t head_dim, const host::TuneRow& row)
{
    return {{"precision", precision},  {"head_dim", head_dim},
            {"tier", row.tier},        {"tuning", row.tuning},
            {"tile", row.tile},        {"ms", row.refused.empty() ? Json(row.ms) : Json()},
            {"refused", row.refused},  {"is_default", row.is_default},
            {"is_chosen", row.is_best}};
}

void run(const Flags& flags)
{
    for (const uint32_t head_dim : flags.head_dims)
        if (head_dim % 8 != 0)
            throw InputError(
                fmt::format("--head-dim is {}, expected a multiple of 8 in 8..256", head_dim));
    host::Device device({.index = flags.device});
    if (!flags.as_json)
        fmt::print("{}, {}\n\n| inputs | D | tier | tuning | tile | ms | speed-up | |\n"
                   "|---|---|---|---|---|---|---|---|\n",
                   device.info().name, device.info().driver);
    Json all = Json::array();
    for (const std::string& precision : flags.precisions)
        for (const uint32_t head_dim : flags.head_dims)
        {
            std::optional<Progress> progress;
            const auto rows = host::tune(
                device, dtypeOf(precision), head_dim,
                [&](size_t done, size_t of)
                {
                    throwIfInterrupted();
                    if (!progress)
                        progress.emplace(fmt::format("{} D={}", precision, head_dim), of);
                    progress->step(done);
                });
            progress.reset();
            for (const host::TuneRow& row : rows)
                all.push_back(toJson(precision, head_dim, row));
            if (!flags.as_json)
                print(precision, head_dim, rows);
        }
    if (flags.as_json)
        fmt::print("{}\n", Json{{"version", LACUNA_VERSION_TEXT},
                                {"device", device.info().name},
                                {"driver", device.info().driver},
                                {"rows", all}}
                               .dump(2));
}

} // namespace

void addTune(CLI::App& app)
{
    CLI::App* const command = app.add_subcommand(
        "tune", "time a handful of tiles on your GPU; later runs use the fastest");
    const auto flags = std::make_shared<Flags>();
    command->add_option("--device", flags->device, "index from `lacuna devices`")
        ->check(CLI::NonNegativeNumber)
        ->type_name("N");
    command->add_option("--head-dim", flags->head_dims, "D; comma-separated")
        ->delimiter(',')
        ->check(CLI::Range(8u, 256u))
        ->capture_default_str();
    command->add_option("--precision", flags->precisions, "of q, k and v; comma-separated")
        ->delimiter(',')
        ->check(CLI::IsMember({"f16", "f32"}))
        ->capture_default_str();
    command->add_flag("--json", flags->as_json, "for machines");
    command->callback([flags] { run(*flags); });
}

} // namespace lacuna::tool

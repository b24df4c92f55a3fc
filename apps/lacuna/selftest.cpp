// selftest.cpp - `lacuna selftest`: every kernel against the double-precision reference, on this
// GPU.
//
// SPDX-License-Identifier: Apache-2.0
#include "command.h"
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
    DeviceFlags device;
    bool quick = false;
    bool as_json = false;
};

const char* verdict(const host::SelfTestRow& row)
{
    if (!row.skipped.empty())
        return "skipped";
    return row.passed() ? "ok" : "FAILED";
}

void print(const host::SelfTestRow& row)
{
    if (row.skipped.empty())
        fmt::print("{:<8} {:<44} {:>9.2e} {:>9.2e} {:>9.2e} {:>9.2e}  {}\n", row.tier, row.shape,
                   row.error, row.bound, row.lse_error, row.lse_bound, verdict(row));
    else
        fmt::print("{:<8} {:<44} skipped: {}\n", row.tier, row.shape, row.skipped);
}

Json toJson(const host::SelfTestRow& row)
{
    return {{"tier", row.tier},           {"shape", row.shape},   {"result", verdict(row)},
            {"error", row.error},         {"bound", row.bound},   {"lse_error", row.lse_error},
            {"lse_bound", row.lse_bound}, {"reason", row.skipped}};
}

void run(const Flags& flags)
{
    // Without the self-test at opening, so that a tier which it would refuse is shown with its
    // error.
    host::Device device(
        {.index = flags.device.device, .validation = flags.device.validation, .self_test = false});
    std::vector<LacunaTier> tiers = host::testedTiers(device);
    if (flags.device.tierValue() != LACUNA_TIER_AUTO)
        tiers = {flags.device.tierValue()};
    if (!flags.as_json)
        fmt::print("{}  [{}]\n{:<8} {:<44} {:>9} {:>9} {:>9} {:>9}\n", device.info().name,
                   device.info().driver, "tier", "shape", "error", "allowed", "LSE error",
                   "allowed");

    Json rows = Json::array();
    size_t failed = 0, skipped = 0;
    for (const LacunaTier tier : tiers)
        for (const host::SelfTestRow& row : host::selfTest(device, tier, !flags.quick))
        {
            throwIfInterrupted();
            failed += !row.passed();
            skipped += !row.skipped.empty();
            rows.push_back(toJson(row));
            if (!flags.as_json)
                print(row);
        }
    const std::string summary = fmt::format("{} passed, {} failed, {} skipped",
                                            rows.size() - failed - skipped, failed, skipped);
    if (flags.as_json)
        fmt::print("{}\n", Json{{"device", device.info().name},
                                {"driver", device.info().driver},
                                {"rows", rows},
                                {"failed", failed},
                                {"skipped", skipped}}
                               .dump(2));
    else
        fmt::print("{}\n", summary);
    flags.device.checkValidation(device);
    if (failed != 0)
        throw CheckFailed(fmt::format("{} of {} self-tests failed on {}", failed, rows.size(),
                                      device.info().name));
}

} // namespace

void addSelftest(CLI::App& app)
{
    CLI::App* const command = app.add_subcommand(
        "selftest", "kernels against the double-precision reference, on your GPU");
    const auto flags = std::make_shared<Flags>();
    flags->device.add(*command);
    command->add_flag("--quick", flags->quick, "only what every program start checks");
    command->add_flag("--json", flags->as_json, "for machines");
    command->callback([flags] { run(*flags); });
}

} // namespace lacuna::tool

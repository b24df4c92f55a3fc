// command.cpp - the flags that several subcommands share.
//
// SPDX-License-Identifier: Apache-2.0
#include "command.h"
#include "output.h"

#include <fmt/format.h>

#include <limits>
#include <sstream>
#include <string_view>

namespace lacuna::tool
{

void DeviceFlags::add(CLI::App& command)
{
    command
        .add_option("--device", device,
                    "index from `lacuna devices`; else LACUNA_DEVICE, else the fastest kind")
        ->check(CLI::NonNegativeNumber)
        ->type_name("N");
    command.add_option("--tier", tier, "kernel family: auto, scalar, coopmat or coopmat2")
        ->check(CLI::IsMember({"auto", "scalar", "coopmat", "coopmat2"}));
    command.add_flag("--validation", validation,
                     "run under the Vulkan validation layers; a message is a failure");
}

host::Device DeviceFlags::open() const
{
    return host::Device({.index = device, .validation = validation, .notice = printNote});
}

LacunaTier DeviceFlags::tierValue() const
{
    return host::tierNamed(tier).value_or(LACUNA_TIER_AUTO);
}

void DeviceFlags::checkValidation(const host::Device& opened) const
{
    const std::vector<std::string> messages = opened.validationMessages();
    if (!messages.empty())
        throw CheckFailed(fmt::format("the validation layers said {} things, the first: {}",
                                      messages.size(), messages.front()));
}

void MethodFlags::add(CLI::App& command, bool with_grid)
{
    command.add_option("--method", method, "a name from `lacuna methods`")->required();
    command.add_option("--set", settings, "an option of the method; may be repeated")
        ->type_name("NAME=VALUE");
    if (!with_grid)
        return;
    command.add_option("--grid", grid, "the video tokens: frames, rows and columns")
        ->type_name("TxHxW");
    command.add_option("--text-before", text_before, "text tokens before the video")
        ->type_name("N");
    command.add_option("--text-after", text_after, "text tokens after the video")->type_name("N");
}

void MethodFlags::apply(LacunaPlanDesc& desc)
{
    pairs_.clear();
    for (const std::string& setting : settings)
        pairs_.push_back(parseSetting(setting, "--set"));
    options_.clear();
    for (const auto& [name, value] : pairs_)
        options_.push_back({name.c_str(), value.c_str()});
    desc.method = method.c_str();
    desc.options = options_.data();
    desc.option_count = uint32_t(options_.size());
    if (grid.empty())
    {
        if (text_before != 0 || text_after != 0)
            throw InputError("--text-before and --text-after belong to a video: --grid is missing");
        return;
    }
    const std::vector<uint32_t> sizes = parseSizes(grid, 3, "--grid");
    desc.grid = {sizes[0], sizes[1], sizes[2], text_before, text_after};
}

void MethodFlags::addPolicy(CLI::App& command)
{
    CLI::Option* const flag =
        command
            .add_option("--policy", policy,
                        "a method for each step, layer and head, as docs/policies.md describes")
            ->type_name("FILE");
    for (const char* const other : {"--method", "--set"})
        flag->excludes(command.get_option(other)->required(false));
}

Policy MethodFlags::makePolicy() const
{
    if (!policy.empty())
        return Policy::load(policy);
    HeadChoice choice;
    choice.method = method;
    for (const std::string& setting : settings)
        choice.options.push_back(parseSetting(setting, "--set"));
    Policy made;
    made.add({}, std::move(choice));
    return made;
}

void addSumsFlag(CLI::App& command, LacunaSums& sums)
{
    command
        .add_option_function<std::string>(
            "--sums",
            [&sums](const std::string& text)
            {
                sums = text == "f16"   ? LACUNA_SUMS_F16
                       : text == "i32" ? LACUNA_SUMS_I32
                                       : LACUNA_SUMS_F32;
            },
            "of Q K^T and P V: f32, f16 for a few terms at a time, or i32 for Q K^T of q and k "
            "rounded to 8 bits (tier scalar)")
        ->check(CLI::IsMember({"f32", "f16", "i32"}))
        ->default_str("f32");
}

void addSliceFlag(CLI::App& command, double& slice_ms)
{
    command
        .add_option("--slice-ms", slice_ms,
                    "run attention in submissions of about M milliseconds, with the same bits: no "
                    "watchdog ends it, and a desktop stays alive")
        ->check(CLI::Range(0.1, 60000.0))
        ->type_name("M");
}

std::optional<std::pair<uint32_t, uint32_t>> parseStepLayer(const std::string& text)
{
    std::istringstream stream(text);
    std::pair<uint32_t, uint32_t> at;
    char comma = 0;
    const bool is_read = bool(stream >> at.first >> comma >> at.second) && comma == ',' &&
                         stream.peek() == EOF && text.find('-') == std::string::npos;
    return is_read ? std::optional(at) : std::nullopt;
}

std::pair<std::string, std::string> parseSetting(const std::string& text, const char* flag)
{
    const size_t equals = text.find('=');
    if (equals == 0 || equals == std::string::npos || equals + 1 == text.size())
        throw InputError(fmt::format("{} is '{}', expected name=value", flag, text));
    return {text.substr(0, equals), text.substr(equals + 1)};
}

std::vector<uint32_t> parseSizes(const std::string& text, size_t count, const char* flag)
{
    const auto fail = [&]
    {
        return InputError(fmt::format("{} is '{}', expected {} numbers from 1 to {} joined by x",
                                      flag, text, count, std::numeric_limits<int32_t>::max()));
    };
    std::vector<uint32_t> sizes;
    uint64_t value = 0;
    bool has_digit = false;
    for (const char c : text + "x")
    {
        if (c >= '0' && c <= '9')
        {
            value = value * 10 + uint64_t(c - '0');
            has_digit = true;
            if (value > uint64_t(std::numeric_limits<int32_t>::max()))
                throw fail();
        }
        else if (c == 'x' && has_digit && value > 0)
        {
            sizes.push_back(uint32_t(value));
            value = 0;
            has_digit = false;
        }
        else
            throw fail();
    }
    if (sizes.size() != count)
        throw fail();
    return sizes;
}

} // namespace lacuna::tool

// devices.cpp - `lacuna devices`: what each GPU can do, which tier it gets, and why not a faster
// one.
//
// SPDX-License-Identifier: Apache-2.0
#include "command.h"
#include "output.h"
#include "vector_width.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

namespace lacuna::tool
{
namespace
{

using Json = nlohmann::json;

Json toJson(const host::DeviceInfo& info)
{
    Json json = info.describe_json.empty() ? Json::object() : Json::parse(info.describe_json);
    json["index"] = info.index;
    json["device"] = info.name;
    json["driver"] = info.driver;
    json["uuid"] = info.uuid;
    json["is_cpu"] = info.is_cpu;
    json["usable"] = info.is_usable;
    json["reason"] = info.reason;
    return json;
}

void print(const Json& device)
{
    fmt::print("{}  {}  [{}]\n", device["index"].get<int>(), device["device"].get<std::string>(),
               device["driver"].get<std::string>());
    if (!device["usable"].get<bool>())
    {
        fmt::print("     not usable: {}\n", device["reason"].get<std::string>());
        return;
    }
    for (const Json& tier : device["tiers"])
    {
        const bool is_available = tier["available"];
        const bool is_chosen = tier["name"] == device["automatic_tier"];
        const std::string reason = tier["reason"];
        fmt::print("     {:<8} {}{}\n", tier["name"].get<std::string>(),
                   !is_available ? "no"
                   : is_chosen   ? "yes, chosen"
                                 : "yes, on request",
                   reason.empty() ? "" : ": " + reason);
    }
    std::string shapes;
    for (const Json& shape : device["matrix_shapes"])
        shapes += " " + shape.get<std::string>();
    fmt::print("     subgroup size {}, shared memory {} KiB, matrix shapes:{}\n",
               device["subgroup_size"].get<int>(), device["shared_bytes"].get<int>() / 1024,
               shapes.empty() ? " none" : shapes);
}

void run(bool as_json)
{
    const std::vector<host::DeviceInfo> devices = host::listDevices(true, printNote);
    const std::string note = explainVectorWidth();
    Json all = Json::array();
    for (const host::DeviceInfo& info : devices)
        all.push_back(toJson(info));
    if (as_json)
        fmt::print(
            "{}\n",
            Json{{"version", LACUNA_VERSION_TEXT}, {"devices", all}, {"note", note}}.dump(2));
    else
        for (const Json& device : all)
            print(device);
    if (!as_json && !note.empty())
        fmt::print("{}\n", note);
    if (std::none_of(devices.begin(), devices.end(),
                     [](const auto& info) { return info.is_usable; }))
        throw Error(LACUNA_ERROR_UNSUPPORTED, devices.empty()
                                                  ? "this machine has no Vulkan device"
                                                  : "no device of this machine is usable");
}

} // namespace

void addDevices(CLI::App& app)
{
    CLI::App* const command = app.add_subcommand(
        "devices", "what each GPU can do, which tier it gets, and why not a faster one");
    const auto as_json = std::make_shared<bool>(false);
    command->add_flag("--json", *as_json, "for machines");
    command->callback([as_json] { run(*as_json); });
}

} // namespace lacuna::tool

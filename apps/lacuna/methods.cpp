// methods.cpp - `lacuna methods`: the registry, for people, for machines and for the documentation.
//
// SPDX-License-Identifier: Apache-2.0
#include "command.h"
#include "registry.h"

#include <fmt/format.h>

namespace lacuna::tool
{

using Json = nlohmann::json;

Json registry()
{
    return Json::parse(
        text([](size_t* size, char* json) { return lacunaDescribeMethods(size, json); }));
}

Json registryRow(const std::string& name)
{
    std::string known;
    for (const Json& method : registry())
    {
        if (method["name"] == name)
            return method;
        known += (known.empty() ? "" : ", ") + method["name"].get<std::string>();
    }
    throw InputError(fmt::format("there is no method '{}', expected one of {}", name, known));
}

namespace
{

std::string range(const Json& option)
{
    const std::string choices = option.value("choices", "");
    if (!option.contains("min"))
        return choices;
    return fmt::format("{}{} .. {}", choices.empty() ? "" : choices + ", ",
                       option["min"].get<double>(), option["max"].get<double>());
}

void print(const Json& method)
{
    const std::string paper = method["paper"];
    fmt::print("{}  ({})  {}{}\n", method["name"].get<std::string>(),
               method["kind"].get<std::string>(), method["title"].get<std::string>(),
               paper.empty() ? "" : "; " + paper);
    for (const Json& option : method["options"])
        fmt::print("    {:<14} {:<8} default {:<8} {:<16} {}\n", option["name"].get<std::string>(),
                   option["type"].get<std::string>(), option["default"].get<std::string>(),
                   range(option), option["meaning"].get<std::string>());
}

std::string cell(std::string text)
{
    for (size_t at = 0; (at = text.find('|', at)) != std::string::npos; at += 2)
        text.replace(at, 1, "\\|");
    return text;
}

std::string markdown(const Json& methods)
{
    std::string page =
        "# Methods\n\nMade by `lacuna methods --markdown` from the option tables that the library "
        "itself checks.\n\n| method | kind | keeps | paper |\n|---|---|---|---|\n";
    for (const Json& m : methods)
        page += fmt::format("| `{}` | {} | {} | {} |\n", m["name"].get<std::string>(),
                            m["kind"].get<std::string>(), cell(m["title"]), cell(m["paper"]));
    for (const Json& m : methods)
    {
        page += fmt::format("\n## {}\n\n", m["name"].get<std::string>());
        if (m["options"].empty())
        {
            page += "No options.\n";
            continue;
        }
        page += "| option | type | default | range | meaning |\n|---|---|---|---|---|\n";
        for (const Json& o : m["options"])
            page += fmt::format("| `{}` | {} | `{}` | {} | {} |\n", o["name"].get<std::string>(),
                                o["type"].get<std::string>(), o["default"].get<std::string>(),
                                cell(range(o)), cell(o["meaning"]));
    }
    return page;
}

struct Flags
{
    std::string name;
    bool as_json = false;
    bool as_markdown = false;
};

void run(const Flags& flags)
{
    const Json methods = flags.name.empty() ? registry() : Json::array({registryRow(flags.name)});
    if (flags.as_json)
        fmt::print("{}\n", (flags.name.empty() ? methods : methods[0]).dump(2));
    else if (flags.as_markdown)
        fmt::print("{}", markdown(methods));
    else
        for (const Json& method : methods)
            print(method);
}

} // namespace

void addMethods(CLI::App& app)
{
    CLI::App* const command =
        app.add_subcommand("methods", "the registry: options with defaults and ranges, paper");
    const auto flags = std::make_shared<Flags>();
    command->add_option("name", flags->name, "one method");
    CLI::Option* const json = command->add_flag("--json", flags->as_json, "for machines");
    command->add_flag("--markdown", flags->as_markdown, "the text of docs/methods.md")
        ->excludes(json);
    command->callback([flags] { run(*flags); });
}

} // namespace lacuna::tool

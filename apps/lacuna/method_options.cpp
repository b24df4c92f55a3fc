// method_options.cpp - the types of the registry, read as the library reads them.
//
// SPDX-License-Identifier: Apache-2.0
#include "method_options.h"

#include "errors.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <string_view>

namespace lacuna::tool
{
namespace
{

using Json = nlohmann::json;

constexpr size_t kMaxHeads = 65535; // of a plan

std::vector<std::string> split(std::string_view text, char separator)
{
    std::vector<std::string> parts;
    for (size_t begin = 0, end = 0; end != std::string_view::npos; begin = end + 1)
    {
        end = text.find(separator, begin);
        parts.emplace_back(text.substr(begin, end - begin));
    }
    return parts;
}

bool isNumber(const std::string& text, const Json& option, bool is_whole)
{
    double value = 0;
    const char* const last = text.data() + text.size();
    const auto [read, error] = std::from_chars(text.data(), last, value);
    return error == std::errc() && read == last && value >= option["min"].get<double>() &&
           value <= option["max"].get<double>() && (!is_whole || value == std::floor(value));
}

bool areChoices(const std::vector<std::string>& entries, const std::string& choices)
{
    const std::vector<std::string> known = split(choices, '|');
    return std::all_of(entries.begin(), entries.end(), [&](const std::string& entry)
                       { return std::find(known.begin(), known.end(), entry) != known.end(); });
}

} // namespace

const Json& optionRow(const Json& row, const std::string& name)
{
    std::string known;
    for (const Json& option : row["options"])
    {
        if (option["name"] == name)
            return option;
        known += (known.empty() ? "" : ", ") + option["name"].get<std::string>();
    }
    throw InputError(fmt::format("method '{}' has no option '{}', expected {}",
                                 row["name"].get<std::string>(), name,
                                 known.empty() ? "none" : "one of " + known));
}

std::optional<std::string> optionFault(const Json& option, const std::string& text)
{
    const std::string type = option["type"];
    if (type == "choice" || type == "per head")
    {
        const std::string choices = option["choices"];
        const std::optional<std::vector<std::string>> entries =
            type == "choice" ? std::vector{text} : entriesPerHead(text, kMaxHeads);
        if (entries && areChoices(*entries, choices))
            return std::nullopt;
        return "one of " + choices +
               (type == "choice" ? "" : " for all heads, or one for each, as in a,b*3");
    }
    const std::string range =
        fmt::format("{}..{}", option["min"].get<double>(), option["max"].get<double>());
    if (type == "size3")
    {
        const std::vector<std::string> parts = split(text, 'x');
        const bool are_numbers =
            std::all_of(parts.begin(), parts.end(),
                        [&](const std::string& part) { return isNumber(part, option, true); });
        if (parts.size() == 3 && are_numbers)
            return std::nullopt;
        return "FRAMESxROWSxCOLUMNS, each in " + range;
    }
    if (isNumber(text, option, type == "int"))
        return std::nullopt;
    return (type == "int" ? "a whole number in " : "a number in ") + range;
}

std::optional<std::vector<std::string>> entriesPerHead(const std::string& text, size_t most)
{
    std::vector<std::string> entries;
    for (const std::string& part : split(text, ','))
    {
        size_t count = 1;
        const size_t star = std::min(part.find('*'), part.size());
        if (star < part.size())
        {
            const char* const last = part.data() + part.size();
            const auto [read, error] = std::from_chars(part.data() + star + 1, last, count);
            if (error != std::errc() || read != last || count == 0)
                return std::nullopt;
        }
        if (count > most - entries.size())
            return std::nullopt;
        entries.insert(entries.end(), count, part.substr(0, star));
    }
    return entries;
}

std::string cutPerHead(const std::string& text, uint32_t heads, uint32_t first, uint32_t count)
{
    const std::optional<std::vector<std::string>> entries = entriesPerHead(text, heads);
    if (count == heads || !entries || entries->size() != heads)
        return text;
    std::string cut;
    for (uint32_t head = first; head < first + count; ++head)
        cut += (head == first ? "" : ",") + (*entries)[head];
    return cut;
}

} // namespace lacuna::tool

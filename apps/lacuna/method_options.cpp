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
constexpr size_t kMaxListed = 1 << 20;

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

bool isSize(const std::string& text, const Json& option)
{
    const std::vector<std::string> parts = split(text, 'x');
    return parts.size() == 3 && std::all_of(parts.begin(), parts.end(), [&](const std::string& part)
                                            { return isNumber(part, option, true); });
}

// "110/011"
bool isMap(const std::string& text)
{
    const std::vector<std::string> rows = split(text, '/');
    return std::all_of(rows.begin(), rows.end(),
                       [&](const std::string& row)
                       {
                           return !row.empty() && row.size() == rows.front().size() &&
                                  row.find_first_not_of("01") == std::string::npos;
                       });
}

// "300,200*2"
bool isList(const std::string& text, const Json& option)
{
    const std::optional<std::vector<std::string>> entries = entriesPerHead(text, kMaxListed);
    return entries && std::all_of(entries->begin(), entries->end(), [&](const std::string& entry)
                                  { return isNumber(entry, option, true); });
}

// One value of the type `kind`, that of an option or of each of its entries.
bool isValue(const std::string& kind, const std::string& text, const Json& option)
{
    if (kind == "size3")
        return isSize(text, option);
    if (kind == "int" || kind == "float")
        return isNumber(text, option, kind == "int");
    const std::vector<std::string> known = split(option["choices"].get<std::string>(), '|');
    return std::find(known.begin(), known.end(), text) != known.end() ||
           (kind == "map" && isMap(text)) || (kind == "list" && isList(text, option));
}

std::string expectation(const std::string& kind, const Json& option)
{
    if (kind == "map")
        return option["choices"].get<std::string>() +
               " or rows of 0 and 1 of one length, as in 110/011,";
    if (kind == "list")
        return fmt::format("{} or whole numbers in {}..{}, as in 300,200*2",
                           option["choices"].get<std::string>(), option["min"].get<double>(),
                           option["max"].get<double>());
    if (kind == "choice")
        return "one of " + option["choices"].get<std::string>();
    const std::string range =
        fmt::format("{}..{}", option["min"].get<double>(), option["max"].get<double>());
    if (kind == "size3")
        return "FRAMESxROWSxCOLUMNS, each in " + range;
    return (kind == "int" ? "a whole number in " : "a number in ") + range;
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

bool isPerHead(const Json& option)
{
    return option["type"].get<std::string>().ends_with("per head");
}

std::optional<std::string> optionFault(const Json& option, const std::string& text)
{
    const std::string type = option["type"];
    if (!isPerHead(option))
        return isValue(type, text, option) ? std::nullopt
                                           : std::optional(expectation(type, option));
    // "size3 per head", "map per head", and "per head" for a choice.
    const std::string kind = type == "per head" ? "choice" : type.substr(0, type.find(' '));
    const std::optional<std::vector<std::string>> entries = entriesPerHead(text, kMaxHeads);
    if (entries && std::all_of(entries->begin(), entries->end(), [&](const std::string& entry)
                               { return isValue(kind, entry, option); }))
        return std::nullopt;
    return expectation(kind, option) + " for all heads, or one for each, as in a,b*3";
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

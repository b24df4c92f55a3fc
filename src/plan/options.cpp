// options.cpp - parses {name, value} text against an option table.
//
// SPDX-License-Identifier: Apache-2.0
#include "options.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace lacuna
{
namespace
{

std::string numberText(double value)
{
    char text[32];
    std::snprintf(text, sizeof text, "%g", value);
    return text;
}

std::string expectation(const OptionDesc& desc)
{
    const std::string range = numberText(desc.min) + ".." + numberText(desc.max);
    switch (desc.type)
    {
    case OptionType::Int:
        return "a whole number in " + range;
    case OptionType::Float:
        return "a number in " + range;
    case OptionType::Size3:
        return "FRAMESxROWSxCOLUMNS, each in " + range;
    case OptionType::Choice:
        return std::string("one of ") + desc.choices;
    case OptionType::PerHead:
        return std::string("one of ") + desc.choices +
               " for all heads, or one for each, as in a,b*3";
    }
    return {};
}

// Reads one number and moves `text` behind it. NaN fails the comparison.
bool readNumber(const char*& text, const OptionDesc& desc, double& value)
{
    char* end = nullptr;
    value = std::strtod(text, &end);
    const bool is_number = end != text && value >= desc.min && value <= desc.max;
    if (desc.type != OptionType::Float && is_number && value != std::floor(value))
        return false;
    text = end;
    return is_number;
}

bool readChoice(std::string_view text, const char* choices, double& value)
{
    int index = 0;
    for (const char* c = choices; *c; ++index)
    {
        const size_t word = std::strcspn(c, "|");
        if (std::string_view(c, word) == text)
        {
            value = index;
            return true;
        }
        c += word + (c[word] == '|');
    }
    return false;
}

constexpr uint32_t kMaxHeads = 65535;

// "a,b*3"
bool readPerHead(std::string_view text, const char* choices, std::vector<uint32_t>& heads)
{
    heads.clear();
    for (bool is_last = false; !is_last;)
    {
        const size_t end = std::min(text.find(','), text.size());
        std::string_view entry = text.substr(0, end);
        is_last = end == text.size();
        text.remove_prefix(is_last ? end : end + 1);

        uint32_t count = 1;
        if (const size_t star = entry.find('*'); star != entry.npos)
        {
            const char* const last = entry.data() + entry.size();
            const auto [read, error] = std::from_chars(entry.data() + star + 1, last, count);
            if (error != std::errc() || read != last || count == 0)
                return false;
            entry = entry.substr(0, star);
        }
        double choice = 0;
        if (!readChoice(entry, choices, choice) || count > kMaxHeads - heads.size())
            return false;
        heads.insert(heads.end(), count, uint32_t(choice));
    }
    return true;
}

bool readValue(const char* text, const OptionDesc& desc, OptionValue& result)
{
    double (&value)[3] = result.v;
    if (desc.type == OptionType::PerHead)
        return readPerHead(text, desc.choices, result.heads);
    if (desc.type == OptionType::Choice)
        return readChoice(text, desc.choices, value[0]);
    const int numbers = desc.type == OptionType::Size3 ? 3 : 1;
    for (int i = 0; i < numbers; ++i)
    {
        if (i > 0 && *text++ != 'x')
            return false;
        if (!readNumber(text, desc, value[i]))
            return false;
    }
    return *text == '\0';
}

std::string knownNames(std::span<const OptionDesc> table)
{
    std::string names;
    for (const OptionDesc& desc : table)
        names += (names.empty() ? "" : ", ") + std::string(desc.name);
    return names.empty() ? "none" : names;
}

} // namespace

bool parseOptions(std::span<const OptionDesc> table, std::span<const LacunaOption> given, const char* owner,
                  Options& options, std::string& sentence)
{
    options.values_.assign(table.size(), {});
    options.given_.assign(table.size(), false);
    for (size_t i = 0; i < table.size(); ++i)
        readValue(table[i].fallback, table[i], options.values_[i]);

    for (const LacunaOption& option : given)
    {
        const char* name = option.name ? option.name : "";
        size_t i = 0;
        while (i < table.size() && std::strcmp(table[i].name, name) != 0)
            ++i;
        if (i == table.size())
        {
            sentence = std::string(owner) + " has no option '" + name + "'; known: " + knownNames(table);
            return false;
        }
        if (options.given_[i])
        {
            sentence = "option '" + std::string(name) + "' of " + owner + " is given twice";
            return false;
        }
        const char* value = option.value ? option.value : "";
        if (!readValue(value, table[i], options.values_[i]))
        {
            sentence = "option '" + std::string(name) + "' of " + owner + " is '" + value + "', expected " +
                       expectation(table[i]);
            return false;
        }
        options.given_[i] = true;
    }
    return true;
}

std::string_view choiceName(const OptionDesc& desc, uint32_t index)
{
    std::string_view rest = desc.choices;
    for (; index > 0; --index)
        rest.remove_prefix(rest.find('|') + 1);
    return rest.substr(0, rest.find('|'));
}

} // namespace lacuna

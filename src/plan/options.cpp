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
    std::snprintf(text, sizeof text, "%.10g", value);
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
    case OptionType::List:
        return std::string(desc.choices) + " or whole numbers in " + range + ", as in 300,200*2";
    case OptionType::PerHead:
        return std::string("one of ") + desc.choices +
               " for all heads, or one for each, as in a,b*3";
    case OptionType::PerHeadSize3:
        return "FRAMESxROWSxCOLUMNS, each in " + range +
               ", for all heads, or one for each, as in a,b*3";
    case OptionType::PerHeadMap:
        return std::string(desc.choices) +
               " or rows of 0 and 1 of one length, as in 110/011, for all heads, or one for each, "
               "as in a,b*3";
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

// "4x4x4" for three.
bool readNumbers(const char* text, const OptionDesc& desc, int count, double (&values)[3])
{
    for (int i = 0; i < count; ++i)
    {
        if (i > 0 && *text++ != 'x')
            return false;
        if (!readNumber(text, desc, values[i]))
            return false;
    }
    return *text == '\0';
}

bool readSize(OptionValue::Entry& entry, const OptionDesc& desc)
{
    double size[3] = {};
    if (!readNumbers(entry.text.c_str(), desc, 3, size))
        return false;
    entry.size = {uint32_t(size[0]), uint32_t(size[1]), uint32_t(size[2])};
    return true;
}

// "110/011": rows of the same length.
bool readMap(std::string_view text, BlockMap& map)
{
    map.columns = uint32_t(std::min(text.find('/'), text.size()));
    for (bool is_last = false; !is_last; ++map.rows)
    {
        const std::string_view row = text.substr(0, text.find('/'));
        is_last = row.size() == text.size();
        text.remove_prefix(is_last ? row.size() : row.size() + 1);
        if (row.empty() || row.size() != map.columns)
            return false;
        for (const char cell : row)
        {
            if (cell != '0' && cell != '1')
                return false;
            map.cells.push_back(cell == '1');
        }
    }
    return true;
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
constexpr uint32_t kMaxListed = 1 << 20;

// The index of `entry` in `value`, which gets it when it is new; -1: it cannot be read.
int64_t readEntry(std::string_view text, const OptionDesc& desc, OptionValue& value)
{
    if (desc.type == OptionType::PerHead)
    {
        double choice = 0;
        return readChoice(text, desc.choices, choice) ? int64_t(choice) : -1;
    }
    for (size_t i = 0; i < value.entries.size(); ++i)
        if (value.entries[i].text == text)
            return int64_t(i);
    OptionValue::Entry entry;
    entry.text = text;
    double choice = 0;
    if (desc.type == OptionType::PerHeadSize3 ? !readSize(entry, desc)
                                              : !readChoice(text, desc.choices, choice) &&
                                                    !readMap(text, entry.map))
        return -1;
    value.entries.push_back(std::move(entry));
    return int64_t(value.entries.size()) - 1;
}

// A whole number, all of it.
bool readWhole(std::string_view text, uint32_t& number)
{
    const char* const last = text.data() + text.size();
    const auto [read, error] = std::from_chars(text.data(), last, number);
    return error == std::errc() && read == last;
}

// "a,b*3": calls add(entry, count), false when it cannot be read.
template <typename Add>
bool readEntries(std::string_view text, const Add& add)
{
    for (bool is_last = false; !is_last;)
    {
        const size_t end = std::min(text.find(','), text.size());
        const std::string_view entry = text.substr(0, end);
        is_last = end == text.size();
        text.remove_prefix(is_last ? end : end + 1);

        uint32_t count = 1;
        const size_t star = entry.find('*');
        if (star != entry.npos && (!readWhole(entry.substr(star + 1), count) || count == 0))
            return false;
        if (!add(entry.substr(0, star), count))
            return false;
    }
    return true;
}

bool readPerHead(std::string_view text, const OptionDesc& desc, OptionValue& value)
{
    value.heads.clear();
    value.entries.clear();
    return readEntries(text,
                       [&](std::string_view entry, uint32_t count)
                       {
                           const int64_t index = readEntry(entry, desc, value);
                           if (index < 0 || count > kMaxHeads - value.heads.size())
                               return false;
                           value.heads.insert(value.heads.end(), count, uint32_t(index));
                           return true;
                       });
}

bool readList(std::string_view text, const OptionDesc& desc, OptionValue& value)
{
    value.list.clear();
    if (readChoice(text, desc.choices, value.v[0]))
        return true;
    return readEntries(text,
                       [&](std::string_view entry, uint32_t count)
                       {
                           uint32_t number = 0;
                           if (!readWhole(entry, number) || number < desc.min ||
                               number > desc.max || count > kMaxListed - value.list.size())
                               return false;
                           value.list.insert(value.list.end(), count, number);
                           return true;
                       });
}

bool readValue(const char* text, const OptionDesc& desc, OptionValue& result)
{
    if (isPerHead(desc.type))
        return readPerHead(text, desc, result);
    if (desc.type == OptionType::List)
        return readList(text, desc, result);
    if (desc.type == OptionType::Choice)
        return readChoice(text, desc.choices, result.v[0]);
    return readNumbers(text, desc, desc.type == OptionType::Size3 ? 3 : 1, result.v);
}

std::string knownNames(std::span<const OptionDesc> table)
{
    std::string names;
    for (const OptionDesc& desc : table)
        names += (names.empty() ? "" : ", ") + std::string(desc.name);
    return names.empty() ? "none" : names;
}

} // namespace

bool isPerHead(OptionType type)
{
    return type == OptionType::PerHead || type == OptionType::PerHeadSize3 ||
           type == OptionType::PerHeadMap;
}

bool BlockMap::meets(uint32_t i, uint32_t query_blocks, uint32_t j, uint32_t key_blocks) const
{
    const auto first = [](uint64_t block, uint64_t blocks, uint64_t parts)
    {
        return block * parts / blocks;
    };
    const auto end = [](uint64_t block, uint64_t blocks, uint64_t parts)
    {
        return ((block + 1) * parts + blocks - 1) / blocks;
    };
    for (uint64_t row = first(i, query_blocks, rows); row < end(i, query_blocks, rows); ++row)
        for (uint64_t column = first(j, key_blocks, columns); column < end(j, key_blocks, columns);
             ++column)
            if (cells[row * columns + column])
                return true;
    return false;
}

Options Options::ofHeads(uint32_t first, uint32_t count) const
{
    Options cut = *this;
    for (OptionValue& value : cut.values_)
    {
        if (value.heads.size() <= 1)
            continue;
        value.heads = std::vector(value.heads.begin() + first, value.heads.begin() + first + count);
        if (value.entries.empty())
            continue;
        // Methods do something for each entry: those of other heads go.
        std::vector<OptionValue::Entry> used;
        std::vector<uint32_t> place(value.entries.size(), ~0u);
        for (uint32_t& head : value.heads)
        {
            if (place[head] == ~0u)
            {
                place[head] = uint32_t(used.size());
                used.push_back(value.entries[head]);
            }
            head = place[head];
        }
        value.entries = std::move(used);
    }
    return cut;
}

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

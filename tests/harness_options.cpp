// harness_options.cpp - values at the ends of the ranges, ragged ones, and random ones.
//
// SPDX-License-Identifier: Apache-2.0
#include "harness_options.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

namespace lacuna::test
{
namespace
{

std::string choiceText(const OptionDesc& option, uint32_t choice)
{
    return std::string(choiceName(option, choice));
}

std::vector<std::string> choicesOf(const OptionDesc& option)
{
    std::vector<std::string> values;
    const uint32_t last = option.type == OptionType::List ? 0 : uint32_t(option.max);
    for (uint32_t choice = 0; choice <= last; ++choice)
        values.push_back(choiceText(option, choice));
    if (option.type == OptionType::PerHeadMap)
        values.insert(values.end(), {"1", "10/01", "0110000/1000001/0001100"});
    return values;
}

std::string numberText(const OptionDesc& option, double value)
{
    char text[32];
    std::snprintf(text, sizeof text, "%.9g", value);
    const std::string one = text;
    const bool is_size =
        option.type == OptionType::Size3 || option.type == OptionType::PerHeadSize3;
    return is_size ? one + "x" + one + "x" + one : one;
}

// Every choice, or both ends of the range.
std::vector<std::string> ends(const OptionDesc& option)
{
    if (option.choices)
        return choicesOf(option);
    std::vector<std::string> values = {numberText(option, option.min)};
    if (option.max > option.min)
        values.push_back(numberText(option, option.max));
    return values;
}

// Each value in turn, the last one first.
std::string valuesInTurn(std::vector<std::string> values, uint32_t q_heads)
{
    std::string list;
    for (uint32_t head = 0; head < q_heads; ++head)
        list += (head == 0 ? "" : ",") + *(values.rbegin() + head % values.size());
    return list;
}

// Empty for a choice.
std::string oddValue(const OptionDesc& option, uint32_t q_heads)
{
    switch (option.type)
    {
    case OptionType::Int:
        return option.min == 0 ? "1" : "13";
    case OptionType::Float:
        return "0.4";
    case OptionType::Size3:
        return std::strcmp(option.name, "tile") == 0 ? "2x3x4" : "2x1x3";
    case OptionType::Choice:
    case OptionType::List:
        return {};
    case OptionType::PerHead:
    case OptionType::PerHeadMap:
        return valuesInTurn(choicesOf(option), q_heads);
    case OptionType::PerHeadSize3:
        return valuesInTurn({"3x1x1", "1x3x3", "2x1x3"}, q_heads);
    }
    return {};
}

std::string randomMap(Rng& rng)
{
    const int rows = 1 + rng.below(7), columns = 1 + rng.below(7);
    std::string map;
    for (int i = 0; i < rows; ++i)
        for (int j = 0; j < columns; ++j)
        {
            map += i > 0 && j == 0 ? "/" : "";
            map += rng.below(3) == 0 ? "1" : "0";
        }
    return map;
}

template <typename F>
std::string listOf(uint32_t q_heads, const F& value)
{
    std::string list = value();
    for (uint32_t head = 1; head < q_heads; ++head)
        list += "," + value();
    return list;
}

} // namespace

std::vector<OptionValues> optionSweep(const Method& method, uint32_t q_heads)
{
    std::vector<OptionValues> sweep = {{}};
    OptionValues odd;
    for (const OptionDesc& option : method.options)
    {
        for (const std::string& value : ends(option))
            sweep.push_back({{option.name, value}});
        const std::string value = oddValue(option, q_heads);
        if (!value.empty())
            odd.push_back({option.name, value});
    }
    if (!odd.empty())
        sweep.push_back(odd);
    return sweep;
}

std::string randomValue(const OptionDesc& option, uint32_t q_heads, Rng& rng)
{
    const auto number = [&](int limit)
    {
        return int(option.min) + rng.below(std::min(int(option.max - option.min), limit) + 1);
    };
    const auto size = [&]
    {
        const int t = number(3), h = number(5), w = number(6);
        return std::to_string(t) + "x" + std::to_string(h) + "x" + std::to_string(w);
    };
    const auto choice = [&]
    {
        return choiceText(option, uint32_t(rng.below(int(option.max) + 1)));
    };
    switch (option.type)
    {
    case OptionType::Int:
        return std::to_string(number(rng.below(2) == 0 ? 3 : 40));
    case OptionType::Float:
        return std::to_string(option.min + rng.uniform() * (option.max - option.min));
    case OptionType::Size3:
        return size();
    case OptionType::Choice:
        return choice();
    case OptionType::List: // numbers would have to suit the shape
        return choiceText(option, 0);
    case OptionType::PerHead:
        return listOf(q_heads, choice);
    case OptionType::PerHeadSize3:
        return listOf(q_heads, size);
    case OptionType::PerHeadMap:
        return listOf(q_heads, [&] { return rng.below(3) == 0 ? choice() : randomMap(rng); });
    }
    return {};
}

} // namespace lacuna::test

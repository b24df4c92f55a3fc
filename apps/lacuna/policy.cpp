// policy.cpp - rules in, the choice of every head out.
//
// SPDX-License-Identifier: Apache-2.0
#include "policy.h"

#include "errors.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

namespace lacuna::tool
{
namespace
{

bool holds(const std::vector<IndexRange>& ranges, uint32_t index, uint32_t count)
{
    return ranges.empty() || std::any_of(ranges.begin(), ranges.end(), [&](const IndexRange& range)
                                         { return range.holds(index, count); });
}

bool areSame(const HeadChoice& a, const HeadChoice& b)
{
    return a.method == b.method && a.options == b.options;
}

} // namespace

std::string HeadChoice::name() const
{
    std::string text = method;
    for (const auto& [option, value] : options)
        text += " " + option + "=" + value;
    return text;
}

bool IndexRange::holds(uint32_t index, uint32_t count) const
{
    if (!is_percent)
        return index >= first && index <= last;
    const double percent = 100.0 * index / count;
    return percent >= first && percent < last;
}

void Policy::add(PolicyRule rule, HeadChoice choice)
{
    const auto same = std::find_if(choices_.begin(), choices_.end(),
                                   [&](const HeadChoice& other) { return areSame(other, choice); });
    rule.choice = uint32_t(same - choices_.begin());
    if (same == choices_.end())
        choices_.push_back(std::move(choice));
    rules_.push_back(std::move(rule));
}

void Policy::addDense(uint32_t first_steps, uint32_t first_layers)
{
    PolicyRule steps, layers;
    steps.steps.push_back({0, double(first_steps) - 1, false, "--dense-steps"});
    layers.layers.push_back({0, double(first_layers) - 1, false, "--dense-layers"});
    if (first_steps > 0)
        add(std::move(steps), {});
    if (first_layers > 0)
        add(std::move(layers), {});
}

void Policy::checkRange(const IndexRange& range, uint32_t count) const
{
    if (range.is_percent && count == 0)
        throw InputError(fmt::format("{} is a percentage and the number of steps is not known, "
                                     "expected --steps, or \"steps\" in the file",
                                     range.where));
    if (range.is_percent || count == 0)
        return;
    const bool is_open = range.last == std::numeric_limits<double>::infinity();
    const double largest = is_open ? range.first : range.last;
    if (largest >= count)
        throw InputError(
            fmt::format("{} names {}, expected 0..{}", range.where, largest, count - 1));
}

void Policy::bind(const PolicySizes& sizes)
{
    sizes_ = sizes;
    struct Axis
    {
        const char* name;
        uint32_t stated;
        uint32_t& size;
        std::vector<IndexRange> PolicyRule::* ranges;
    };
    for (const Axis& axis : {Axis{"steps", stated_.steps, sizes_.steps, &PolicyRule::steps},
                             {"layers", stated_.layers, sizes_.layers, &PolicyRule::layers},
                             {"heads", stated_.heads, sizes_.heads, &PolicyRule::heads}})
    {
        if (axis.stated != 0 && axis.size != 0 && axis.stated != axis.size)
            throw InputError(fmt::format("{}: {} is {}, expected {}: what is to run has so many",
                                         path_, axis.name, axis.stated, axis.size));
        axis.size = std::max(axis.size, axis.stated);
        for (const PolicyRule& rule : rules_)
            for (const IndexRange& range : rule.*axis.ranges)
                checkRange(range, axis.size);
    }
}

std::vector<uint32_t> Policy::choicesOf(uint32_t step, uint32_t layer) const
{
    std::vector<uint32_t> choices(sizes_.heads);
    for (const PolicyRule& rule : rules_)
    {
        if (!holds(rule.steps, step, sizes_.steps) || !holds(rule.layers, layer, sizes_.layers))
            continue;
        for (uint32_t head = 0; head < sizes_.heads; ++head)
            if (holds(rule.heads, head, sizes_.heads))
                choices[head] = rule.choice;
    }
    return choices;
}

bool Policy::isDense(uint32_t step, uint32_t layer) const
{
    const std::vector<uint32_t> choices = choicesOf(step, layer);
    return std::all_of(choices.begin(), choices.end(),
                       [&](uint32_t choice) { return choices_[choice].isDense(); });
}

bool Policy::isDense(uint32_t step) const
{
    for (uint32_t layer = 0; layer < sizes_.layers; ++layer)
        if (!isDense(step, layer))
            return false;
    return true;
}

uint32_t Policy::denseSteps() const
{
    uint32_t steps = 0;
    while (steps < sizes_.steps && isDense(steps))
        ++steps;
    return steps;
}

} // namespace lacuna::tool

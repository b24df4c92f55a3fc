// choice.cpp - what the environment and the table of tuned tiles say of a plan.
//
// SPDX-License-Identifier: Apache-2.0
#include "choice.h"

#include <algorithm>
#include <cstdlib>
#include <iterator>

namespace lacuna::host
{
namespace
{

std::string environment(const char* name)
{
    const char* const value = std::getenv(name);
    return value ? value : "";
}

constexpr const char* kTiers[] = {"auto", "scalar", "coopmat", "coopmat2"}; // by LacunaTier

LacunaTier parseTier(const std::string& text)
{
    const std::optional<LacunaTier> tier = tierNamed(text);
    if (!tier || *tier == LACUNA_TIER_AUTO)
        throw Error(LACUNA_ERROR_INVALID_ARGUMENT,
                    "LACUNA_TIER is '" + text + "', expected scalar, coopmat or coopmat2");
    return *tier;
}

} // namespace

const char* tierName(LacunaTier tier)
{
    return kTiers[tier];
}

std::optional<LacunaTier> tierNamed(std::string_view name)
{
    const auto found = std::find(std::begin(kTiers), std::end(kTiers), name);
    if (found == std::end(kTiers))
        return {};
    return LacunaTier(found - std::begin(kTiers));
}

std::vector<std::pair<std::string, std::string>> parseTile(const std::string& text,
                                                           const std::string& source)
{
    std::vector<std::pair<std::string, std::string>> pairs;
    if (text.empty())
        return pairs;
    for (size_t begin = 0; begin <= text.size();)
    {
        const size_t end = std::min(text.find(',', begin), text.size());
        const std::string part = text.substr(begin, end - begin);
        const size_t equals = part.find('=');
        if (equals == 0 || equals == std::string::npos || equals + 1 == part.size())
            throw Error(LACUNA_ERROR_INVALID_ARGUMENT,
                        source + " is '" + text + "', expected name=value, joined by commas");
        pairs.push_back({part.substr(0, equals), part.substr(equals + 1)});
        begin = end + 1;
    }
    return pairs;
}

Choice::Choice(const LacunaPlanDesc& desc, const TunedTiles& tuned) : desc_(desc)
{
    if (desc.tier != LACUNA_TIER_AUTO || desc.tuning_count != 0)
        return;
    const std::string tier = environment("LACUNA_TIER"), tile = environment("LACUNA_TILE");
    if (tier.empty() && tile.empty())
    {
        const TunedTile* const best = tuned.find(desc.dtype, desc.head_dim);
        if (best && desc.sums == LACUNA_SUMS_F32) // what was tuned
        {
            desc_.tier = best->tier;
            setTile(best->tuning, "the tuned tile");
            chosen_by_ = "lacuna tune on " + best->date;
        }
    }
    else
    {
        if (!tier.empty())
        {
            desc_.tier = parseTier(tier);
            chosen_by_ = "LACUNA_TIER=" + tier;
        }
        if (!tile.empty())
        {
            setTile(tile, "LACUNA_TILE");
            chosen_by_ += (chosen_by_.empty() ? "LACUNA_TILE=" : " LACUNA_TILE=") + tile;
        }
    }
    desc_.chosen_by = chosen_by_.empty() ? nullptr : chosen_by_.c_str();
}

void Choice::setTile(const std::string& text, const char* source)
{
    pairs_ = parseTile(text, source);
    for (const auto& [name, value] : pairs_)
        tuning_.push_back({name.c_str(), value.c_str()});
    desc_.tuning = tuning_.data();
    desc_.tuning_count = uint32_t(tuning_.size());
}

} // namespace lacuna::host

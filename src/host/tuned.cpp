// tuned.cpp - the file of tuned tiles: the identity, then one line a tile, words between tabs.
//
// SPDX-License-Identifier: Apache-2.0
#include "tuned.h"

#include "cache.h"

#include <algorithm>
#include <sstream>

namespace lacuna::host
{
void TunedTiles::read(const std::string& cache_key, const std::string& identity)
{
    tiles_.clear();
    const auto bytes = readCache("tune-" + cache_key);
    if (!bytes)
        return;
    const std::string file(reinterpret_cast<const char*>(bytes->data()), bytes->size());
    if (!file.starts_with(identity + "\n"))
        return;
    std::istringstream lines(file.substr(identity.size() + 1));
    for (std::string line; std::getline(lines, line);)
    {
        std::istringstream words(line);
        std::string dtype, head_dim, tier, date, tuning;
        for (std::string* const word : {&dtype, &head_dim, &tier, &date, &tuning})
            std::getline(words, *word, '\t');
        if (!date.empty())
            tiles_.push_back({dtype == "f16" ? LACUNA_DTYPE_F16 : LACUNA_DTYPE_F32,
                              uint32_t(std::stoul(head_dim)),
                              tierNamed(tier).value_or(LACUNA_TIER_AUTO), tuning, date});
    }
}

void TunedTiles::write(const std::string& cache_key, const std::string& identity) const
{
    std::string file = identity + "\n";
    for (const TunedTile& tile : tiles_)
        file += std::string(tile.dtype == LACUNA_DTYPE_F16 ? "f16" : "f32") + "\t" +
                std::to_string(tile.head_dim) + "\t" + tierName(tile.tier) + "\t" + tile.date +
                "\t" + tile.tuning + "\n";
    writeCache("tune-" + cache_key, std::as_bytes(std::span(file)));
}

const TunedTile* TunedTiles::find(LacunaDtype dtype, uint32_t head_dim) const
{
    const auto found = std::find_if(tiles_.begin(), tiles_.end(),
                                    [&](const TunedTile& tile)
                                    { return tile.dtype == dtype && tile.head_dim == head_dim; });
    return found == tiles_.end() ? nullptr : &*found;
}

void TunedTiles::set(const TunedTile& tile)
{
    std::erase_if(tiles_, [&](const TunedTile& other)
                  { return other.dtype == tile.dtype && other.head_dim == tile.head_dim; });
    tiles_.push_back(tile);
}

} // namespace lacuna::host

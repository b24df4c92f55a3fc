// tuned.h - the tiles that `lacuna tune` found fastest on one device, kept between runs.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <lacuna/host.hpp>

#include <string>
#include <vector>

namespace lacuna::host
{

struct TunedTile
{
    LacunaDtype dtype;
    uint32_t head_dim;
    LacunaTier tier;    // AUTO: the one that the device gets by itself
    std::string tuning; // "rows_per_lane=2,keys=8", empty: the library's default of the tier
    std::string date;   // 2026-11-21
};

class TunedTiles
{
public:
    // Those of the file "tune-<cache_key>"; none where another device, driver or library wrote it,
    // which is what `identity` tells.
    void read(const std::string& cache_key, const std::string& identity);
    void write(const std::string& cache_key, const std::string& identity) const;

    const TunedTile* find(LacunaDtype dtype, uint32_t head_dim) const; // null: not tuned
    void set(const TunedTile& tile);

private:
    std::vector<TunedTile> tiles_;
};

} // namespace lacuna::host

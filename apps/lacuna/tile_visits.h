// tile_visits.h - how many tiles of keys a kernel visits for what a method keeps.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <lacuna/host.hpp>

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace lacuna::tool
{

// Frames, rows, columns.
using Box = std::array<uint32_t, 3>;

// Pairs of a tile of queries and a tile of keys.
struct TileVisits
{
    uint64_t visited = 0; // in all heads
    uint64_t all = 0;     // what dense attention visits, in all heads
    uint64_t q_tiles = 0; // in all heads
    uint64_t pairs = 0;   // (query, key) pairs in one pair of full tiles

    double share() const { return double(visited) / double(all); }
    double speedup() const { return double(all) / double(visited); }
};

// Tiles of `q_run` queries and `k_run` keys that end where a row and a span of the list end, as
// Lacuna's kernels walk it. `list_rows` are the borders of its rows, LacunaList::row_borders.
TileVisits countRuns(const host::Attention::Kept& kept, std::span<const uint32_t> list_rows,
                     uint32_t q_run, uint32_t k_run);

// A number for each token of a video, the same for those of one tile.
struct Tiling
{
    std::vector<uint32_t> tile; // of each token, in the caller's order
    uint32_t count = 0;
    uint32_t tokens = 0; // of a full tile
};
// Boxes of the video, ragged at its borders. With a dilation a box has tokens at that distance, as
// neighborhood attention sees them. Text is cut into runs of as many tokens.
Tiling boxTiling(const LacunaVideoGrid& grid, const Box& box, const Box& dilation);

// Kernels that put the tokens of a tile side by side and visit whole tiles. Throws InputError when
// there are too many tiles to count.
TileVisits countBoxes(const host::Attention::Kept& kept, const Tiling& queries, const Tiling& keys);

// (query, key) pairs in all heads.
uint64_t keptPairs(const host::Attention::Kept& kept);

} // namespace lacuna::tool

// box_list.cpp - cuts both sides into tiles, and chooses those with which a kernel computes least.
//
// SPDX-License-Identifier: Apache-2.0
#include "box_list.h"

#include <algorithm>
#include <bit>

namespace lacuna
{
namespace
{

constexpr double kRowKeys = 16;    // what a row costs beside its keys, as keys
constexpr double kMaskedPair = 1.1; // a pair that is tested, compared to one that is not

// An axis cut into tiles of at most `size` places: where they begin, and the end.
std::vector<uint32_t> cut(const BoxAxis& axis, uint32_t size)
{
    const uint32_t length = uint32_t(axis.coordinates.size());
    std::vector<uint32_t> borders;
    for (size_t part = 0; part < axis.parts.size(); ++part)
    {
        const uint32_t end = part + 1 < axis.parts.size() ? axis.parts[part + 1] : length;
        for (uint32_t begin = axis.parts[part]; begin < end; begin += size)
            borders.push_back(begin);
    }
    borders.push_back(length);
    return borders;
}

// What the queries of one tile of an axis keep, in whole tiles of keys.
struct Reach
{
    uint32_t first, end;         // tiles
    uint32_t keys_begin, keys_end; // the same as places
    bool is_exact;
};

std::vector<Reach> reachOf(const BoxAxis& axis, uint32_t query_size, uint32_t key_size)
{
    const std::vector<uint32_t> queries = cut(axis, query_size), keys = cut(axis, key_size);
    std::vector<Reach> reach;
    for (size_t i = 0; i + 1 < queries.size(); ++i)
    {
        KeySpan kept = axis.kept[queries[i]];
        bool is_same = true;
        for (uint32_t place = queries[i]; place < queries[i + 1]; ++place)
        {
            is_same &= axis.kept[place] == axis.kept[queries[i]];
            kept.begin = std::min(kept.begin, axis.kept[place].begin);
            kept.end = std::max(kept.end, axis.kept[place].end);
        }
        const auto first = std::upper_bound(keys.begin(), keys.end(), kept.begin) - 1;
        const auto end = std::lower_bound(keys.begin(), keys.end(), kept.end);
        reach.push_back({uint32_t(first - keys.begin()), uint32_t(end - keys.begin()), *first, *end,
                         is_same && *first == kept.begin && *end == kept.end});
    }
    return reach;
}

// Sums over the tiles of queries of one axis.
struct AxisCost
{
    double tiles = 0;     // of keys
    double rows = 0;      // of queries
    bool is_exact = true;
};

AxisCost sumOf(const std::vector<Reach>& reach)
{
    AxisCost cost;
    cost.rows = double(reach.size());
    for (const Reach& r : reach)
    {
        cost.tiles += r.end - r.first;
        cost.is_exact &= r.is_exact;
    }
    return cost;
}

// Keys of the steps over the columns, where a column is `depth` keys.
double stepKeys(const std::vector<Reach>& reach, uint64_t depth, uint32_t step)
{
    double keys = 0;
    for (const Reach& r : reach)
        keys += double(((r.keys_end - r.keys_begin) * depth + step - 1) / step * step);
    return keys;
}

BoxCost combine(const AxisCost& t, const AxisCost& h, const AxisCost& w, double step_keys,
                uint64_t queries, uint32_t tile_rows)
{
    BoxCost cost;
    const double rows = t.rows * h.rows * w.rows;
    const double query_rows = double((queries + tile_rows - 1) / tile_rows * tile_rows);
    cost.spans = uint64_t(t.tiles * h.tiles * w.rows);
    cost.is_exact = t.is_exact && h.is_exact && w.is_exact;
    cost.pairs = query_rows * (t.tiles * h.tiles * step_keys + rows * kRowKeys);
    return cost;
}

// Sizes of tiles that are worth a look.
std::vector<uint32_t> sizesOf(const BoxAxis& axis)
{
    const uint32_t length = uint32_t(axis.coordinates.size());
    std::vector<uint32_t> sizes = {length};
    for (uint32_t size = 1; size < length; size *= 2)
        sizes.push_back(size);
    for (uint32_t size : {axis.stride, 2 * axis.stride})
        sizes.push_back(std::min(size, length));
    std::sort(sizes.begin(), sizes.end());
    sizes.erase(std::unique(sizes.begin(), sizes.end()), sizes.end());
    return sizes;
}

// What the sizes of both tiles cost on one axis, by their indices.
using AxisTable = std::vector<std::vector<AxisCost>>;

AxisTable tableOf(const BoxAxis& axis, const std::vector<uint32_t>& sizes)
{
    AxisTable table;
    for (const uint32_t query_size : sizes)
    {
        table.emplace_back();
        for (const uint32_t key_size : sizes)
            table.back().push_back(sumOf(reachOf(axis, query_size, key_size)));
    }
    return table;
}

// The best tiles so far.
struct Choice
{
    BoxTiles tiles = {{1, 1, 1}, {1, 1, 1}};
    double pairs = 0;

    void offer(const BoxTiles& offered, const BoxCost& cost)
    {
        const double offered_pairs = cost.pairs * (cost.is_exact ? 1 : kMaskedPair);
        if (pairs != 0 && offered_pairs >= pairs)
            return;
        pairs = offered_pairs;
        tiles = offered;
    }
};

// The word of a key, and of the ends of a box: see KeyBounds.
struct PlaceFormat
{
    uint32_t h_shift = 0, t_shift = 0, guard = 0;

    explicit PlaceFormat(const BoxAxes& axes)
    {
        const auto bits = [&](size_t axis)
        {
            return uint32_t(std::bit_width(axes[axis].coordinates.size() - 1));
        };
        h_shift = bits(2) + 1;
        t_shift = h_shift + bits(1) + 1;
        guard = 1u << bits(2) | 1u << (h_shift + bits(1)) | 1u << (t_shift + bits(0));
    }
    uint32_t pack(uint32_t t, uint32_t h, uint32_t w) const
    {
        return t << t_shift | h << h_shift | w;
    }
};

// Calls f(t, h, w) for each place of each tile, tile after tile, and tile_end() behind each.
template <typename Place, typename TileEnd>
void eachPlace(const std::array<std::vector<uint32_t>, 3>& borders, const Place& f,
               const TileEnd& tile_end)
{
    const auto& [bt, bh, bw] = borders;
    for (size_t it = 0; it + 1 < bt.size(); ++it)
        for (size_t ih = 0; ih + 1 < bh.size(); ++ih)
            for (size_t iw = 0; iw + 1 < bw.size(); ++iw)
            {
                for (uint32_t t = bt[it]; t < bt[it + 1]; ++t)
                    for (uint32_t h = bh[ih]; h < bh[ih + 1]; ++h)
                        for (uint32_t w = bw[iw]; w < bw[iw + 1]; ++w)
                            f(t, h, w);
                tile_end();
            }
}

VideoOrder orderOf(const VideoGrid& grid, const BoxAxes& axes, const Size3& tile)
{
    std::vector<uint32_t> curve, sizes;
    uint32_t begin = 0;
    eachPlace({cut(axes[0], tile.t), cut(axes[1], tile.h), cut(axes[2], tile.w)},
              [&](uint32_t t, uint32_t h, uint32_t w)
              {
                  curve.push_back((axes[0].coordinates[t] * grid.size.h + axes[1].coordinates[h]) *
                                      grid.size.w +
                                  axes[2].coordinates[w]);
              },
              [&]
              {
                  sizes.push_back(uint32_t(curve.size()) - begin);
                  begin = uint32_t(curve.size());
              });
    return videoOrder(grid, curve, sizes);
}

KeySpans spansOf(const VideoGrid& grid, const BoxAxes& axes, const BoxTiles& tiles,
                 const VideoOrder& keys)
{
    const uint32_t all_keys = uint32_t(grid.tokens());
    const std::vector<Reach> reach_t = reachOf(axes[0], tiles.queries.t, tiles.keys.t),
                             reach_h = reachOf(axes[1], tiles.queries.h, tiles.keys.h),
                             reach_w = reachOf(axes[2], tiles.queries.w, tiles.keys.w);
    const size_t tiles_h = cut(axes[1], tiles.keys.h).size() - 1,
                 tiles_w = cut(axes[2], tiles.keys.w).size() - 1;
    KeySpans spans;
    if (grid.text_before > 0)
        spans.append({{0, all_keys}});
    std::vector<KeySpan> row;
    for (const Reach& t : reach_t)
        for (const Reach& h : reach_h)
            for (const Reach& w : reach_w)
            {
                row.clear();
                if (grid.text_before > 0)
                    row.push_back({0, grid.text_before});
                for (uint32_t it = t.first; it < t.end; ++it)
                    for (uint32_t ih = h.first; ih < h.end; ++ih)
                    {
                        const size_t first = keys.first_block + (it * tiles_h + ih) * tiles_w;
                        row.push_back({keys.borders[first + w.first], keys.borders[first + w.end]});
                    }
                if (grid.text_after > 0)
                    row.push_back({all_keys - grid.text_after, all_keys});
                spans.append(row);
            }
    if (grid.text_after > 0)
        spans.append({{0, all_keys}});
    return spans;
}

KeyBounds boundsOf(const VideoGrid& grid, const BoxAxes& axes, const BoxTiles& tiles)
{
    const PlaceFormat format(axes);
    const auto box = [&](const KeySpan& t, const KeySpan& h, const KeySpan& w)
    {
        return KeyBox{format.pack(t.begin, h.begin, w.begin),
                      format.pack(t.end - 1, h.end - 1, w.end - 1) + 2 * format.guard};
    };
    const KeyBox everything = box({0, grid.size.t}, {0, grid.size.h}, {0, grid.size.w});
    KeyBounds bounds;
    bounds.guard = format.guard;
    bounds.boxes.assign(grid.text_before, everything);
    bounds.places.assign(grid.text_before, 0);
    const Size3 &q = tiles.queries, &k = tiles.keys;
    eachPlace({cut(axes[0], q.t), cut(axes[1], q.h), cut(axes[2], q.w)},
              [&](uint32_t t, uint32_t h, uint32_t w)
              { bounds.boxes.push_back(box(axes[0].kept[t], axes[1].kept[h], axes[2].kept[w])); },
              [] {});
    eachPlace({cut(axes[0], k.t), cut(axes[1], k.h), cut(axes[2], k.w)},
              [&](uint32_t t, uint32_t h, uint32_t w)
              { bounds.places.push_back(format.pack(t, h, w) | format.guard); },
              [] {});
    bounds.boxes.resize(grid.tokens(), everything);
    bounds.places.resize(grid.tokens(), 0);
    return bounds;
}

} // namespace

BoxCost costOf(const BoxAxes& axes, const BoxTiles& tiles, uint32_t tile_rows, uint32_t step)
{
    const std::vector<Reach> w = reachOf(axes[2], tiles.queries.w, tiles.keys.w);
    return combine(sumOf(reachOf(axes[0], tiles.queries.t, tiles.keys.t)),
                   sumOf(reachOf(axes[1], tiles.queries.h, tiles.keys.h)), sumOf(w),
                   stepKeys(w, uint64_t(tiles.keys.t) * tiles.keys.h, step),
                   tiles.queries.volume(), tile_rows);
}

BoxTiles chooseBoxTiles(const BoxAxes& axes, uint32_t tile_rows, uint32_t step)
{
    const uint64_t most_queries = 4 * uint64_t(tile_rows), most_keys = std::max(4 * step, 128u);
    const std::vector<uint32_t> sizes_t = sizesOf(axes[0]), sizes_h = sizesOf(axes[1]),
                                sizes_w = sizesOf(axes[2]);
    const AxisTable table_t = tableOf(axes[0], sizes_t), table_h = tableOf(axes[1], sizes_h);
    Choice choice;
    // Queries q and keys k of one axis after the other; a step depends on the keys alone.
    const auto offerRows = [&](const Size3& keys, size_t kt, size_t kh, uint32_t query_w,
                               const AxisCost& w, double step_keys)
    {
        for (size_t qt = 0; qt < sizes_t.size(); ++qt)
            for (size_t qh = 0; qh < sizes_h.size(); ++qh)
            {
                const Size3 queries = {sizes_t[qt], sizes_h[qh], query_w};
                if (queries.volume() <= most_queries)
                    choice.offer({queries, keys},
                                 combine(table_t[qt][kt], table_h[qh][kh], w, step_keys,
                                         queries.volume(), tile_rows));
            }
    };
    for (const uint32_t query_w : sizes_w)
        for (const uint32_t key_w : sizes_w)
        {
            if (query_w > most_queries || key_w > most_keys)
                continue;
            const std::vector<Reach> reach = reachOf(axes[2], query_w, key_w);
            const AxisCost w = sumOf(reach);
            for (size_t kt = 0; kt < sizes_t.size(); ++kt)
                for (size_t kh = 0; kh < sizes_h.size(); ++kh)
                {
                    const Size3 keys = {sizes_t[kt], sizes_h[kh], key_w};
                    if (keys.volume() <= most_keys)
                        offerRows(keys, kt, kh, query_w, w,
                                  stepKeys(reach, uint64_t(keys.t) * keys.h, step));
                }
        }
    return choice.tiles;
}

BoxList boxList(const VideoGrid& grid, const BoxAxes& axes, const BoxTiles& tiles)
{
    BoxList list;
    list.queries = orderOf(grid, axes, tiles.queries);
    list.keys = orderOf(grid, axes, tiles.keys);
    list.spans = spansOf(grid, axes, tiles, list.keys);
    list.spans.rows = list.queries.blocks();
    if (tiles.keys.volume() == 1) // the same order, in blocks that are worth a name
        list.keys = orderOf(grid, axes, {1, 1, grid.size.w});
    if (!costOf(axes, tiles, 1, 1).is_exact)
        list.bounds = boundsOf(grid, axes, tiles);
    return list;
}

} // namespace lacuna

// paro.cpp - PAROAttention: each head in the order of axes that puts its keys into few blocks.
//
// SPDX-License-Identifier: Apache-2.0
//
//   a head along time       raster, by frames           hwt: the frames of a pixel side by side
//                           x . . | x . . | x . .       x x x | . . . | . . .
//                           . x . | . x . | . x .  -->  . . . | x x x | . . .
//                           . . x | . . x | . . x       . . . | . . . | x x x
//
// Idea     the places that a head attends to are scattered in raster order, and near the diagonal
//          in one of the six orders of the three axes. So each head gets its order, and its tokens
//          are cut into n blocks of `block`, the last one smaller. Block i keeps block j when they
//          are at most n (1 - sqrt(1 - density)) blocks apart, rounded down. A head with a `map` of
//          its own is not a band: the map is laid over all pairs of blocks, and a pair is kept
//          where it meets a cell that is 1. Text queries keep every key, text keys are kept by
//          every query.
// Paper    arXiv 2506.16054. There each head's order and blocks are found offline, from the maps of
//          one or two prompts, the blocks for a few groups of steps: calibration, and an input
//          here. `heads` is the table of orders of one layer (listed in the authors' numbering, 0
//          .. 5), `map` its blocks in one step; with as many cells as blocks it is their bit map.
//          Their kernel keeps the last row and the last column of blocks because the last block is
//          not full, and takes the first video tokens along with the text to fill its blocks; here
//          blocks end where they end, so that neither is needed.
// Cost     about `density` of dense, or the share of a map that is 1.
// Passes   gather V, gather K, attend. Where heads differ, K and V are copied once for each query
//          head, and the order is a table of 4 bytes for each head and token. Q and the output are
//          not copied. The list is made on the host, one for all heads when their maps are the
//          same.
// Limits   no 8-bit or 4-bit products, which the authors combine with the order.

#include "method.h"

#include "../data/curves.h"

#include <algorithm>
#include <cmath>

namespace lacuna
{
namespace
{

enum
{
    kHeads,
    kBlock,
    kDensity,
    kMap
};

const OptionDesc kOptions[] = {
    {"heads", OptionType::PerHead, "hwt", 0, 5,
     "the order of each query head, from the slowest axis to the fastest",
     "thw|twh|hwt|htw|wht|wth"}, // as in AxisOrder
    {"block", OptionType::Int, "64", 1, 65536, "tokens of one block"},
    {"density", OptionType::Float, "0.3", 0, 1, "share of the blocks that a band keeps, about"},
    {"map", OptionType::PerHeadMap, "band", 0, 0,
     "the blocks that each query head keeps: a band, or rows of 0 and 1, as in 110/011", "band"},
};

std::string unsupportedReason(const Problem& p, const Options&)
{
    return p.grid.empty() ? "needs a video grid" : "";
}

// A map without rows is the band.
KeySpans blockList(const VideoOrder& order, const BlockMap& map, double density)
{
    const uint32_t blocks = order.video_blocks;
    const uint32_t radius = uint32_t(blocks * (1 - std::sqrt(1 - density)));
    return blockSpans(order, order,
                      [&](uint32_t i, uint32_t j)
                      {
                          if (map.rows > 0)
                              return map.meets(i, blocks, j, blocks);
                          return (i > j ? i - j : j - i) <= radius;
                      });
}

Built build(PlanBuilder& b, const Problem& p, const Options& options)
{
    const std::vector<uint32_t>& kinds = options.heads(kHeads);
    std::vector<VideoOrder> orders(6);
    for (const uint32_t kind : kinds)
        if (orders[kind].borders.empty())
            orders[kind] = videoOrder(p.grid, axisCurve(p.grid.size, AxisOrder(kind)),
                                      uint32_t(options.integer(kBlock)));
    const VideoOrder order = perHeadOrder(orders, kinds);

    std::vector<KeySpans> lists; // one for each of the maps
    for (const OptionValue::Entry& entry : options.entries(kMap))
        lists.push_back(blockList(order, entry.map, options.number(kDensity)));
    if (lists.size() == 1)
        return attendSpans(b, lists[0], order, order);

    KeySpans spans;
    spans.rows = order.blocks();
    spans.heads = p.heads();
    for (uint32_t slice = 0; slice < p.heads(); ++slice)
        spans.appendHead(lists[options.choice(kMap, slice % p.q_heads)]);
    return attendSpans(b, spans, order, order);
}

// The definition, token by token: where the order has a token of the video, from its coordinates.
int64_t place(const Size3& size, uint32_t kind, int64_t token)
{
    const int64_t T = size.t, H = size.h, W = size.w;
    const int64_t t = token / (H * W), h = token / W % H, w = token % W;
    switch (kind)
    {
    case 0:
        return (t * H + h) * W + w;
    case 1:
        return (t * W + w) * H + h;
    case 2:
        return (h * W + w) * T + t;
    case 3:
        return (h * T + t) * W + w;
    case 4:
        return (w * H + h) * T + t;
    default:
        return (w * T + t) * H + h;
    }
}

// Block i of n covers i / n to (i + 1) / n of the side of the map, likewise its cells.
bool isOn(const BlockMap& map, int64_t i, int64_t j, int64_t n)
{
    const int64_t rows = map.rows, columns = map.columns;
    for (int64_t row = 0; row < rows; ++row)
        for (int64_t column = 0; column < columns; ++column)
        {
            const bool is_met = row * n < (i + 1) * rows && i * rows < (row + 1) * n &&
                                column * n < (j + 1) * columns && j * columns < (column + 1) * n;
            if (is_met && map.cells[size_t(row * columns + column)])
                return true;
        }
    return false;
}

void reference(const Problem& p, const Options& options, const ReferenceInputs&,
               uint32_t first_query, uint32_t query_count, uint8_t* mask)
{
    const int64_t tokens = int64_t(p.grid.size.volume()), block = options.integer(kBlock);
    const int64_t blocks = (tokens + block - 1) / block;
    const double reach = std::floor(double(blocks) * (1 - std::sqrt(1 - options.number(kDensity))));
    const auto keeps = [&](const BlockMap& map, int64_t i, int64_t j)
    {
        return map.rows > 0 ? isOn(map, i, j, blocks) : double(std::abs(i - j)) <= reach;
    };
    for (uint32_t slice = 0; slice < p.heads(); ++slice)
    {
        const uint32_t kind = options.choice(kHeads, slice % p.q_heads);
        const BlockMap& map = options.entries(kMap)[options.choice(kMap, slice % p.q_heads)].map;
        for (uint32_t i = 0; i < query_count; ++i)
            for (uint32_t k = 0; k < p.k_len; ++k)
            {
                const int64_t query = int64_t(first_query) + i - p.grid.text_before;
                const int64_t key = int64_t(k) - p.grid.text_before;
                const bool has_text = query < 0 || query >= tokens || key < 0 || key >= tokens;
                const auto blockOf = [&](int64_t token)
                {
                    return place(p.grid.size, kind, token) / block;
                };
                mask[(uint64_t(slice) * query_count + i) * p.k_len + k] =
                    has_text || keeps(map, blockOf(query), blockOf(key));
            }
    }
}

} // namespace

extern const Method kParo;
const Method kParo = {
    .name = "paro",
    .title = "a band or a map of blocks, each head in its own order of the three axes",
    .paper = "arXiv 2506.16054, PAROAttention: Pattern-Aware ReOrdering for Efficient Sparse and "
             "Quantized Attention in Visual Generation Models (its orders)",
    .kind = "static",
    .options = kOptions,
    .unsupportedReason = unsupportedReason,
    .build = build,
    .reference = reference,
};

} // namespace lacuna

// radial.cpp - Radial Attention: the farther two frames are apart, the narrower the band of keys.
//
// SPDX-License-Identifier: Apache-2.0
//
//   frames apart   0, 1    2 .. 3     4 .. 7     8 .. 15      P tokens a frame, B = 2^bit_length(P)
//   half band      P       B/4 * d    B/8 * d    B/16 * d     d = decay; at least one block
//
// Idea     attention falls off with distance in space and in time. Position r of query frame i
//          keeps position c of key frame j when |r - c| <= w(i, j), which halves whenever the
//          distance of the frames doubles. Once B / 2^g, g = bit_length(|i - j|), is below 128 the
//          frames are thinned out instead: only distances that are multiples of int(128 * 2^g / B)
//          are kept. The keys of the first `sinks` frames are always kept. Then blocks: of a
//          block's key columns, those count that more than 1/3 of the block's queries keep; the
//          block is kept when they are more than 60 % of the columns that any query keeps. Text
//          queries keep every key, text keys are kept by every query.
// Paper    arXiv 2506.19852. As in the authors' code, a band is half as wide as the formula of the
//          paper, then scaled by `decay` (0.2 for Wan, 0.95 for HunyuanVideo); the rounding to
//          blocks, and the sink (frame 0, Wan only), are in the code only. Two defects of the code
//          are not built: it rounds each pair of frames by itself and drops the end of a frame that
//          reaches into one block more, so that queries there may keep nothing; here the whole
//          pattern is rounded at once, which is the same when P is a multiple of the block. And it
//          cannot have a last block that is smaller; here it counts with its real tokens.
// Cost     0.29 of dense at 18x48x80 and 0.26 at 21x45x80 with the defaults, 0.27 at 30x48x80 with
//          decay 0.95 and no sink: the videos of the authors.
// Passes   attend; the list is made on the host, one for all heads
// Limits   a frame must hold at least a third of a block, or the rounding could leave queries
//          without keys.

#include "method.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace lacuna
{
namespace
{

enum
{
    kBlock,
    kDecay,
    kSinks
};

const OptionDesc kOptions[] = {
    {"block", OptionType::Int, "128", 8, 1024, "tokens of one block; the authors use 128 or 64"},
    {"decay", OptionType::Float, "0.2", 0, 1,
     "width of the bands of frames that are 2 or more apart"},
    {"sinks", OptionType::Int, "1", 0, 1048576, "frames at the start whose keys every query keeps"},
};

constexpr uint32_t kThinning = 128; // the narrowest band, in tokens, that is not thinned out yet

std::string unsupportedReason(const Problem& p, const Options& options)
{
    if (p.grid.empty())
        return "needs a video grid";
    const uint64_t frame = uint64_t(p.grid.size.h) * p.grid.size.w,
                   block = uint64_t(options.integer(kBlock));
    if (3 * frame < block)
        return "needs frames of at least a third of a block: they have " + std::to_string(frame) +
               " tokens, option 'block' is " + std::to_string(block);
    return {};
}

// Half the width of the band at each distance of frames; -1 where the pair is dropped.
std::vector<int64_t> bandWidths(uint32_t frames, uint32_t frame_tokens, const Options& options)
{
    std::vector<int64_t> widths;
    const double power = std::exp2(std::bit_width(frame_tokens));
    for (uint32_t distance = 0; distance < frames; ++distance)
    {
        const double band = power / std::exp2(std::bit_width(distance));
        const bool is_thinned = band < kThinning && distance % uint32_t(kThinning / band) != 0;
        if (distance <= 1)
            widths.push_back(frame_tokens);
        else if (is_thinned)
            widths.push_back(-1);
        else
            widths.push_back(
                std::max(int64_t(band * options.number(kDecay)), options.integer(kBlock)));
    }
    return widths;
}

// The pattern of a video, tested block by block; all positions count tokens of the video.
class RadialBlocks
{
public:
    RadialBlocks(const VideoGrid& grid, const Options& options)
        : tokens_(uint32_t(grid.size.volume())),
          frame_(grid.size.h * grid.size.w),
          block_(uint32_t(options.integer(kBlock))),
          sinks_(uint32_t(options.integer(kSinks))),
          widths_(bandWidths(grid.size.t, frame_, options))
    {
    }

    bool keeps(uint32_t i, uint32_t j) const
    {
        const uint32_t q_begin = i * block_, q_end = std::min(q_begin + block_, tokens_);
        uint32_t any = 0, many = 0;
        for (uint32_t key = j * block_; key < std::min((j + 1) * block_, tokens_); ++key)
        {
            const uint32_t queries = keptBy(key, q_begin, q_end);
            any += queries > 0;
            many += 3 * queries > q_end - q_begin;
        }
        return 5 * many > 3 * any;
    }

private:
    // How many of the queries begin .. end - 1 keep `key`.
    uint32_t keptBy(uint32_t key, uint32_t begin, uint32_t end) const
    {
        const uint32_t key_frame = key / frame_;
        if (key_frame < sinks_)
            return end - begin;
        const int64_t column = key % frame_;
        uint32_t sum = 0;
        for (uint32_t frame = begin / frame_; frame * frame_ < end; ++frame)
        {
            const int64_t width =
                widths_[frame > key_frame ? frame - key_frame : key_frame - frame];
            if (width < 0)
                continue;
            const int64_t origin = int64_t(frame) * frame_;
            const int64_t first =
                std::max<int64_t>(begin, origin + std::max<int64_t>(column - width, 0));
            const int64_t last =
                std::min<int64_t>(end, origin + std::min<int64_t>(column + width + 1, frame_));
            sum += uint32_t(std::max<int64_t>(last - first, 0));
        }
        return sum;
    }

    uint32_t tokens_, frame_, block_, sinks_;
    std::vector<int64_t> widths_;
};

Built build(PlanBuilder& b, const Problem& p, const Options& options)
{
    const VideoOrder order = videoOrder(p.grid, {}, uint32_t(options.integer(kBlock)));
    const RadialBlocks pattern(p.grid, options);
    const KeySpans spans =
        blockSpans(order, order, [&](uint32_t i, uint32_t j) { return pattern.keeps(i, j); });

    return attendSpans(b, spans, order, order);
}

// The definition, token by token: the pattern of single tokens first, then its blocks.
uint32_t bitLength(uint32_t value)
{
    uint32_t bits = 0;
    for (; value > 0; value /= 2)
        ++bits;
    return bits;
}

bool keepsToken(const Options& options, uint32_t frame_tokens, uint32_t query, uint32_t key)
{
    const int64_t i = query / frame_tokens, j = key / frame_tokens;
    const int64_t row = query % frame_tokens, column = key % frame_tokens;
    const uint32_t distance = uint32_t(std::abs(i - j));
    if (j < options.integer(kSinks) || distance <= 1)
        return true;
    const double band = std::pow(2, bitLength(frame_tokens)) / std::pow(2, bitLength(distance));
    if (band < 128 && distance % int(128 / band) != 0)
        return false;
    return double(std::abs(row - column)) <=
           std::max(band * options.number(kDecay), double(options.integer(kBlock)));
}

// Which blocks of the video query block i keeps.
std::vector<bool> keptBlocks(const Problem& p, const Options& options, uint32_t i)
{
    const uint32_t tokens = uint32_t(p.grid.size.volume()), frame = p.grid.size.h * p.grid.size.w;
    const uint32_t block = uint32_t(options.integer(kBlock));
    std::vector<bool> kept;
    for (uint32_t first_key = 0; first_key < tokens; first_key += block)
    {
        int some = 0, dense = 0;
        for (uint32_t key = first_key; key < std::min(first_key + block, tokens); ++key)
        {
            double rows = 0, on = 0;
            for (uint32_t query = i * block; query < std::min((i + 1) * block, tokens);
                 ++query, ++rows)
                on += keepsToken(options, frame, query, key);
            some += on / rows > 0;
            dense += on / rows > 1.0 / 3;
        }
        kept.push_back(some > 0 && double(dense) / some > 0.6);
    }
    return kept;
}

void reference(const Problem& p, const Options& options, const ReferenceInputs&,
               uint32_t first_query, uint32_t query_count, uint8_t* mask)
{
    const uint32_t tokens = uint32_t(p.grid.size.volume()),
                   block = uint32_t(options.integer(kBlock));
    const uint64_t head_size = uint64_t(query_count) * p.k_len;
    std::vector<bool> kept;
    uint32_t kept_by = ~0u; // the block whose keys `kept` tells
    for (uint32_t i = 0; i < query_count; ++i)
    {
        const uint32_t query =
            first_query + i - p.grid.text_before; // wraps to a large number for text before
        if (query < tokens && query / block != kept_by)
        {
            kept_by = query / block;
            kept = keptBlocks(p, options, kept_by);
        }
        for (uint32_t k = 0; k < p.k_len; ++k)
        {
            const uint32_t key = k - p.grid.text_before;
            mask[uint64_t(i) * p.k_len + k] = query >= tokens || key >= tokens || kept[key / block];
        }
    }
    for (uint32_t slice = 1; slice < p.heads(); ++slice)
        std::copy_n(mask, head_size, mask + slice * head_size);
}

} // namespace

extern const Method kRadial;
const Method kRadial = {
    .name = "radial",
    .title = "bands that get narrower with the distance of the frames",
    .paper = "arXiv 2506.19852, Radial Attention: O(n log n) Sparse Attention with Energy Decay "
             "for Long Video Generation",
    .kind = "static",
    .options = kOptions,
    .unsupportedReason = unsupportedReason,
    .build = build,
    .reference = reference,
};

} // namespace lacuna

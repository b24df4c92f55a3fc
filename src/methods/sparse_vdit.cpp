// sparse_vdit.cpp - Sparse-vDiT: one of five patterns for each head, from none of the keys to all.
//
// SPDX-License-Identifier: Apache-2.0
//
//   diagonal       multi_diagonal       stripe               full, skip
//   x x . . . .    x . . | x . .        x . . x . .          all keys; none, so that the output
//   x x x . . .    . x . | . x .        x . . x . .          of the head is zero
//   . x x x . .    . . x | . . x        x . . x . .
//   . . x x x .    frame 0, frame 1     the same columns
//                                       for all queries
//
// Idea     a head of a video transformer keeps its pattern whatever the prompt is, so a table says
//          which one it is. `diagonal` is a band in raster order, `multi_diagonal` a band in
//          token-major order (the frames of each pixel side by side), which is one diagonal in each
//          pair of frames; both keep the keys at most N (1 - sqrt(1 - density)) places away, of N
//          tokens of the video. `stripe` keeps the first `stripe_width` of every `stripe_period`
//          tokens. The queries of a block of one frame share their keys: what one of them keeps,
//          all keep. Text queries keep every key, text keys are kept by every query, but in `skip`
//          heads, which keep nothing.
// Paper    arXiv 2506.03065. There is no code by the authors. The paper does not say which columns
//          a stripe has, how wide the bands are (here as in Sparse VideoGen, its baseline), nor
//          what text does. The search for the table is calibration, and not part of this method:
//          option `heads` is one row of the table, the heads of one layer in one step.
// Cost     full 1, skip 0, diagonals about `density`, stripe stripe_width / stripe_period of dense.
// Passes   attend; the list is made on the host. A row of a multi-diagonal head is a span in each
//          frame, so that nothing is reordered.
// Limits   stripes of a few tokens leave a part of each step of ATTEND idle.

#include "method.h"

#include "../data/bands.h"

#include <algorithm>
#include <cmath>

namespace lacuna
{
namespace
{

enum
{
    kHeads,
    kDensity,
    kStripeWidth,
    kStripePeriod,
    kBlock
};

enum
{
    kFull,
    kSkip,
    kDiagonal,
    kMultiDiagonal,
    kStripe
};

const OptionDesc kOptions[] = {
    {"heads", OptionType::PerHead, "diagonal", 0, 4, "the pattern of each query head",
     "full|skip|diagonal|multi_diagonal|stripe"},
    {"density", OptionType::Float, "0.25", 0, 1,
     "share of the keys that the diagonals keep, about"},
    {"stripe_width", OptionType::Int, "64", 1, 1048576, "tokens of one stripe, at most its period"},
    {"stripe_period", OptionType::Int, "256", 1, 1048576,
     "tokens from one stripe to the next"},
    {"block", OptionType::Int, "64", 1, 65536, "queries that share their keys, at most a frame"},
};

std::string unsupportedReason(const Problem& p, const Options& options)
{
    if (p.grid.empty())
        return "needs a video grid";
    if (options.integer(kStripeWidth) > options.integer(kStripePeriod))
        return "needs stripes of at most their period, not " +
               std::to_string(options.integer(kStripeWidth)) + " of " +
               std::to_string(options.integer(kStripePeriod)) + " tokens";
    return {};
}

std::vector<KeySpan> stripes(uint32_t tokens, uint64_t width, uint64_t period)
{
    std::vector<KeySpan> spans;
    for (uint64_t begin = 0; begin < tokens; begin += period)
        spans.push_back({uint32_t(begin), uint32_t(std::min<uint64_t>(begin + width, tokens))});
    return spans;
}

Built build(PlanBuilder& b, const Problem& p, const Options& options)
{
    const Size3& size = p.grid.size;
    const uint32_t tokens = uint32_t(size.volume());
    const VideoOrder order = frameBlocks(p.grid, uint32_t(options.integer(kBlock)));
    const uint64_t half_width =
        uint64_t(std::floor(tokens * (1 - std::sqrt(1 - options.number(kDensity)))));

    KeySpans spans;
    spans.rows = order.blocks();
    spans.heads = options.heads(kHeads).size() == 1 ? 1 : p.heads();
    for (uint32_t head = 0; head < spans.heads; ++head)
    {
        const uint32_t kind = options.choice(kHeads, head % p.q_heads);
        if (kind == kSkip)
        {
            for (uint32_t row = 0; row < spans.rows; ++row)
                spans.append({});
            continue;
        }
        const auto keeps = [&](uint32_t begin, uint32_t end) -> std::vector<KeySpan>
        {
            if (kind == kDiagonal)
                return {rasterBand(size, begin, end, half_width)};
            if (kind == kMultiDiagonal)
                return tokenMajorBand(size, begin, end, half_width);
            if (kind == kStripe)
                return stripes(tokens, uint64_t(options.integer(kStripeWidth)),
                               uint64_t(options.integer(kStripePeriod)));
            return {{0, tokens}};
        };
        appendHead(spans, p.grid, order, keeps);
    }

    return attendSpans(b, spans, order, order);
}

// The definition, token by token.
bool keeps(const VideoGrid& grid, const Options& options, uint32_t kind, int64_t query, int64_t key)
{
    const int64_t frames = grid.size.t, pixels = int64_t(grid.size.h) * grid.size.w;
    const auto tokenMajor = [&](int64_t token)
    {
        return token % pixels * frames + token / pixels;
    };
    const double N = double(frames * pixels);
    const double width = N * (1 - std::sqrt(1 - options.number(kDensity)));
    switch (kind)
    {
    case kFull:
        return true;
    case kDiagonal:
        return double(std::abs(query - key)) <= width;
    case kMultiDiagonal:
        return double(std::abs(tokenMajor(query) - tokenMajor(key))) <= width;
    case kStripe:
        return key % options.integer(kStripePeriod) < options.integer(kStripeWidth);
    default:
        return false;
    }
}

void reference(const Problem& p, const Options& options, const ReferenceInputs&,
               uint32_t first_query, uint32_t query_count, uint8_t* mask)
{
    const int64_t tokens = int64_t(p.grid.size.volume()),
                  pixels = int64_t(p.grid.size.h) * p.grid.size.w, block = options.integer(kBlock);
    for (uint32_t slice = 0; slice < p.heads(); ++slice)
    {
        const uint32_t kind = options.choice(kHeads, slice % p.q_heads);
        std::vector<uint8_t> kept(p.grid.size.volume());
        int64_t kept_by = -1; // the first query of the block whose keys `kept` tells
        for (uint32_t i = 0; i < query_count; ++i)
        {
            const int64_t query = int64_t(first_query) + i - p.grid.text_before;
            const bool is_text = query < 0 || query >= tokens;
            const int64_t begin = is_text ? kept_by : query - query % pixels % block;
            if (begin != kept_by)
            {
                const int64_t end = std::min(begin + block, (query / pixels + 1) * pixels);
                kept_by = begin;
                std::fill(kept.begin(), kept.end(), uint8_t(0));
                for (int64_t key = 0; key < tokens; ++key)
                    for (int64_t other = begin; other < end && !kept[size_t(key)]; ++other)
                        kept[size_t(key)] = keeps(p.grid, options, kind, other, key);
            }
            for (uint32_t k = 0; k < p.k_len; ++k)
            {
                const int64_t key = int64_t(k) - p.grid.text_before;
                const bool has_text = is_text || key < 0 || key >= tokens;
                mask[(uint64_t(slice) * query_count + i) * p.k_len + k] =
                    has_text ? kind != kSkip : kept[size_t(key)];
            }
        }
    }
}

} // namespace

extern const Method kSparseVdit;
const Method kSparseVdit = {
    .name = "sparse_vdit",
    .title = "a diagonal, one in each pair of frames, stripes, everything or nothing, for each head",
    .paper = "arXiv 2506.03065, Sparse-vDiT: Unleashing the Power of Sparse Attention to "
             "Accelerate Video Diffusion Transformers (its patterns)",
    .kind = "static",
    .options = kOptions,
    .unsupportedReason = unsupportedReason,
    .build = build,
    .reference = reference,
};

} // namespace lacuna

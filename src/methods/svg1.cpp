// svg1.cpp - Sparse VideoGen: heads that look along the frames, and heads that look along time.
//
// SPDX-License-Identifier: Apache-2.0
//
//   places of a query's keys    spatial      raster order: frame after frame
//   (a band of one width)       temporal     token-major order: pixel after pixel, the frames of a
//                                            pixel side by side
//
// Idea     each head is spatial or temporal: its keys are near the query in one order or in the
//          other. One band serves both: with S tokens of which c are text, and the wanted density
//          s, s' = s - 2 c / S, the keys at most S (1 - sqrt(1 - s')) places away are kept, rounded
//          up to a multiple of `align`. That is the half width of a band that covers the share s'
//          of a square. The keys of the first `sinks` frames are always kept. The queries of a block
//          of one frame share their keys: what one of them keeps, all keep. Text queries keep every
//          key, text keys are kept by every query. `full` heads keep everything.
// Paper    arXiv 2502.01776. There each call measures 64 sampled rows of both masks to find out
//          what a head is; here option `heads` says it. The authors' code for Wan takes the first H
//          W columns after the reordering for its sink, which are some pixels of all frames for a
//          temporal head; here the sink is the first frame for both. HunyuanVideo and CogVideoX
//          have no sink, and round the width down.
// Cost     about `density` of dense, and `sinks` frames.
// Passes   attend; the list is made on the host. A temporal row is a span in each frame, so that
//          neither Q nor K and V are reordered, as they are in the authors' code.
// Limits   the class of a head is not found out online.

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
    kSinks,
    kAlign,
    kBlock
};

enum
{
    kSpatial,
    kTemporal,
    kFull
};

const OptionDesc kOptions[] = {
    {"heads", OptionType::PerHead, "spatial", 0, 2, "what each query head is",
     "spatial|temporal|full"},
    {"density", OptionType::Float, "0.3", 0, 1, "share of the keys that the band keeps, about"},
    {"sinks", OptionType::Int, "1", 0, 1048576, "frames at the start whose keys every query keeps"},
    {"align", OptionType::Int, "128", 1, 65536,
     "half the width of the band is a multiple of this many tokens"},
    {"block", OptionType::Int, "64", 1, 65536, "queries that share their keys, at most a frame"},
};

std::string unsupportedReason(const Problem& p, const Options&)
{
    return p.grid.empty() ? "needs a video grid" : "";
}

// In tokens.
uint64_t halfWidth(const Problem& p, const Options& options)
{
    const double tokens = p.k_len, text = double(p.grid.text_before) + p.grid.text_after;
    const double share = std::max(0.0, options.number(kDensity) - 2 * text / tokens);
    const double align = double(options.integer(kAlign));
    return uint64_t(std::ceil(tokens * (1 - std::sqrt(1 - share)) / align) * align);
}

Built build(PlanBuilder& b, const Problem& p, const Options& options)
{
    const Size3& size = p.grid.size;
    const uint64_t half_width = halfWidth(p, options);
    const uint32_t sinks = uint32_t(std::min<int64_t>(options.integer(kSinks), size.t));
    const VideoOrder order = frameBlocks(p.grid, uint32_t(options.integer(kBlock)));

    KeySpans spans;
    spans.rows = order.blocks();
    spans.heads = options.heads(kHeads).size() == 1 ? 1 : p.heads();
    for (uint32_t head = 0; head < spans.heads; ++head)
    {
        const uint32_t kind = options.choice(kHeads, head % p.q_heads);
        const auto keeps = [&](uint32_t begin, uint32_t end) -> std::vector<KeySpan>
        {
            if (kind == kFull)
                return {{0, uint32_t(size.volume())}};
            std::vector<KeySpan> kept = {rasterBand(size, begin, end, half_width)};
            if (kind == kTemporal)
                kept = tokenMajorBand(size, begin, end, half_width);
            if (sinks > 0)
                kept.push_back({0, sinks * size.h * size.w});
            return kept;
        };
        appendHead(spans, p.grid, order, keeps);
    }

    return attendSpans(b, spans, order, order);
}

// The definition, token by token: first the distance in the order that the head looks at.
int64_t distance(const Size3& size, bool is_temporal, int64_t query, int64_t key)
{
    const int64_t pixels = int64_t(size.h) * size.w;
    const auto place = [&](int64_t token)
    {
        return is_temporal ? token % pixels * size.t + token / pixels : token;
    };
    return std::abs(place(query) - place(key));
}

// Which keys of the video the queries begin .. end - 1 keep.
std::vector<uint8_t> keptKeys(const Problem& p, const Options& options, uint32_t kind,
                              int64_t begin, int64_t end)
{
    const double S = p.k_len, text = S - double(p.grid.size.volume());
    const double density = std::max(options.number(kDensity) - 2 * text / S, 0.0);
    const double align = double(options.integer(kAlign));
    const double width = align * std::ceil(S * (1 - std::sqrt(1 - density)) / align);

    const int64_t pixels = int64_t(p.grid.size.h) * p.grid.size.w;
    std::vector<uint8_t> kept(p.grid.size.volume());
    for (int64_t key = 0; key < int64_t(kept.size()); ++key)
    {
        kept[size_t(key)] = kind == kFull || key / pixels < options.integer(kSinks);
        for (int64_t query = begin; query < end && !kept[size_t(key)]; ++query)
            kept[size_t(key)] =
                double(distance(p.grid.size, kind == kTemporal, query, key)) <= width;
    }
    return kept;
}

void reference(const Problem& p, const Options& options, const ReferenceInputs&,
               uint32_t first_query, uint32_t query_count, uint8_t* mask)
{
    const int64_t tokens = int64_t(p.grid.size.volume()),
                  pixels = int64_t(p.grid.size.h) * p.grid.size.w, block = options.integer(kBlock);
    for (uint32_t slice = 0; slice < p.heads(); ++slice)
    {
        std::vector<uint8_t> kept;
        int64_t kept_by = -1; // the first query of the block whose keys `kept` tells
        for (uint32_t i = 0; i < query_count; ++i)
        {
            const int64_t query = int64_t(first_query) + i - p.grid.text_before;
            const bool is_text = query < 0 || query >= tokens;
            const int64_t begin = is_text ? -1 : query - query % pixels % block;
            if (!is_text && begin != kept_by)
            {
                const int64_t frame_end = (query / pixels + 1) * pixels;
                kept_by = begin;
                kept = keptKeys(p, options, options.choice(kHeads, slice % p.q_heads), begin,
                                std::min(begin + block, frame_end));
            }
            for (uint32_t k = 0; k < p.k_len; ++k)
            {
                const int64_t key = int64_t(k) - p.grid.text_before;
                mask[(uint64_t(slice) * query_count + i) * p.k_len + k] =
                    is_text || key < 0 || key >= tokens || kept[size_t(key)];
            }
        }
    }
}

} // namespace

extern const Method kSvg1;
const Method kSvg1 = {
    .name = "svg1",
    .title = "a band along the frames or along time, as each head is said to be",
    .paper = "arXiv 2502.01776, Sparse VideoGen: Accelerating Video Diffusion Transformers with "
             "Spatial-Temporal Sparsity (its masks)",
    .kind = "static",
    .options = kOptions,
    .unsupportedReason = unsupportedReason,
    .build = build,
    .reference = reference,
};

} // namespace lacuna

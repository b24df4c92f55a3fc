// rainfusion.cpp - RainFusion: heads that look around a pixel, along the frames, or at a checkerboard.
//
// SPDX-License-Identifier: Apache-2.0
//
//   temporal   near pixels, all frames: a band where the frames of each pixel are side by side
//   spatial    near frames, all pixels: a band in raster order
//   textural   all queries, the keys on every `stride`-th field of a checkerboard      x . x .
//                                                                                      . x . x
//
// Idea     each head is one of the three. Frame 0 and the text keep every key, and every query
//          keeps them; the rest are the R = (T - 1) P tokens of the other frames. A spatial head
//          keeps the keys at most b R places away in raster order, a temporal head those at most
//          (T - 1) b P places away in token-major order, both b R and b P rounded down to a
//          multiple of `align`; b is `bandwidth`. A textural head keeps the keys with (t + h + w)
//          divisible by `stride`. The queries of a block of one frame share their keys: what one of
//          them keeps, all keep. `full` heads keep everything.
// Paper    arXiv 2505.21036 (v1). There each call measures the recall of the masks on sampled
//          tokens to find out what a head is; here option `heads` says it. The published code has
//          no textural heads; the paper does not say how the checkerboard goes on from frame to
//          frame, here its fields change places. The authors rotate frame 0 to the end and reorder
//          temporal heads, which spans of keys do not need.
// Cost     1 - (1 - bandwidth)^2 of dense, 1 / stride for textural heads, and frame 0.
// Passes   gather V, gather K (only where a head is textural: the fields of the checkerboard one
//          after the other, so that each is one span), attend; the list is made on the host
// Limits   the class of a head is not found out online.

#include "method.h"

#include "../data/bands.h"

#include <algorithm>

namespace lacuna
{
namespace
{

enum
{
    kHeads,
    kBandwidth,
    kStride,
    kAlign,
    kBlock
};

enum
{
    kTemporal,
    kSpatial,
    kTextural,
    kFull
};

const OptionDesc kOptions[] = {
    {"heads", OptionType::PerHead, "spatial", 0, 3, "what each query head is",
     "temporal|spatial|textural|full"},
    {"bandwidth", OptionType::Float, "0.2", 0, 1,
     "half the width of the bands, as a share of the frames or of a frame"},
    {"stride", OptionType::Int, "2", 1, 64, "textural heads keep one key in this many"},
    {"align", OptionType::Int, "128", 1, 65536,
     "half the width of the bands is a multiple of this many tokens"},
    {"block", OptionType::Int, "64", 1, 65536, "queries that share their keys, at most a frame"},
};

std::string unsupportedReason(const Problem& p, const Options&)
{
    return p.grid.empty() ? "needs a video grid" : "";
}

// The places of the keys: frame 0, then the fields of the checkerboard, raster order in each.
class Fields
{
public:
    Fields(const Size3& size, uint32_t count) : frame_(size.h * size.w), tokens_(count)
    {
        for (uint32_t token = frame_; token < size.volume(); ++token)
        {
            const uint32_t t = token / frame_, h = token % frame_ / size.w, w = token % size.w;
            tokens_[(t + h + w) % count].push_back(token);
        }
    }

    std::vector<uint32_t> curve() const
    {
        std::vector<uint32_t> curve(frame_);
        for (uint32_t token = 0; token < frame_; ++token)
            curve[token] = token;
        for (const std::vector<uint32_t>& field : tokens_)
            curve.insert(curve.end(), field.begin(), field.end());
        return curve;
    }

    KeySpan first() const { return {frame_, frame_ + uint32_t(tokens_[0].size())}; }

    // Appends the places of the tokens of `span`, which has none of frame 0.
    void append(const KeySpan& span, std::vector<KeySpan>& places) const
    {
        uint32_t base = frame_;
        for (const std::vector<uint32_t>& field : tokens_)
        {
            const auto place = [&](uint32_t token)
            {
                return base + uint32_t(std::lower_bound(field.begin(), field.end(), token) -
                                       field.begin());
            };
            if (place(span.begin) < place(span.end))
                places.push_back({place(span.begin), place(span.end)});
            base += uint32_t(field.size());
        }
    }

private:
    uint32_t frame_;
    std::vector<std::vector<uint32_t>> tokens_; // of each field
};

// Half the widths of the bands.
struct Widths
{
    uint64_t temporal, spatial;
};

Widths widths(const Size3& size, const Options& options)
{
    const uint64_t frame = uint64_t(size.h) * size.w, others = size.t - 1;
    const uint64_t align = uint64_t(options.integer(kAlign));
    const double share = options.number(kBandwidth);
    return {uint64_t(share * double(frame)) / align * align * others,
            uint64_t(share * double(frame * others)) / align * align};
}

// The keys of queries begin .. end - 1 of frame 1 or later, without frame 0.
std::vector<KeySpan> bandOf(const Size3& size, bool is_temporal, const Widths& widths,
                            uint32_t begin, uint32_t end)
{
    const uint32_t frame = size.h * size.w;
    const Size3 others = {size.t - 1, size.h, size.w};
    std::vector<KeySpan> spans = {rasterBand(others, begin - frame, end - frame, widths.spatial)};
    if (is_temporal)
        spans = tokenMajorBand(others, begin - frame, end - frame, widths.temporal);
    for (KeySpan& span : spans)
        span = {span.begin + frame, span.end + frame};
    return spans;
}

Built build(PlanBuilder& b, const Problem& p, const Options& options)
{
    const Size3& size = p.grid.size;
    const uint32_t frame = size.h * size.w, tokens = uint32_t(size.volume());
    const std::vector<uint32_t>& kinds = options.heads(kHeads);
    const bool has_textural = std::find(kinds.begin(), kinds.end(), kTextural) != kinds.end();
    const Fields fields(size, has_textural ? uint32_t(options.integer(kStride)) : 1);
    const VideoOrder queries = frameBlocks(p.grid, uint32_t(options.integer(kBlock)));
    const VideoOrder keys = videoOrder(p.grid, fields.curve(), uint32_t(options.integer(kBlock)));
    const Widths half_widths = widths(size, options);

    KeySpans spans;
    spans.rows = queries.blocks();
    spans.heads = kinds.size() == 1 ? 1 : p.heads();
    for (uint32_t head = 0; head < spans.heads; ++head)
    {
        const uint32_t kind = options.choice(kHeads, head % p.q_heads);
        const auto keeps = [&](uint32_t begin, uint32_t end) -> std::vector<KeySpan>
        {
            if (kind == kFull || begin < frame)
                return {{0, tokens}};
            std::vector<KeySpan> kept = {{0, frame}};
            if (kind == kTextural)
                kept.push_back(fields.first());
            else
                for (const KeySpan& span :
                     bandOf(size, kind == kTemporal, half_widths, begin, end))
                    fields.append(span, kept);
            return kept;
        };
        appendHead(spans, p.grid, queries, keeps);
    }

    return attendSpans(b, spans, queries, keys);
}

// The definition, token by token, of frames 1 and later.
bool keeps(const Size3& size, const Options& options, uint32_t kind, int64_t query, int64_t key)
{
    const int64_t P = int64_t(size.h) * size.w, R = P * (size.t - 1);
    const int64_t align = options.integer(kAlign), t = key / P, h = key % P / size.w,
                  w = key % size.w;
    const auto rounded = [&](double width)
    {
        return int64_t(width) - int64_t(width) % align;
    };
    const auto tokenMajor = [&](int64_t token)
    {
        return token % P * (size.t - 1) + token / P - 1;
    };
    switch (kind)
    {
    case kTemporal:
        return std::abs(tokenMajor(query) - tokenMajor(key)) <=
               rounded(options.number(kBandwidth) * double(P)) * (size.t - 1);
    case kSpatial:
        return std::abs(query - key) <= rounded(options.number(kBandwidth) * double(R));
    case kTextural:
        return (t + h + w) % options.integer(kStride) == 0;
    default:
        return true;
    }
}

// Which keys of the video the queries begin .. end - 1 keep.
std::vector<uint8_t> keptKeys(const Size3& size, const Options& options, uint32_t kind,
                              int64_t begin, int64_t end)
{
    const int64_t frame = int64_t(size.h) * size.w;
    std::vector<uint8_t> kept(size.volume());
    for (int64_t key = 0; key < int64_t(kept.size()); ++key)
    {
        kept[size_t(key)] = key < frame || begin < frame;
        for (int64_t query = begin; query < end && !kept[size_t(key)]; ++query)
            kept[size_t(key)] = keeps(size, options, kind, query, key);
    }
    return kept;
}

void reference(const Problem& p, const Options& options, const ReferenceInputs&,
               uint32_t first_query, uint32_t query_count, uint8_t* mask)
{
    const int64_t tokens = int64_t(p.grid.size.volume()),
                  frame = int64_t(p.grid.size.h) * p.grid.size.w, block = options.integer(kBlock);
    for (uint32_t slice = 0; slice < p.heads(); ++slice)
    {
        std::vector<uint8_t> kept;
        int64_t kept_by = -1; // the first query of the block whose keys `kept` tells
        for (uint32_t i = 0; i < query_count; ++i)
        {
            const int64_t query = int64_t(first_query) + i - p.grid.text_before;
            const bool is_text = query < 0 || query >= tokens;
            const int64_t begin = is_text ? kept_by : query - query % frame % block;
            if (begin != kept_by)
            {
                const int64_t end = std::min(begin + block, (query / frame + 1) * frame);
                kept_by = begin;
                kept = keptKeys(p.grid.size, options, options.choice(kHeads, slice % p.q_heads),
                                begin, end);
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

extern const Method kRainfusion;
const Method kRainfusion = {
    .name = "rainfusion",
    .title = "near pixels, near frames or a checkerboard, as each head is said to be",
    .paper = "arXiv 2505.21036, RainFusion: Adaptive Video Generation Acceleration via "
             "Multi-Dimensional Visual Redundancy (its masks)",
    .kind = "static",
    .options = kOptions,
    .unsupportedReason = unsupportedReason,
    .build = build,
    .reference = reference,
};

} // namespace lacuna

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
//          of a square. The keys of the first `sinks` frames are always kept. The queries of a
//          block of one frame share their keys: what one of them keeps, all keep. Text queries keep
//          every key, text keys are kept by every query. `full` heads keep everything.
//          An `online` head is spatial or temporal as its queries say: `rows` of them, sampled over
//          the video, are given dense attention and attention under both masks, and the mask whose
//          outputs are nearer to the dense ones (the sum of squared differences) is that of the
//          head, in each batch for itself; spatial among equals. A sum below 2^-20 of the squares
//          of the dense outputs is none. The samples are the same for all heads: row i is token
//          floor(x n / 2^32) of the video, where x is the upper half of the i-th number of
//          SplitMix64 from `seed`, and n the tokens of the video, or the first `from` of them.
// Paper    arXiv 2502.01776. The authors' code for Wan and HunyuanVideo samples only among the
//          first 10,000 tokens, which `from=10000` does, and measures bands of fixed widths (2 and
//          1.5 frames) instead of those that it then keeps. For CogVideoX it samples text too,
//          whose temporal mask is empty there, and every head becomes temporal; text keeps
//          everything under both masks here, so that it has nothing to say. The authors' code for
//          Wan takes the first H W columns after the reordering for its sink, which are some pixels
//          of all frames for a temporal head; here the sink is the first frame for both.
//          HunyuanVideo and CogVideoX have no sink, and round the width down.
// Cost     about `density` of dense, and `sinks` frames; 2.5 rows / N of dense for the samples.
// Passes   errors of sampled rows, list of each head (both only where heads are online), attend;
//          the lists are made on the host. A temporal row is a span in each frame, so that neither
//          Q nor K and V are reordered, as they are in the authors' code.

#include "method.h"

#include "../data/bands.h"
#include "../passes/attend.h"
#include "../passes/passes.h"
#include "../reference/reference.h"

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
    kBlock,
    kRows,
    kFrom,
    kSeed
};

enum
{
    kSpatial,
    kTemporal,
    kFull,
    kOnline // also the number of lists
};

const OptionDesc kOptions[] = {
    {"heads", OptionType::PerHead, "online", 0, 3,
     "what each query head is; online: what its sampled queries say",
     "spatial|temporal|full|online"},
    {"density", OptionType::Float, "0.3", 0, 1, "share of the keys that the band keeps, about"},
    {"sinks", OptionType::Int, "1", 0, 1048576, "frames at the start whose keys every query keeps"},
    {"align", OptionType::Int, "128", 1, 65536,
     "half the width of the band is a multiple of this many tokens"},
    {"block", OptionType::Int, "64", 1, 65536, "queries that share their keys, at most a frame"},
    {"rows", OptionType::Int, "64", 1, 256, "online: queries that are sampled"},
    {"from", OptionType::Int, "0", 0, 1048576,
     "online: they are sampled from this many tokens at the start of the video; 0: from all"},
    {"seed", OptionType::Int, "0", 0, 1048576, "online: which ones are sampled"},
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

// Appends a head of one kind.
void appendKind(KeySpans& spans, const Problem& p, const Options& options, const VideoOrder& order,
                uint32_t kind)
{
    const Size3& size = p.grid.size;
    const uint64_t half_width = halfWidth(p, options);
    const uint32_t sinks = uint32_t(std::min<int64_t>(options.integer(kSinks), size.t));
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

std::vector<uint32_t> sampledTokens(const Problem& p, const Options& options)
{
    const uint64_t video = p.grid.size.volume(), from = uint64_t(options.integer(kFrom));
    const uint64_t tokens = from == 0 ? video : std::min(from, video);
    std::vector<uint32_t> sampled;
    for (uint64_t i = 1; i <= uint64_t(options.integer(kRows)); ++i)
    {
        uint64_t x = uint64_t(options.integer(kSeed)) + i * 0x9e3779b97f4a7c15;
        x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
        x = (x ^ x >> 27) * 0x94d049bb133111eb;
        x = (x ^ x >> 31) >> 32;
        sampled.push_back(p.grid.text_before + uint32_t(x * tokens >> 32));
    }
    return sampled;
}

// Of the list that keeps the most in each head.
double densityBound(const KeySpans& lists, const std::vector<uint32_t>& choices,
                    const VideoOrder& order)
{
    std::vector<double> pairs;
    for (uint32_t list = 0; list < lists.heads; ++list)
    {
        double sum = 0;
        for (uint32_t row = 0; row < lists.rows; ++row)
            sum += double(order.blockSize(row)) * double(lists.keys(list * lists.rows + row));
        pairs.push_back(sum);
    }
    double sum = 0;
    for (const uint32_t choice : choices)
        sum += choice == kOnline ? std::max(pairs[kSpatial], pairs[kTemporal]) : pairs[choice];
    return sum / (double(choices.size()) * order.tokens() * order.tokens());
}

Built build(PlanBuilder& b, const Problem& p, const Options& options)
{
    const VideoOrder order = frameBlocks(p.grid, uint32_t(options.integer(kBlock)));
    const std::vector<uint32_t>& kinds = options.heads(kHeads);
    KeySpans spans;
    spans.rows = order.blocks();
    if (std::find(kinds.begin(), kinds.end(), kOnline) == kinds.end())
    {
        spans.heads = kinds.size() == 1 ? 1 : p.heads();
        for (uint32_t head = 0; head < spans.heads; ++head)
            appendKind(spans, p, options, order, options.choice(kHeads, head % p.q_heads));
        return attendSpans(b, spans, order, order);
    }

    spans.heads = kOnline;
    for (uint32_t kind = 0; kind < kOnline; ++kind)
        appendKind(spans, p, options, order, kind);
    Profile profile = {spans, {}, sampledTokens(p, options)};
    for (uint32_t head = 0; head < p.q_heads; ++head)
        profile.choices.push_back(options.choice(kHeads, head));

    Built built;
    built.q_order = built.k_order = order;
    built.max_density = densityBound(spans, profile.choices, order);
    built.list = chooseLists(b, profile, order);
    attend(b, {operandQ(p), operandK(p), operandV(p), built.q_order, built.list});
    return built;
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

// The queries of the block of a token of the video, and the keys that they keep.
struct KeptBlock
{
    int64_t begin = -1, end = -1;
    std::vector<uint8_t> keys;

    void find(const Problem& p, const Options& options, uint32_t kind, int64_t query)
    {
        if (query >= begin && query < end)
            return;
        const int64_t pixels = int64_t(p.grid.size.h) * p.grid.size.w,
                      block = options.integer(kBlock);
        begin = query - query % pixels % block;
        end = std::min(begin + block, (query / pixels + 1) * pixels);
        keys = keptKeys(p, options, kind, begin, end);
    }
};

// Adds to `sums` of each slice and mask, [slices, 2], how far query `token` of the video is from
// dense, and to `squares` what dense is.
void addErrors(const Problem& p, const Options& options, const ReferenceInputs& in, int64_t token,
               std::vector<double>& sums, std::vector<double>& squares)
{
    const uint32_t query = uint32_t(token) + p.grid.text_before;
    std::vector<double> dense(size_t(p.heads()) * p.head_dim), out(dense.size());
    attendReference(p, in.q, in.k, in.v, query, 1, nullptr, dense.data(), nullptr);
    for (size_t i = 0; i < dense.size(); ++i)
        squares[i / p.head_dim] += dense[i] * dense[i];
    for (const uint32_t kind : {kSpatial, kTemporal})
    {
        KeptBlock kept;
        kept.find(p, options, kind, token);
        std::vector<uint8_t> mask(size_t(p.heads()) * p.k_len, 1);
        for (size_t slice = 0; slice < p.heads(); ++slice)
            std::copy(kept.keys.begin(), kept.keys.end(),
                      mask.begin() + std::ptrdiff_t(slice * p.k_len + p.grid.text_before));
        attendReference(p, in.q, in.k, in.v, query, 1, mask.data(), out.data(), nullptr);
        for (size_t i = 0; i < out.size(); ++i)
            sums[i / p.head_dim * 2 + kind] += (out[i] - dense[i]) * (out[i] - dense[i]);
    }
}

// What each slice is: what the option says, or what is measured.
std::vector<uint32_t> kindsOf(const Problem& p, const Options& options, const ReferenceInputs& in)
{
    std::vector<uint32_t> kinds;
    for (uint32_t slice = 0; slice < p.heads(); ++slice)
        kinds.push_back(options.choice(kHeads, slice % p.q_heads));
    if (std::find(kinds.begin(), kinds.end(), kOnline) == kinds.end())
        return kinds;

    const uint64_t video = p.grid.size.volume();
    const uint64_t n = options.integer(kFrom) > 0
                           ? std::min<uint64_t>(video, uint64_t(options.integer(kFrom)))
                           : video;
    std::vector<double> sums(size_t(p.heads()) * 2), squares(p.heads());
    uint64_t state = uint64_t(options.integer(kSeed));
    for (int64_t row = 0; row < options.integer(kRows); ++row)
    {
        state += 0x9e3779b97f4a7c15; // SplitMix64
        uint64_t mixed = (state ^ (state >> 30)) * 0xbf58476d1ce4e5b9;
        mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
        mixed ^= mixed >> 31;
        addErrors(p, options, in, int64_t((mixed >> 32) * n / 0x100000000), sums, squares);
    }
    for (size_t slice = 0; slice < kinds.size(); ++slice)
    {
        double* const error = &sums[slice * 2];
        for (const uint32_t kind : {kSpatial, kTemporal})
            if (error[kind] < squares[slice] * 0x1p-20)
                error[kind] = 0;
        if (kinds[slice] == kOnline)
            kinds[slice] = error[kTemporal] < error[kSpatial] ? kTemporal : kSpatial;
    }
    return kinds;
}

void reference(const Problem& p, const Options& options, const ReferenceInputs& inputs,
               uint32_t first_query, uint32_t query_count, uint8_t* mask)
{
    const int64_t tokens = int64_t(p.grid.size.volume());
    const std::vector<uint32_t> kinds = kindsOf(p, options, inputs);
    for (uint32_t slice = 0; slice < p.heads(); ++slice)
    {
        KeptBlock kept;
        for (uint32_t i = 0; i < query_count; ++i)
        {
            const int64_t query = int64_t(first_query) + i - p.grid.text_before;
            const bool is_text = query < 0 || query >= tokens;
            if (!is_text)
                kept.find(p, options, kinds[slice], query);
            for (uint32_t k = 0; k < p.k_len; ++k)
            {
                const int64_t key = int64_t(k) - p.grid.text_before;
                mask[(uint64_t(slice) * query_count + i) * p.k_len + k] =
                    is_text || key < 0 || key >= tokens || kept.keys[size_t(key)];
            }
        }
    }
}

} // namespace

extern const Method kSvg1;
const Method kSvg1 = {
    .name = "svg1",
    .title = "a band along the frames or along time, as the sampled queries of each head say",
    .paper = "arXiv 2502.01776, Sparse VideoGen: Accelerating Video Diffusion Transformers with "
             "Spatial-Temporal Sparsity",
    .kind = "dynamic",
    .reads_v = true,
    .options = kOptions,
    .unsupportedReason = unsupportedReason,
    .build = build,
    .reference = reference,
};

} // namespace lacuna

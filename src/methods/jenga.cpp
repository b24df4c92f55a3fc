// jenga.cpp - Jenga: blocks along a space-filling curve; the important ones, and the adjacent ones.
//
// SPDX-License-Identifier: Apache-2.0
//
//   Q --mean per block--> Qm --+
//                              +--> softmax(scale Qm Km^T) --> top mass --+
//   K --mean per block--> Km --+                                         or --> spans --> attend
//                                  blocks that touch the query's block --+
//
// Idea     the video is cut into blocks of `block` tokens along a curve that fills space, so that a
//          block is a compact piece of it. Of M blocks each query block and head keeps the best
//          ones by the softmax over the blocks of mean query and mean key: block after block until
//          those kept hold more than `top_p` of it, and at least int(keep_ratio M); the lower block
//          first among equals, a NaN last and without mass. It also keeps the blocks that it
//          touches: those with a token next to one of its own, also diagonally. With `first_frame`
//          on, blocks with tokens of frame 0 keep each other. Text queries keep every key, text
//          keys are kept by every query.
// Paper    arXiv 2505.16864. The authors order the tokens once for the whole network, with
//          `gilbert` for HunyuanVideo and `sliced_gilbert` with first_frame for Wan; keep_ratio is
//          1 minus their drop rate. Their means count the padding of the last block, and their Wan code
//          takes the first 1 / 21 of the blocks for frame 0; here blocks have just their tokens,
//          and frame 0 is frame 0. Lower resolutions at the start, with a bias on text, are the
//          sampler's business and not built.
// Cost     Mq * Mk * (D + Mk) multiply-adds per head, one read of Q and K, one copy of K and V.
// Passes   pool q, pool k, block scores, top mass, spans of kept keys, gather V, gather K, attend
// Limits   the scores are fp32 in the workspace: 4 * M^2 bytes for each head of a part.

#include "method.h"

#include "../data/curves.h"
#include "../passes/attend.h"
#include "../passes/passes.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

namespace lacuna
{
namespace
{

enum
{
    kBlock,
    kCurve,
    kKeepRatio,
    kTopP,
    kFirstFrame
};

enum
{
    kGilbert,
    kSlicedGilbert
};

const OptionDesc kOptions[] = {
    {"block", OptionType::Int, "128", 1, 65536, "tokens of one block"},
    {"curve", OptionType::Choice, "gilbert", 0, 1,
     "the order of the tokens: through the whole video, or frame by frame",
     "gilbert|sliced_gilbert"},
    {"keep_ratio", OptionType::Float, "0.25", 0, 1,
     "share of the blocks that are kept at least, rounded down"},
    {"top_p", OptionType::Float, "0.3", 0, 1, "share of the softmax that the kept blocks exceed"},
    {"first_frame", OptionType::Choice, "off", 0, 1,
     "on: blocks with tokens of frame 0 keep each other", "off|on"},
};

std::string unsupportedReason(const Problem& p, const Options&)
{
    return p.grid.empty() ? "needs a video grid" : "";
}

std::vector<uint32_t> curveOf(const Size3& size, const Options& options)
{
    return options.integer(kCurve) == kSlicedGilbert ? slicedGilbertCurve(size)
                                                     : gilbertCurve(size);
}

// A bit map [rows, words] that all heads share.
struct BlockBits
{
    explicit BlockBits(uint32_t blocks) : words((blocks + 31) / 32), bits(size_t(blocks) * words) {}
    void set(uint32_t i, uint32_t j) { bits[size_t(i) * words + j / 32] |= 1u << j % 32; }

    uint32_t words;
    std::vector<uint32_t> bits;
};

// The blocks that are kept whatever their score.
std::vector<uint32_t> alwaysKept(const Size3& size, const VideoOrder& order,
                                 const std::vector<uint32_t>& curve, bool has_first_frame)
{
    std::vector<uint32_t> block_of(curve.size());
    for (uint32_t i = 0; i < order.video_blocks; ++i)
    {
        const uint32_t block = order.first_block + i, text = order.borders[order.first_block];
        for (uint32_t at = order.borders[block]; at < order.borders[block + 1]; ++at)
            block_of[curve[at - text]] = block;
    }

    BlockBits always(order.blocks());
    const auto join = [&](uint32_t a, uint32_t b)
    {
        always.set(block_of[a], block_of[b]);
        always.set(block_of[b], block_of[a]);
    };
    // Half of the 26 neighbours of each token, and the token itself.
    constexpr int kSteps[14][3] = {{0, 0, 0},   {0, 0, 1},  {0, 1, -1}, {0, 1, 0},  {0, 1, 1},
                                   {1, -1, -1}, {1, -1, 0}, {1, -1, 1}, {1, 0, -1}, {1, 0, 0},
                                   {1, 0, 1},   {1, 1, -1}, {1, 1, 0},  {1, 1, 1}};
    for (uint32_t token = 0; token < curve.size(); ++token)
        for (const auto& step : kSteps)
        {
            // Unsigned: one below 0 is beyond the end.
            const uint32_t t = token / (size.h * size.w) + uint32_t(step[0]),
                           h = token / size.w % size.h + uint32_t(step[1]),
                           w = token % size.w + uint32_t(step[2]);
            if (t < size.t && h < size.h && w < size.w)
                join(token, (t * size.h + h) * size.w + w);
        }
    std::vector<bool> is_first(order.blocks()); // holds tokens of frame 0
    for (uint32_t token = 0; token < size.h * size.w; ++token)
        is_first[block_of[token]] = has_first_frame;
    for (uint32_t i = 0; i < order.blocks(); ++i)
        for (uint32_t j = 0; j < order.blocks(); ++j)
            if (is_first[i] && is_first[j])
                always.set(i, j);
    return always.bits;
}

Built build(PlanBuilder& b, const Problem& p, const Options& options)
{
    const std::vector<uint32_t> curve = curveOf(p.grid.size, options);
    const VideoOrder order = videoOrder(p.grid, curve, uint32_t(options.integer(kBlock)));

    TopPParams params;
    params.rows = params.blocks = order.blocks();
    params.row_begin = params.candidate_begin = order.first_block;
    params.row_end = params.candidate_end = order.first_block + order.video_blocks;
    params.keep = uint32_t(options.number(kKeepRatio) * order.video_blocks);
    params.share = options.number(kTopP);
    params.always = alwaysKept(p.grid.size, order, curve, options.integer(kFirstFrame) != 0);

    Built built; // max_density stays 1: the mass decides
    built.q_order = built.k_order = order;
    const Slot q_mean = poolBlocks(b, operandQ(p), order, false, "pool q");
    const Slot k_mean = poolBlocks(b, operandK(p), order, false, "pool k");
    const Slot scores = scoreBlocks(b, q_mean, params.rows, k_mean, params.blocks);
    const Slot bits = selectTopP(b, scores, params);
    built.list = spansFromBits(b, bits, params.rows, order, params.blocks);
    const Operand v = gatherTokens(b, operandV(p), order, "gather v");
    const Operand k = gatherTokens(b, operandK(p), order, "gather k");
    attend(b, {operandQ(p), k, v, built.q_order, built.list});
    return built;
}

// The definition. Blocks and tokens are counted without text.
TokenBlocks blocksOf(const Problem& p, const Options& options)
{
    const std::vector<uint32_t> curve = curveOf(p.grid.size, options);
    const uint32_t block = uint32_t(options.integer(kBlock));
    TokenBlocks blocks = {uint32_t((curve.size() + block - 1) / block),
                     std::vector<uint32_t>(curve.size())};
    for (uint32_t place = 0; place < curve.size(); ++place)
        blocks.of_token[curve[place]] = place / block;
    return blocks;
}

// [blocks, blocks]: do two blocks touch, or both hold tokens of frame 0?
std::vector<uint8_t> joined(const Size3& size, const TokenBlocks& blocks, bool has_first_frame)
{
    std::vector<uint8_t> result(size_t(blocks.count) * blocks.count);
    const int T = int(size.t), H = int(size.h), W = int(size.w);
    const auto blockAt = [&](int t, int h, int w)
    {
        return blocks.of_token[size_t((t * H + h) * W + w)];
    };
    for (int t = 0; t < T; ++t)
        for (int h = 0; h < H; ++h)
            for (int w = 0; w < W; ++w)
                for (int u = std::max(t - 1, 0); u <= std::min(t + 1, T - 1); ++u)
                    for (int x = std::max(h - 1, 0); x <= std::min(h + 1, H - 1); ++x)
                        for (int y = std::max(w - 1, 0); y <= std::min(w + 1, W - 1); ++y)
                            result[size_t(blockAt(t, h, w)) * blocks.count + blockAt(u, x, y)] = 1;
    for (int a = 0; has_first_frame && a < H * W; ++a)
        for (int c = 0; c < H * W; ++c)
            result[size_t(blockAt(0, 0, a)) * blocks.count + blockAt(0, 0, c)] = 1;
    return result;
}

// [blocks, D]
std::vector<double> blockMeans(const TokenBlocks& blocks, const float* tokens, uint32_t dim)
{
    std::vector<double> means(size_t(blocks.count) * dim), sizes(blocks.count);
    for (size_t token = 0; token < blocks.of_token.size(); ++token)
    {
        sizes[blocks.of_token[token]] += 1;
        for (uint32_t d = 0; d < dim; ++d)
            means[size_t(blocks.of_token[token]) * dim + d] += tokens[token * dim + d];
    }
    for (size_t i = 0; i < means.size(); ++i)
        means[i] /= sizes[i / dim];
    return means;
}

// The important blocks: the best by softmax until they hold more than top_p, and at least `least`.
std::vector<uint32_t> importantBlocks(const std::vector<double>& scores, double top_p, size_t least)
{
    std::vector<uint32_t> ranked(scores.size());
    std::iota(ranked.begin(), ranked.end(), 0u);
    const auto before = [&](uint32_t a, uint32_t b)
    {
        return std::isnan(scores[b]) ? !std::isnan(scores[a]) : scores[a] > scores[b];
    };
    std::stable_sort(ranked.begin(), ranked.end(), before); // equal ones stay ascending

    const double highest = scores[ranked[0]];
    std::vector<double> mass(scores.size());
    for (size_t j = 0; j < scores.size(); ++j)
        mass[j] = std::isnan(scores[j])  ? 0
                  : scores[j] == highest ? 1
                                         : std::exp(scores[j] - highest);
    double total = 0; // in the order of `held`, so that a share of 1 keeps everything
    for (const uint32_t j : ranked)
        total += mass[j];
    double held = 0;
    size_t need = 0;
    for (; need < ranked.size() && (need < least || held <= top_p * total); ++need)
        held += mass[ranked[need]];
    ranked.resize(need);
    return ranked;
}

// [blocks, blocks] of one head; only the rows of the blocks `wanted` are complete.
std::vector<uint8_t> keptBlocks(const Problem& p, const Options& options, const TokenBlocks& blocks,
                                const std::set<uint32_t>& wanted, const float* q, const float* k)
{
    const uint32_t dim = p.head_dim, text = p.grid.text_before;
    const auto q_means = blockMeans(blocks, q + size_t(text) * dim, dim);
    const auto k_means = blockMeans(blocks, k + size_t(text) * dim, dim);
    const double least = std::floor(options.number(kKeepRatio) * blocks.count);

    std::vector<uint8_t> kept = joined(p.grid.size, blocks, options.integer(kFirstFrame) == 1);
    for (const uint32_t i : wanted)
    {
        std::vector<double> scores(blocks.count);
        for (uint32_t j = 0; j < blocks.count; ++j)
        {
            for (uint32_t d = 0; d < dim; ++d)
                scores[j] += q_means[size_t(i) * dim + d] * k_means[size_t(j) * dim + d];
            scores[j] *= p.scale;
        }
        for (const uint32_t j : importantBlocks(scores, options.number(kTopP), size_t(least)))
            kept[size_t(i) * blocks.count + j] = 1;
    }
    return kept;
}

void reference(const Problem& p, const Options& options, const ReferenceInputs& inputs,
               uint32_t first_query, uint32_t query_count, uint8_t* mask)
{
    const TokenBlocks blocks = blocksOf(p, options);
    fillBlockMask(p, inputs, blocks, first_query, query_count, mask,
                  [&](const std::set<uint32_t>& wanted, const float* q, const float* k)
                  { return keptBlocks(p, options, blocks, wanted, q, k); });
}

} // namespace

extern const Method kJenga;
const Method kJenga = {
    .name = "jenga",
    .title = "blocks along a curve: those that hold the softmax mass, and those nearby",
    .paper = "arXiv 2505.16864, Jenga: Training-Free Efficient Video Generation via Dynamic Token "
             "Carving (its attention)",
    .kind = "dynamic",
    .options = kOptions,
    .unsupportedReason = unsupportedReason,
    .build = build,
    .reference = reference,
};

} // namespace lacuna

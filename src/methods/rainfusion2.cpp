// rainfusion2.cpp - RainFusion2: blocks of windows of a frame, the best by their means, frame 0.
//
// SPDX-License-Identifier: Apache-2.0
//
//   a frame of 10 x 20 tokens in windows of 8 x 8      11111111 22222222 cccc
//   1, 2   a block of 128 tokens                       11111111 22222222 cccc   8 rows
//   r, c   rows below and columns beside the           ...
//          windows, in this order, after them          rrrrrrrrrrrrrrrrrrrrrr   2 rows
//
// Idea     the tokens of a frame are put in the order of its windows of `window` x `window`, raster
//          order in each; then come the rows below the last whole window, and the columns beside
//          it. Where rows or columns are left over, frame 0 stays in raster order. The video is cut
//          into M blocks of `block` tokens. Each query block and head keeps the ceil(keep_ratio M)
//          blocks, in double, whose mean key fits the mean query best; the lower block first among
//          equals, a NaN last; where all are NaN, all blocks. With `first_frame` on, the blocks
//          with tokens of frame 0 keep every key, and every query keeps them. Text queries keep
//          every key, text keys are kept by every query.
// Paper    RainFusion2.0, arXiv 2512.24086, and the authors' code for its versions 2 and 3, which
//          select alike: version 3 may use the list of an earlier step again, as lacunaCmdReuse
//          does here. keep_ratio is 1 minus their sparsity, 0.8 for videos and 0.6 for images.
//          There a block as good as the last one kept is kept as well, after a softmax that makes
//          far ones equal to 0: here exactly so many are. There text counts among the M blocks and
//          is moved to the end, and H or W below 8 is refused. The report speaks of windows of 3
//          axes, the code has those of a frame.
// Cost     Mq * Mk * (D + Mk) multiply-adds per head, one read of Q and K, one copy of K and V.
// Passes   pool q, pool k, block scores, top mass, spans of kept keys, gather V, gather K, attend
// Limits   the scores are fp32 in the workspace: 4 * M^2 bytes for each head of a part.

#include "method.h"

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
    kWindow,
    kKeepRatio,
    kFirstFrame
};

const OptionDesc kOptions[] = {
    {"block", OptionType::Int, "128", 1, 65536, "tokens of one block"},
    {"window", OptionType::Int, "8", 1, 64, "rows and columns of a window of a frame"},
    {"keep_ratio", OptionType::Float, "0.2", 0, 1,
     "share of the key blocks kept per query block, rounded up"},
    {"first_frame", OptionType::Choice, "on", 0, 1,
     "on: blocks with tokens of frame 0 keep every key, and every query keeps them", "off|on"},
};

std::string unsupportedReason(const Problem& p, const Options&)
{
    return p.grid.empty() ? "needs a video grid" : "";
}

std::vector<uint32_t> windowCurve(const Size3& size, uint32_t side)
{
    const uint32_t rows = size.h / side * side, columns = size.w / side * side;
    const bool is_whole = rows == size.h && columns == size.w;
    std::vector<uint32_t> curve;
    for (uint32_t t = 0; t < size.t; ++t)
    {
        const auto append = [&](uint32_t h_begin, uint32_t h_end, uint32_t w_begin, uint32_t w_end)
        {
            for (uint32_t h = h_begin; h < h_end; ++h)
                for (uint32_t w = w_begin; w < w_end; ++w)
                    curve.push_back((t * size.h + h) * size.w + w);
        };
        if (t == 0 && !is_whole)
        {
            append(0, size.h, 0, size.w);
            continue;
        }
        for (uint32_t h = 0; h < rows; h += side)
            for (uint32_t w = 0; w < columns; w += side)
                append(h, h + side, w, w + side);
        append(rows, size.h, 0, size.w);
        append(0, rows, columns, size.w);
    }
    return curve;
}

// The bit map of the blocks that are kept whatever their score: of the first `count` ones of the
// video the rows and the columns.
std::vector<uint32_t> firstBlocks(const VideoOrder& order, uint32_t count)
{
    const uint32_t words = (order.blocks() + 31) / 32;
    std::vector<uint32_t> bits(size_t(order.blocks()) * words);
    for (uint32_t i = 0; i < order.video_blocks; ++i)
        for (uint32_t j = 0; j < order.video_blocks; ++j)
            if (i < count || j < count)
            {
                const uint32_t row = order.first_block + i, column = order.first_block + j;
                bits[size_t(row) * words + column / 32] |= 1u << column % 32;
            }
    return bits;
}

// `first` blocks keep everything, and are kept, as is text; the others keep `keep` blocks more.
double densityBound(const VideoOrder& order, uint32_t keep, uint32_t first)
{
    const double tokens = order.tokens(),
                 first_tokens = order.borders[order.first_block + first] -
                                order.borders[order.first_block],
                 text = tokens - (order.borders[order.first_block + order.video_blocks] -
                                  order.borders[order.first_block]),
                 others = tokens - text - first_tokens;
    const double kept = std::min(tokens, text + first_tokens +
                                             double(keep) * order.blockSize(order.first_block));
    return ((tokens - others) * tokens + others * kept) / (tokens * tokens);
}

Built build(PlanBuilder& b, const Problem& p, const Options& options)
{
    const uint32_t block = uint32_t(options.integer(kBlock)), frame = p.grid.size.h * p.grid.size.w;
    const VideoOrder order = videoOrder(
        p.grid, windowCurve(p.grid.size, uint32_t(options.integer(kWindow))), block);
    const uint32_t first = options.integer(kFirstFrame) != 0 ? (frame - 1) / block + 1 : 0;

    TopPParams params;
    params.rows = params.blocks = order.blocks();
    params.row_begin = params.candidate_begin = order.first_block;
    params.row_end = params.candidate_end = order.first_block + order.video_blocks;
    params.keep =
        std::max(1u, uint32_t(std::ceil(options.number(kKeepRatio) * order.video_blocks)));
    params.always = firstBlocks(order, first);

    Built built;
    built.q_order = built.k_order = order;
    built.max_density = densityBound(order, params.keep, first);
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

// The definition. Blocks and tokens are counted without text. The place of a token of the video:
uint32_t placeOf(const Size3& size, uint32_t side, uint32_t token)
{
    const uint32_t frame = size.h * size.w, t = token / frame, h = token % frame / size.w,
                   w = token % size.w;
    const uint32_t below = size.h % side, beside = size.w % side;
    if (t == 0 && below + beside > 0)
        return token;
    const uint32_t windows = (size.h - below) * (size.w - beside);
    if (h >= size.h - below)
        return t * frame + windows + (h - (size.h - below)) * size.w + w;
    if (w >= size.w - beside)
        return t * frame + windows + below * size.w + h * beside + w - (size.w - beside);
    const uint32_t window = h / side * (size.w / side) + w / side;
    return t * frame + (window * side + h % side) * side + w % side;
}

TokenBlocks blocksOf(const Problem& p, const Options& options)
{
    const uint32_t tokens = uint32_t(p.grid.size.volume()),
                   block = uint32_t(options.integer(kBlock));
    TokenBlocks blocks = {(tokens + block - 1) / block, {}};
    for (uint32_t token = 0; token < tokens; ++token)
        blocks.of_token.push_back(
            placeOf(p.grid.size, uint32_t(options.integer(kWindow)), token) / block);
    return blocks;
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

// Marks the blocks with the best scores.
void markBest(const std::vector<double>& scores, double keep_ratio, uint8_t* kept)
{
    std::vector<uint32_t> ranked(scores.size());
    std::iota(ranked.begin(), ranked.end(), 0u);
    const auto before = [&](uint32_t a, uint32_t b)
    {
        return std::isnan(scores[b]) ? !std::isnan(scores[a]) : scores[a] > scores[b];
    };
    std::stable_sort(ranked.begin(), ranked.end(), before); // equal ones stay ascending
    const size_t wanted = size_t(std::ceil(keep_ratio * double(scores.size())));
    if (!std::isnan(scores[ranked[0]]))
        ranked.resize(std::max<size_t>(wanted, 1));
    for (const uint32_t j : ranked)
        kept[j] = 1;
}

// [blocks, blocks] of one head; only the rows of the blocks `wanted` are complete.
std::vector<uint8_t> keptBlocks(const Problem& p, const Options& options, const TokenBlocks& blocks,
                                const std::set<uint32_t>& wanted, const float* q, const float* k)
{
    const uint32_t dim = p.head_dim, text = p.grid.text_before,
                   frame = p.grid.size.h * p.grid.size.w;
    const auto q_means = blockMeans(blocks, q + size_t(text) * dim, dim);
    const auto k_means = blockMeans(blocks, k + size_t(text) * dim, dim);
    std::vector<uint8_t> kept(size_t(blocks.count) * blocks.count);
    for (const uint32_t i : wanted)
    {
        std::vector<double> scores(blocks.count);
        for (uint32_t j = 0; j < blocks.count; ++j)
            for (uint32_t d = 0; d < dim; ++d)
                scores[j] += q_means[size_t(i) * dim + d] * k_means[size_t(j) * dim + d];
        markBest(scores, options.number(kKeepRatio), &kept[size_t(i) * blocks.count]);
    }
    for (uint32_t token = 0; token < frame && options.integer(kFirstFrame) == 1; ++token)
        for (uint32_t j = 0; j < blocks.count; ++j)
            kept[size_t(blocks.of_token[token]) * blocks.count + j] =
                kept[size_t(j) * blocks.count + blocks.of_token[token]] = 1;
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

extern const Method kRainfusion2;
const Method kRainfusion2 = {
    .name = "rainfusion2",
    .title = "blocks of windows of a frame with the best mean scores, and frame 0",
    .paper = "arXiv 2512.24086, RainFusion2.0: Temporal-Spatial Awareness and Hardware-Efficient "
             "Block-wise Sparse Attention",
    .kind = "dynamic",
    .options = kOptions,
    .unsupportedReason = unsupportedReason,
    .build = build,
    .reference = reference,
};

} // namespace lacuna

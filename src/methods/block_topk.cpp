// block_topk.cpp - keep the key blocks whose mean key fits the mean query best.
//
// SPDX-License-Identifier: Apache-2.0
//
//   Q --mean per block--> Qm --+
//                              +--> W = Qm Km^T --> top blocks of each row --> spans --> attend
//   K --mean per block--> Km --+
//
// Idea     coarse scores predict where the softmax mass goes; many video methods start from this. With a grid the
//          blocks are 3-D tiles (border tiles hold just their real tokens), without one they are runs of `block`
//          tokens. Of M blocks each query block and head keeps max(1, ceil(keep_ratio * M)), evaluated in double:
//            first the forced ones, |j - own(i)| <= local_radius, where own(i) = floor((2i + 1) M / (2 Mq)) is the
//            block at the same place: i itself unless there are more query blocks than key blocks, or fewer;
//            then the best scores, the lower block first among equals; a score that is NaN comes last.
//          If more are forced than may be kept, exactly the forced ones are. Text queries keep every key, text keys are
//          kept by every query, and neither is counted.
// Paper    the selection of VSA (arXiv 2505.13389) without its coarse branch; W is not softmaxed, which keeps its
//          order.
// Cost     Mq * Mk * D multiply-adds per head, one read of Q and K, one copy of K and V when there is a grid.
// Passes   pool q, pool k, block scores, top blocks, spans of kept keys, gather V, gather K, attend
// Limits   the scores are fp32 in the workspace: 4 * Mq * Mk bytes for each head of a part.

#include "method.h"

#include "../passes/attend.h"
#include "../passes/passes.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

namespace lacuna
{
namespace
{

enum
{
    kTile,
    kBlock,
    kKeepRatio,
    kLocalRadius
};

const OptionDesc kOptions[] = {
    {"tile", OptionType::Size3, "4x4x4", 1, 64, "tokens of one block, with a grid: frames x rows x columns"},
    {"block", OptionType::Int, "64", 1, 65536, "tokens of one block, without a grid"},
    {"keep_ratio", OptionType::Float, "0.25", 0, 1, "share of the key blocks kept per query block, rounded up"},
    {"local_radius", OptionType::Int, "0", 0, 1048576, "blocks at most this far from the query's own are kept"},
};

std::string unsupportedReason(const Problem&, const Options&)
{
    return {};
}

uint32_t keepCount(const Options& options, uint32_t blocks)
{
    return std::max(1u, uint32_t(std::ceil(options.number(kKeepRatio) * blocks)));
}

// Bounds for the keys of a row of video, and kept pairs / all pairs if every row kept its largest
// blocks.
void boundKeys(Built& built, const TopkParams& params, uint32_t max_kept)
{
    const auto size = [&](uint32_t block) { return built.k_order.blockSize(block); };
    std::vector<uint32_t> sizes;
    for (uint32_t block = params.candidate_begin; block < params.candidate_end; ++block)
        sizes.push_back(size(block));
    std::sort(sizes.begin(), sizes.end(), std::greater<>());

    const uint32_t video_begin = built.k_order.borders[params.candidate_begin];
    const uint32_t video_end = built.k_order.borders[params.candidate_end];
    const uint32_t k_len = built.k_order.borders.back(), q_len = built.q_order.borders.back();
    const uint32_t text_keys = k_len - (video_end - video_begin);
    const uint32_t max_keys = std::accumulate(sizes.begin(), sizes.begin() + max_kept, text_keys);
    built.list.min_keys = std::accumulate(sizes.end() - params.keep, sizes.end(), text_keys);

    const double video_queries = double(built.q_order.borders[params.row_end]) -
                                 built.q_order.borders[params.row_begin];
    const double text_queries = q_len - video_queries;
    built.list.max_keys = text_queries > 0 ? k_len : max_keys;
    built.max_density =
        (video_queries * max_keys + text_queries * k_len) / (double(q_len) * k_len);
}

Built build(PlanBuilder& b, const Problem& p, const Options& options)
{
    Built built;
    TopkParams params;
    if (p.grid.empty())
    {
        built.q_order = rasterOrder(p.q_len, uint32_t(options.integer(kBlock)));
        built.k_order = rasterOrder(p.k_len, uint32_t(options.integer(kBlock)));
    }
    else
    {
        const TileOrder order = tileOrder(p.grid, options.size3(kTile));
        built.q_order = built.k_order = order;
        params.row_begin = params.candidate_begin = order.first_block;
    }
    const uint32_t text_after = p.grid.text_after > 0 ? 1 : 0;
    params.rows = built.q_order.blocks();
    params.blocks = built.k_order.blocks();
    params.row_end = params.rows - text_after;
    params.candidate_end = params.blocks - text_after;

    const uint32_t candidates = params.candidate_end - params.candidate_begin;
    params.keep = keepCount(options, candidates);
    params.local_radius = uint32_t(options.integer(kLocalRadius));
    const uint32_t max_kept = std::min(candidates, std::max(params.keep, 2 * params.local_radius + 1));

    const Slot q_mean = poolBlocks(b, operandQ(p), built.q_order, false, "pool q");
    const Slot k_mean = poolBlocks(b, operandK(p), built.k_order, false, "pool k");
    const Slot scores = scoreBlocks(b, q_mean, params.rows, k_mean, params.blocks);
    const Slot bits = selectTopk(b, scores, params);
    built.list = spansFromBits(b, bits, params.rows, built.k_order, max_kept + params.blocks - candidates);
    boundKeys(built, params, max_kept);
    const Operand v = gatherTokens(b, operandV(p), built.k_order, "gather v");
    const Operand k = gatherTokens(b, operandK(p), built.k_order, "gather k");
    attend(b, {operandQ(p), k, v, built.q_order, built.list});
    return built;
}

// The definition. Blocks are numbered without text; kText marks the text.
constexpr uint32_t kText = ~0u;

struct Blocks
{
    uint32_t count = 0;
    std::vector<uint32_t> of_token;
};

Blocks blocksOf(const Problem& p, const Options& options, uint32_t tokens)
{
    Blocks blocks;
    blocks.of_token.assign(tokens, kText);
    if (p.grid.empty())
    {
        const uint32_t block = uint32_t(options.integer(kBlock));
        for (uint32_t token = 0; token < tokens; ++token)
            blocks.of_token[token] = token / block;
        blocks.count = (tokens - 1) / block + 1;
        return blocks;
    }
    const Size3 tile = options.size3(kTile), size = p.grid.size;
    const uint32_t tiles_h = (size.h - 1) / tile.h + 1, tiles_w = (size.w - 1) / tile.w + 1;
    for (uint32_t t = 0; t < size.t; ++t)
        for (uint32_t h = 0; h < size.h; ++h)
            for (uint32_t w = 0; w < size.w; ++w)
                blocks.of_token[p.grid.token(t, h, w)] =
                    (t / tile.t * tiles_h + h / tile.h) * tiles_w + w / tile.w;
    blocks.count = ((size.t - 1) / tile.t + 1) * tiles_h * tiles_w;
    return blocks;
}

// [blocks, D]
std::vector<double> blockMeans(const Blocks& blocks, const float* tokens, uint32_t dim)
{
    std::vector<double> means(uint64_t(blocks.count) * dim);
    std::vector<uint32_t> sizes(blocks.count);
    for (size_t token = 0; token < blocks.of_token.size(); ++token)
    {
        const uint32_t block = blocks.of_token[token];
        if (block == kText)
            continue;
        ++sizes[block];
        for (uint32_t d = 0; d < dim; ++d)
            means[uint64_t(block) * dim + d] += tokens[token * dim + d];
    }
    for (size_t i = 0; i < means.size(); ++i)
        means[i] /= sizes[i / dim];
    return means;
}

// The kept key blocks of query block i, in any order.
std::vector<uint32_t> keptBlocks(const double* q_mean, const std::vector<double>& k_means, uint32_t dim,
                                 uint64_t own, const Options& options)
{
    const uint32_t blocks = uint32_t(k_means.size() / dim);
    const uint64_t radius = uint64_t(options.integer(kLocalRadius));
    std::vector<double> scores(blocks);
    std::vector<uint32_t> kept, others;
    for (uint32_t j = 0; j < blocks; ++j)
    {
        for (uint32_t d = 0; d < dim; ++d)
            scores[j] += q_mean[d] * k_means[uint64_t(j) * dim + d];
        const uint64_t distance = j > own ? j - own : own - j;
        (distance <= radius ? kept : others).push_back(j);
    }
    const auto before = [&](uint32_t a, uint32_t b)
    { return std::isnan(scores[b]) ? !std::isnan(scores[a]) : scores[a] > scores[b]; };
    std::stable_sort(others.begin(), others.end(), before); // equal ones stay ascending

    const double wanted = std::ceil(options.number(kKeepRatio) * blocks);
    for (uint32_t j : others)
        if (kept.empty() || double(kept.size()) < wanted)
            kept.push_back(j);
    return kept;
}

void reference(const Problem& p, const Options& options, const ReferenceInputs& inputs, uint32_t first_query,
               uint32_t query_count, uint8_t* mask)
{
    const Blocks q_blocks = blocksOf(p, options, p.q_len), k_blocks = blocksOf(p, options, p.k_len);
    const uint64_t q_size = uint64_t(p.q_len) * p.head_dim, k_size = uint64_t(p.k_len) * p.head_dim;
    for (uint32_t slice = 0; slice < p.heads(); ++slice)
    {
        const uint64_t kv_slice = slice / p.q_heads * p.kv_heads + p.keyHead(slice % p.q_heads);
        const auto q_means = blockMeans(q_blocks, inputs.q + slice * q_size, p.head_dim);
        const auto k_means = blockMeans(k_blocks, inputs.k + kv_slice * k_size, p.head_dim);

        std::vector<std::vector<uint8_t>> rows(q_blocks.count); // made when first needed
        for (uint32_t i = 0; i < query_count; ++i)
        {
            const uint32_t block = q_blocks.of_token[first_query + i];
            if (block != kText && rows[block].empty())
            {
                const uint64_t own = (2 * uint64_t(block) + 1) * k_blocks.count / (2 * q_blocks.count);
                rows[block].resize(k_blocks.count);
                for (uint32_t j : keptBlocks(&q_means[uint64_t(block) * p.head_dim], k_means, p.head_dim, own, options))
                    rows[block][j] = 1;
            }
            uint8_t* row = mask + (uint64_t(slice) * query_count + i) * p.k_len;
            for (uint32_t key = 0; key < p.k_len; ++key)
            {
                const uint32_t key_block = k_blocks.of_token[key];
                row[key] = block == kText || key_block == kText || rows[block][key_block];
            }
        }
    }
}

} // namespace

extern const Method kBlockTopk;
const Method kBlockTopk = {
    .name = "block_topk",
    .title = "the key blocks with the best mean scores",
    .paper = "arXiv 2505.13389, VSA: Faster Video Diffusion with Trainable Sparse Attention (its block selection)",
    .kind = "dynamic",
    .options = kOptions,
    .unsupportedReason = unsupportedReason,
    .build = build,
    .reference = reference,
};

} // namespace lacuna

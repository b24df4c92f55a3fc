// estimate.cpp - ESTIMATE: block means, and scores of block pairs.
//
// SPDX-License-Identifier: Apache-2.0

#include "passes.h"

#include "../../shaders/shared/estimate.h"

#include <algorithm>

namespace lacuna
{
namespace
{

constexpr uint32_t kThreads = 64;
constexpr uint32_t kUnit = 8;          // elements of one stride unit
constexpr uint32_t kRowsPerThread = 8; // kRows of block_scores.comp

} // namespace

Slot poolBlocks(PlanBuilder& b, const Operand& operand, const TokenOrder& order, bool gathered,
                const char* name)
{
    const uint32_t dim = b.problem().head_dim;
    const uint64_t slices = uint64_t(b.problem().batch) * operand.heads;
    const Slot mean = b.workspace(slices * order.blocks() * dim * sizeof(float));
    const Slot perm = gathered || order.perm.empty() ? Slot() : b.constants(order.perm);

    PoolPush push = {};
    push.blocks = order.blocks();
    push.heads = operand.heads;
    push.slices = uint32_t(slices);
    push.source_batch = uint32_t(operand.strides.batch / kUnit);
    push.source_head = uint32_t(operand.strides.head / kUnit);
    push.source_token = uint32_t(operand.strides.token / kUnit);

    b.pass(Shader::pool, name)
        .read(offsetof(PoolPush, source), operand.slot)
        .read(offsetof(PoolPush, order), perm)
        .read(offsetof(PoolPush, borders), b.constants(order.borders))
        .write(offsetof(PoolPush, mean), mean)
        .spec({kThreads, dim, uint32_t(operand.dtype)})
        .push(push)
        .groups(push.blocks, std::min(push.slices, b.caps().max_groups[1]));
    return mean;
}

Slot scoreBlocks(PlanBuilder& b, Slot q_mean, uint32_t rows, Slot k_mean, uint32_t blocks)
{
    const Problem& p = b.problem();
    const Slot scores = b.workspace(uint64_t(p.heads()) * rows * blocks * sizeof(float));

    BlockScoresPush push = {};
    push.rows = rows;
    push.blocks = blocks;
    push.slices = p.heads();
    push.kv_group = p.q_heads / p.kv_heads;

    b.pass(Shader::block_scores, "block scores")
        .read(offsetof(BlockScoresPush, q_mean), q_mean)
        .read(offsetof(BlockScoresPush, k_mean), k_mean)
        .write(offsetof(BlockScoresPush, scores), scores)
        .spec({kThreads, p.head_dim})
        .push(push)
        .groups((blocks + kThreads - 1) / kThreads, (rows + kRowsPerThread - 1) / kRowsPerThread,
                std::min(push.slices, b.caps().max_groups[2]));
    return scores;
}

} // namespace lacuna

// coreset.cpp - ORDER: the keys of every head, those that stand for the others first.
//
// SPDX-License-Identifier: Apache-2.0
#include "passes.h"

#include "../../shaders/shared/coreset.h"

#include <algorithm>
#include <numeric>

namespace lacuna
{
namespace
{

constexpr uint32_t kThreads = 64; // tokens of the largest bucket
constexpr uint32_t kUnit = 8;     // elements of one stride unit

std::vector<CoresetBlock> makeBlocks(const Coreset& coreset)
{
    const VideoOrder& buckets = coreset.buckets;
    const uint32_t first = buckets.borders[buckets.first_block];
    uint32_t kept = first + buckets.video_blocks, merged = first + coreset.tokens();
    std::vector<CoresetBlock> blocks;
    for (uint32_t i = 0; i < buckets.blocks(); ++i)
    {
        CoresetBlock block = {};
        block.begin = buckets.borders[i];
        block.end = buckets.borders[i + 1];
        const uint32_t bucket = i - buckets.first_block; // wraps to a large number for text before
        if (bucket < buckets.video_blocks)
        {
            block.size = block.end - block.begin;
            block.centre = coreset.centres[bucket];
            block.kept = coreset.kept[bucket];
            block.centre_first = first + bucket;
            block.kept_first = kept;
            block.merged_first = merged;
            kept += block.kept;
            merged += block.size - 1 - block.kept;
        }
        blocks.push_back(block);
    }
    return blocks;
}

// Also of the identity.
std::vector<uint32_t> tableOf(const TokenOrder& order)
{
    std::vector<uint32_t> table = order.perm;
    if (table.empty())
    {
        table.resize(order.tokens());
        std::iota(table.begin(), table.end(), 0u);
    }
    return table;
}

} // namespace

uint32_t Coreset::tokens() const
{
    uint32_t sum = buckets.video_blocks;
    for (const uint32_t margin : kept)
        sum += margin;
    return sum;
}

Slot coresetOrder(PlanBuilder& b, const Operand& compared, const Coreset& coreset)
{
    const Problem& p = b.problem();
    CoresetPush push = {};
    push.tokens = compared.tokens;
    push.heads = p.q_heads;
    push.slices = p.heads();
    push.source_batch = uint32_t(compared.strides.batch / kUnit);
    push.source_head = uint32_t(compared.strides.head / kUnit);
    push.source_token = uint32_t(compared.strides.token / kUnit);
    const Slot order = b.workspace(uint64_t(push.slices) * push.tokens * sizeof(uint32_t));

    b.pass(Shader::coreset, "coreset of the keys")
        .read(offsetof(CoresetPush, source), compared.slot)
        .read(offsetof(CoresetPush, blocks), b.constants(makeBlocks(coreset)))
        .read(offsetof(CoresetPush, members), b.constants(tableOf(coreset.buckets)))
        .read(offsetof(CoresetPush, routes), b.constants(coreset.has_coreset))
        .read(offsetof(CoresetPush, others), b.constants(tableOf(coreset.others)))
        .write(offsetof(CoresetPush, order), order)
        .spec({kThreads, p.head_dim, uint32_t(compared.dtype),
               p.q_heads / compared.heads})
        .push(push)
        .groups(coreset.buckets.blocks(), std::min(push.slices, b.caps().max_groups[1]));
    return order;
}

} // namespace lacuna

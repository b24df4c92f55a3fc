// order.cpp - ORDER: the operands of the problem, and copies of them in the method's order.
//
// SPDX-License-Identifier: Apache-2.0

#include "passes.h"

#include "../../shaders/shared/flat_group.h"
#include "../../shaders/shared/order.h"

#include <algorithm>

namespace lacuna
{
namespace
{

constexpr uint32_t kVectorBytes = 16;
constexpr uint32_t kThreads = 64;

// What an order is for; as in gather.comp.
enum
{
    kOneOrder, // all heads
    kPerHead,
    kPerSlice, // a head of one batch
};

Operand gather(PlanBuilder& b, const Operand& operand, Slot order, uint32_t heads, uint32_t orders,
               const char* name)
{
    const uint32_t elements_per_vector = kVectorBytes / dtypeBytes(operand.dtype);
    const uint32_t vectors = b.problem().head_dim / elements_per_vector;
    const uint64_t slices = uint64_t(b.problem().batch) * heads;

    Operand dense = operand;
    dense.heads = heads;
    dense.slot = b.workspace(slices * operand.tokens * vectors * kVectorBytes);
    dense.strides.token = b.problem().head_dim;
    dense.strides.head = dense.strides.token * operand.tokens;
    dense.strides.batch = dense.strides.head * heads;
    dense.order = order;
    dense.orders = orders == kOneOrder ? 1 : orders == kPerHead ? heads : uint32_t(slices);

    GatherPush push = {};
    push.tokens = operand.tokens;
    push.heads = heads;
    push.slices = uint32_t(slices);
    push.source_batch = uint32_t(operand.strides.batch / elements_per_vector);
    push.source_head = uint32_t(operand.strides.head / elements_per_vector);
    push.source_token = uint32_t(operand.strides.token / elements_per_vector);

    const uint32_t groups =
        uint32_t((uint64_t(operand.tokens) * vectors + kThreads - 1) / kThreads);
    PassBuilder pass = b.pass(Shader::gather, name);
    if (operand.slot == PlanBuilder::caller(Caller::V))
        pass.attend(); // selection has no v
    pass.read(offsetof(GatherPush, source), operand.slot)
        .read(offsetof(GatherPush, order), order)
        .write(offsetof(GatherPush, dense), dense.slot)
        .spec({kThreads, vectors, heads / operand.heads, orders})
        .push(push)
        .groups(std::min(groups, kGroupsPerRow),
                std::min(push.slices, b.caps().max_groups[1]),
                (groups + kGroupsPerRow - 1) / kGroupsPerRow);
    return dense;
}

} // namespace

Operand operandQ(const Problem& p)
{
    return {PlanBuilder::caller(Caller::Q), p.dtype, p.q_heads, p.q_len, p.q};
}

Operand operandK(const Problem& p)
{
    return {PlanBuilder::caller(Caller::K), p.dtype, p.kv_heads, p.k_len, p.k};
}

Operand operandV(const Problem& p)
{
    return {PlanBuilder::caller(Caller::V), p.dtype, p.kv_heads, p.k_len, p.v};
}

Operand gatherTokens(PlanBuilder& b, const Operand& operand, const TokenOrder& order, const char* name)
{
    if (order.perm.empty())
        return operand;
    if (order.heads == 1)
        return gather(b, operand, b.constants(order.perm), operand.heads, kOneOrder, name);
    return gather(b, operand, b.constants(order.perm), order.heads, kPerHead, name);
}

Operand gatherTokens(PlanBuilder& b, const Operand& operand, Slot order, const char* name)
{
    return gather(b, operand, order, b.problem().q_heads, kPerSlice, name);
}

} // namespace lacuna

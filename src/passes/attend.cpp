// attend.cpp - ATTEND: chooses a kernel family, and records its dispatch.
//
// SPDX-License-Identifier: Apache-2.0
#include "attend.h"

#include "../../shaders/shared/attend.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace lacuna
{
namespace
{

// The tiles of every list row, in order: one workgroup each.
std::vector<AttendItem> makeItems(const TokenOrder& order, uint32_t rows_per_tile)
{
    std::vector<AttendItem> items;
    for (uint32_t row = 0; row < order.blocks(); ++row)
        for (uint32_t begin = order.borders[row]; begin < order.borders[row + 1]; begin += rows_per_tile)
            items.push_back({begin, std::min(begin + rows_per_tile, order.borders[row + 1]), row, 0});
    return items;
}

// The kernels hold strides in units of 8 elements.
uint32_t stride8(uint64_t elements)
{
    return uint32_t(elements / 8);
}

AttendParams makeParams(const Problem& p, const AttendInputs& in)
{
    AttendParams params = {};
    params.q_len = p.q_len;
    params.k_len = p.k_len;
    params.q_heads = p.q_heads;
    params.kv_group = p.q_heads / p.kv_heads;
    params.head_stride = in.list.head_stride;
    params.scale_log2 = float(p.scale * std::log2(std::exp(1.0)));
    params.q_batch = stride8(in.q.strides.batch);
    params.q_head = stride8(in.q.strides.head);
    params.q_token = stride8(in.q.strides.token);
    params.k_batch = stride8(in.k.strides.batch);
    params.k_head = stride8(in.k.strides.head);
    params.k_token = stride8(in.k.strides.token);
    params.v_batch = stride8(in.v.strides.batch);
    params.v_head = stride8(in.v.strides.head);
    params.v_token = stride8(in.v.strides.token);
    params.out_batch = stride8(p.out.batch);
    params.out_head = stride8(p.out.head);
    params.out_token = stride8(p.out.token);
    return params;
}

} // namespace

std::string tierRefusal(const Caps& caps, const Problem& problem, const AttendVariant& variant, bool forced)
{
    const std::string& refusal = caps.refusals[variant.tier];
    return refusal.empty() ? variant.unsupportedReason(caps, problem, forced) : refusal;
}

LacunaResult chooseAttend(const Caps& caps, const Problem& problem, LacunaTier tier,
                          std::span<const LacunaOption> tuning, AttendChoice& choice, std::string& sentence)
{
    const bool is_forced = tier != LACUNA_TIER_AUTO;
    if (is_forced && tier != LACUNA_TIER_SCALAR && tier != LACUNA_TIER_COOPMAT)
    {
        sentence = "tier is " + std::to_string(int(tier)) +
                   ", expected LACUNA_TIER_AUTO, LACUNA_TIER_SCALAR or LACUNA_TIER_COOPMAT";
        return LACUNA_ERROR_INVALID_ARGUMENT;
    }
    for (const AttendVariant* variant : attendVariants())
    {
        if (is_forced && variant->tier != tier)
            continue;
        std::string reason = tierRefusal(caps, problem, *variant, is_forced);
        if (reason.empty())
        {
            const std::string owner = std::string("tier '") + variant->name + "'";
            Options options;
            if (!parseOptions(variant->tuning, tuning, owner.c_str(), options, sentence))
                return LACUNA_ERROR_INVALID_ARGUMENT;
            choice.variant = variant;
            if (variant->chooseTile(caps, problem, options, choice.tile, reason))
                return LACUNA_SUCCESS;
        }
        choice.refusals.push_back({variant->name, reason});
    }
    for (const AttendChoice::Refusal& refusal : choice.refusals)
        sentence += (sentence.empty() ? "" : "; ") + std::string("tier '") + refusal.name + "': " + refusal.reason;
    return LACUNA_ERROR_UNSUPPORTED;
}

void attend(PlanBuilder& b, const AttendInputs& in)
{
    const Problem& p = b.problem();
    const AttendChoice& choice = b.attendChoice();
    const std::vector<AttendItem> items = makeItems(in.q_order, choice.tile.rows);
    const AttendParams params = makeParams(p, in);
    const Slot order = in.q_order.perm.empty() ? Slot{} : b.constants(in.q_order.perm);

    b.pass(choice.variant->shader(b.caps(), p, choice.tile), std::string("attend ") + choice.variant->name)
        .attend()
        .spec(choice.tile.spec)
        .subgroupSize(choice.tile.subgroup_size)
        .push(AttendPush{})
        .read(offsetof(AttendPush, params), b.constants(&params, sizeof params))
        .read(offsetof(AttendPush, items), b.constants(items))
        .read(offsetof(AttendPush, order), order)
        .read(offsetof(AttendPush, ranges), in.list.ranges)
        .read(offsetof(AttendPush, spans), in.list.spans)
        .read(offsetof(AttendPush, q), in.q.slot)
        .read(offsetof(AttendPush, k), in.k.slot)
        .read(offsetof(AttendPush, v), in.v.slot)
        .write(offsetof(AttendPush, result), PlanBuilder::caller(Caller::Out))
        .write(offsetof(AttendPush, lse), PlanBuilder::caller(Caller::Lse))
        .groups(uint32_t(items.size()), p.q_heads, p.batch);
}

} // namespace lacuna

// attend.cpp - ATTEND: chooses a kernel family, and records its dispatch.
//
// SPDX-License-Identifier: Apache-2.0
#include "attend.h"
#include "work.h"

#include "../../shaders/shared/attend.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <utility>
#include <vector>

namespace lacuna
{

extern const AttendVariant kAttendCoopmat2, kAttendCoopmat, kAttendScalar;

namespace
{

// The kernels hold strides in units of 8 elements.
uint32_t stride8(uint64_t elements)
{
    return uint32_t(elements / 8);
}

AttendParams makeParams(const Problem& p, const AttendInputs& in, const Work& work)
{
    AttendParams params = {};
    params.q_len = p.q_len;
    params.k_len = p.k_len;
    params.q_heads = p.q_heads;
    params.kv_group = p.q_heads / in.k.heads;
    params.head_stride = in.list.head_stride;
    params.slots = work.slots;
    params.order_head = in.q_order.heads > 1 ? p.q_len : 0;
    params.sink_keys = in.list.bounds ? in.list.bounds->sinks : 0;
    params.box_guard = in.list.bounds ? in.list.bounds->guard : 0;
    params.key_orders = in.k.orders;
    params.cap_log2 = float(p.soft_cap * std::log2(std::exp(1.0)));
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
    params.first_batch = p.first_batch;
    params.first_head = p.first_head;
    return params;
}

// Kernels add a 32-bit index of 4-channel quads to the base of a head, and count strides of 8
// channels in 32 bits.
std::string addressFault(const Problem& p)
{
    struct Tensor
    {
        const char* name;
        const Strides& strides;
        uint32_t heads, tokens;
    };
    constexpr uint64_t kMaxHead = uint64_t(1) << 33;
    constexpr uint64_t kMaxTensor = uint64_t(1) << 35;
    for (const Tensor& t :
         {Tensor{"q", p.q, p.q_heads, p.q_len}, Tensor{"k", p.k, p.kv_heads, p.k_len},
          Tensor{"v", p.v, p.kv_heads, p.k_len}, Tensor{"out", p.out, p.q_heads, p.q_len}})
    {
        const uint64_t head = t.tokens * t.strides.token;
        const uint64_t tensor = p.batch * t.strides.batch + t.heads * t.strides.head;
        if (head > kMaxHead || tensor > kMaxTensor)
            return std::string(t.name) + " reaches over " + std::to_string(head) +
                   " elements per head and " + std::to_string(tensor) +
                   " in all, the kernels reach " + std::to_string(kMaxHead) + " and " +
                   std::to_string(kMaxTensor);
    }
    return {};
}

// A dense copy of all heads of K or V, with rows of `row` elements of so many bytes; a head takes
// so many invocations. It belongs to ATTEND: lacunaCmdSelect, which may have no V, stops before it.
Operand copyRows(PlanBuilder& b, const Operand& operand, Shader shader, const char* name,
                 uint64_t row, uint64_t element_bytes, uint64_t invocations)
{
    constexpr uint32_t kThreads = 64;
    const Problem& p = b.problem();
    Operand copy = operand;
    copy.strides.token = row;
    copy.strides.head = row * operand.tokens;
    copy.strides.batch = copy.strides.head * operand.heads;
    copy.slot = b.workspace(p.batch * copy.strides.batch * element_bytes);

    CopyPush push = {};
    push.tokens = operand.tokens;
    push.batch = stride8(operand.strides.batch);
    push.head = stride8(operand.strides.head);
    push.token = stride8(operand.strides.token);
    push.heads = operand.heads;
    push.slice_groups = uint32_t((invocations + kThreads - 1) / kThreads);
    b.pass(shader, name)
        .attend()
        .spec({kThreads, p.head_dim, uint32_t(p.dtype)})
        .push(push)
        .read(offsetof(CopyPush, source), operand.slot)
        .write(offsetof(CopyPush, copy), copy.slot)
        .flatGroups(uint64_t(p.batch) * operand.heads * push.slice_groups,
                    offsetof(CopyPush, first_group));
    return copy;
}

// K as 8-bit integers, with a scale behind each row; see round_keys.comp.
Operand roundKeys(PlanBuilder& b, const Operand& operand)
{
    return copyRows(b, operand, Shader::attend_round_keys, "round keys", b.problem().head_dim + 8,
                    1, operand.tokens);
}

// K or V in fp32.
Operand widen(PlanBuilder& b, const Operand& operand, const char* name)
{
    const uint32_t head_dim = b.problem().head_dim;
    Operand wide = copyRows(b, operand, Shader::attend_widen, name, head_dim, sizeof(float),
                            uint64_t(operand.tokens) * head_dim / 8);
    wide.dtype = LACUNA_DTYPE_F32;
    return wide;
}

// The caller's kernel in place of the chosen one, where there are any. False: none is for it.
bool takeKernel(const Caps& caps, const Problem& problem, std::span<const LacunaKernelCode> kernels,
                AttendChoice& choice, std::string& reason)
{
    if (kernels.empty())
        return true;
    const char* const name =
        kShaders[uint32_t(choice.variant->shader(caps, problem, choice.tile))].name;
    for (const LacunaKernelCode& kernel : kernels)
        if (kernel.shader && kernel.words && std::strcmp(kernel.shader, name) == 0)
            choice.words.assign(kernel.words, kernel.words + kernel.word_count);
    if (!choice.words.empty())
        return true;
    reason = "kernels has none for its shader '" + std::string(name) + "'";
    return false;
}

} // namespace

Slot sinkLogits(PlanBuilder& b)
{
    std::vector<float> sinks;
    for (const float logit : b.problem().sink_logits)
        sinks.push_back(std::max(float(logit * std::log2(std::exp(1.0))), -1e37f));
    return sinks.empty() ? Slot{} : b.constants(sinks);
}

std::span<const AttendVariant* const> attendVariants()
{
    static const AttendVariant* const variants[] = {&kAttendCoopmat2, &kAttendCoopmat,
                                                    &kAttendScalar};
    return variants;
}

std::string tierRefusal(const Caps& caps, const Problem& problem, const AttendVariant& variant,
                        bool forced)
{
    const std::string& refusal = caps.refusals[variant.tier];
    return refusal.empty() ? variant.unsupportedReason(caps, problem, forced) : refusal;
}

LacunaResult chooseAttend(const Caps& caps, const Problem& problem, LacunaTier tier,
                          std::span<const LacunaOption> tuning,
                          std::span<const LacunaKernelCode> kernels, AttendChoice& choice,
                          std::string& sentence)
{
    const bool is_forced = tier != LACUNA_TIER_AUTO;
    if (tier < LACUNA_TIER_AUTO || tier > LACUNA_TIER_COOPMAT2)
    {
        sentence = "tier is " + std::to_string(int(tier)) +
                   ", expected LACUNA_TIER_AUTO, LACUNA_TIER_SCALAR, LACUNA_TIER_COOPMAT or "
                   "LACUNA_TIER_COOPMAT2";
        return LACUNA_ERROR_INVALID_ARGUMENT;
    }
    sentence = addressFault(problem);
    if (!sentence.empty())
        return LACUNA_ERROR_UNSUPPORTED;
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
            if (variant->chooseTile(caps, problem, options, choice.tile, reason) &&
                takeKernel(caps, problem, kernels, choice, reason))
                return LACUNA_SUCCESS;
        }
        choice.refusals.push_back({variant->name, reason});
    }
    for (const AttendChoice::Refusal& refusal : choice.refusals)
        sentence += (sentence.empty() ? "" : "; ") + std::string("tier '") + refusal.name +
                    "': " + refusal.reason;
    return LACUNA_ERROR_UNSUPPORTED;
}

void attend(PlanBuilder& b, const AttendInputs& inputs)
{
    const Problem& p = b.problem();
    const AttendChoice& choice = b.attendChoice();
    AttendInputs in = inputs;
    if (choice.tile.round_keys)
        in.k = roundKeys(b, inputs.k);
    else if (choice.tile.widen_keys)
        in.k = widen(b, inputs.k, "widen keys");
    if (choice.tile.widen_keys)
        in.v = widen(b, inputs.v, "widen values");
    const Work work = makeWork(b, in, choice.tile);
    if (b.result() != LACUNA_SUCCESS)
        return;
    const AttendParams params = makeParams(p, in, work);
    const Slot order = in.q_order.perm.empty() ? Slot{} : b.constants(in.q_order.perm);

    std::vector<uint32_t> spec = choice.tile.spec;
    spec.push_back(work.merge_count > 0);
    const KeyBounds none, &bounds = in.list.bounds ? *in.list.bounds : none;
    const bool has_windows = !bounds.windows.empty(), has_boxes = !bounds.boxes.empty();
    spec.push_back(has_windows);
    spec.push_back(has_boxes);
    spec.push_back(p.soft_cap > 0);
    const Slot query_bounds = has_windows ? b.constants(bounds.windows)
                              : has_boxes ? b.constants(bounds.boxes)
                                          : Slot{};
    const Slot places = has_boxes ? b.constants(bounds.places) : Slot{};
    const Slot sinks = sinkLogits(b);
    AttendPush push = {};
    push.item_count = work.item_count;
    b.pass(choice.variant->shader(b.caps(), p, choice.tile),
           std::string("attend ") + choice.variant->name)
        .attend()
        .code(choice.words)
        .spec(std::move(spec))
        .subgroupSize(choice.tile.subgroup_size)
        .push(push)
        .read(offsetof(AttendPush, params), b.constants(&params, sizeof params))
        .read(offsetof(AttendPush, items), work.items)
        .read(offsetof(AttendPush, order), order)
        .read(offsetof(AttendPush, ranges), in.list.ranges)
        .read(offsetof(AttendPush, spans), in.list.spans)
        .read(offsetof(AttendPush, bounds), query_bounds)
        .read(offsetof(AttendPush, places), places)
        .read(offsetof(AttendPush, key_order), in.k.order)
        .write(offsetof(AttendPush, partials), work.partials)
        .read(offsetof(AttendPush, q), in.q.slot)
        .read(offsetof(AttendPush, k), in.k.slot)
        .read(offsetof(AttendPush, v), in.v.slot)
        .write(offsetof(AttendPush, result), PlanBuilder::caller(Caller::Out))
        .write(offsetof(AttendPush, lse), PlanBuilder::caller(Caller::Lse))
        .read(offsetof(AttendPush, sinks), sinks)
        .flatGroups(uint64_t(work.item_count) * work.shares, offsetof(AttendPush, first_group));
    mergeWork(b, work, choice.tile, order, params.order_head, sinks);
}

} // namespace lacuna

// head_plans.cpp - cuts the heads of an attention into runs and makes one plan for runs alike.
//
// SPDX-License-Identifier: Apache-2.0
#include "head_plans.h"

#include "errors.h"
#include "method_options.h"
#include "registry.h"

#include <fmt/format.h>

#include <algorithm>

namespace lacuna::tool
{
namespace
{

LacunaStrides stridesOf(const LacunaStrides& given, uint64_t heads, uint64_t tokens,
                        uint64_t head_dim)
{
    if (given.batch != 0 || given.head != 0 || given.token != 0)
        return given;
    return {heads * tokens * head_dim, tokens * head_dim, head_dim};
}

uint64_t bytesOf(LacunaDtype dtype)
{
    return dtype == LACUNA_DTYPE_F32 ? 4 : 2;
}

uint32_t keyHeads(const LacunaPlanDesc& shape)
{
    return shape.kv_heads ? shape.kv_heads : shape.q_heads;
}

LacunaMemory behind(const LacunaMemory& memory, uint64_t offset)
{
    return {memory.address + offset, memory.size_bytes - offset};
}

// Query heads that share a key head stay together: a plan counts them alike for each key head, so a
// run that begins or ends inside of such a group is cut there.
uint32_t cutAtKeyHeads(uint32_t first, uint32_t end, uint32_t group)
{
    if (first % group == 0 && end - first >= group)
        return (end - first) / group * group;
    return std::min(end, (first / group + 1) * group) - first;
}

HeadRun makeRun(const LacunaPlanDesc& shape, uint32_t choice, uint32_t first, uint32_t count)
{
    const uint32_t group = shape.q_heads / keyHeads(shape);
    HeadRun run;
    run.choice = choice;
    run.first = first;
    run.count = count;
    run.kv_first = first / group;
    run.kv_count = (count + group - 1) / group;
    const LacunaPlanDesc desc = run.describe(shape);
    const uint64_t in = bytesOf(shape.dtype);
    run.q_offset = first * desc.q_strides.head * in;
    run.k_offset = run.kv_first * desc.k_strides.head * in;
    run.v_offset = run.kv_first * desc.v_strides.head * in;
    run.out_offset =
        first * desc.out_strides.head * bytesOf(shape.out_dtype ? shape.out_dtype : shape.dtype);
    return run;
}

} // namespace

LacunaAttentionBuffers HeadRun::buffers(const LacunaMemory& q, const LacunaMemory& k,
                                        const LacunaMemory& v, const LacunaMemory& out) const
{
    LacunaAttentionBuffers result = {};
    result.q = behind(q, q_offset);
    result.k = behind(k, k_offset);
    result.v = behind(v, v_offset);
    result.out = behind(out, out_offset);
    return result;
}

LacunaPlanDesc HeadRun::describe(const LacunaPlanDesc& shape) const
{
    const uint64_t k_len = shape.k_len ? shape.k_len : shape.q_len;
    LacunaPlanDesc desc = shape;
    desc.q_heads = count;
    desc.kv_heads = kv_count;
    if (shape.sink_logits)
        desc.sink_logits = shape.sink_logits + first;
    desc.q_strides = stridesOf(shape.q_strides, shape.q_heads, shape.q_len, shape.head_dim);
    desc.k_strides = stridesOf(shape.k_strides, keyHeads(shape), k_len, shape.head_dim);
    desc.v_strides = stridesOf(shape.v_strides, keyHeads(shape), k_len, shape.head_dim);
    desc.out_strides = stridesOf(shape.out_strides, shape.q_heads, shape.q_len, shape.head_dim);
    return desc;
}

PlanOptions::PlanOptions(const HeadChoice& choice, const HeadRun& run, uint32_t heads)
    : choice_(choice)
{
    const nlohmann::json row = registryRow(choice.method);
    for (const nlohmann::json& option : row["options"])
        for (auto& [name, value] : choice_.options)
            if (isPerHead(option) && option["name"] == name)
                value = cutPerHead(value, heads, run.first, run.count);
    for (const auto& [name, value] : choice_.options)
        options_.push_back({name.c_str(), value.c_str()});
}

void PlanOptions::apply(LacunaPlanDesc& desc) const
{
    desc.method = choice_.method.c_str();
    desc.options = options_.data();
    desc.option_count = uint32_t(options_.size());
}

std::string PlanOptions::text() const
{
    return choice_.name();
}

host::Slices record(host::Commands& commands, const std::vector<HeadRun>& runs,
                    const LacunaMemory& q, const LacunaMemory& k, const LacunaMemory& v,
                    const LacunaMemory& out, double slice_ms)
{
    host::Slices slices;
    for (const HeadRun& run : runs)
        if (slice_ms > 0)
            slices.add(run.attention->runSliced(commands, run.buffers(q, k, v, out), slice_ms));
        else
            run.attention->record(commands, run.buffers(q, k, v, out));
    return slices;
}

HeadPlans::HeadPlans(host::Device& device, const LacunaPlanDesc& shape, const Policy& policy)
    : device_(device), shape_(shape), policy_(policy)
{
    // Refused by the library too, but here before anything is divided by it.
    if (keyHeads(shape) == 0 || shape.q_heads % keyHeads(shape) != 0)
        throw InputError(fmt::format("kv_heads is {}, expected a divisor of q_heads ({})",
                                     keyHeads(shape), shape.q_heads));
}

const std::vector<HeadRun>& HeadPlans::runs(uint32_t step, uint32_t layer)
{
    return runs(policy_.choicesOf(step, layer));
}

const std::vector<HeadRun>& HeadPlans::denseRuns()
{
    return runs(std::vector<uint32_t>(shape_.q_heads, 0));
}

const std::vector<HeadRun>& HeadPlans::runs(const std::vector<uint32_t>& choices)
{
    if (const auto known = runs_.find(choices); known != runs_.end())
        return known->second;
    std::vector<HeadRun> made;
    const uint32_t heads = uint32_t(choices.size());
    const uint32_t group = shape_.q_heads / keyHeads(shape_);
    for (uint32_t first = 0, count = 0; first < heads; first += count)
    {
        uint32_t end = first + 1;
        while (end < heads && choices[end] == choices[first])
            ++end;
        count = cutAtKeyHeads(first, end, group);
        made.push_back(makeRun(shape_, choices[first], first, count));
        made.back().attention = &plan(made.back());
    }
    return runs_.emplace(choices, std::move(made)).first->second;
}

const host::Attention& HeadPlans::plan(const HeadRun& run)
{
    const HeadChoice& choice = policy_.choices()[run.choice];
    const PlanOptions options(choice, run, shape_.q_heads);
    std::unique_ptr<host::Attention>& made =
        plans_[fmt::format("{}/{} {} {}", run.count, run.kv_count,
                           shape_.sink_logits ? run.first : 0, options.text())];
    if (!made)
        made = make(run, shape_);
    return *made;
}

std::unique_ptr<host::Attention> HeadPlans::whole(const HeadRun& run) const
{
    if (run.attention->info().part_count == 1)
        return nullptr;
    LacunaPlanDesc shape = shape_;
    shape.max_workspace_bytes = UINT64_MAX;
    return make(run, shape);
}

std::unique_ptr<host::Attention> HeadPlans::make(const HeadRun& run,
                                                 const LacunaPlanDesc& shape) const
{
    const HeadChoice& choice = policy_.choices()[run.choice];
    const PlanOptions options(choice, run, shape.q_heads);
    LacunaPlanDesc desc = run.describe(shape);
    options.apply(desc);
    try
    {
        return std::make_unique<host::Attention>(device_, desc);
    }
    catch (const Error& error)
    {
        if (choice.where.empty() || error.result() != LACUNA_ERROR_INVALID_ARGUMENT)
            throw;
        throw InputError(fmt::format("{}: {}", choice.where, error.what()));
    }
}

} // namespace lacuna::tool

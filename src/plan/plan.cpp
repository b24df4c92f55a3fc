// plan.cpp - makes plans, checks the caller's buffers, and records.
//
// SPDX-License-Identifier: Apache-2.0
#include "plan.h"

#include "../../shaders/shared/flat_group.h"

#include <algorithm>
#include <cstring>

namespace lacuna
{
namespace
{

struct Range
{
    const char* name;
    LacunaMemory memory;
    uint64_t needed;
    uint64_t alignment;
};

bool overlap(const Range& a, const Range& b)
{
    return a.needed && b.needed && a.memory.address < b.memory.address + b.needed &&
           b.memory.address < a.memory.address + a.needed;
}

bool checkRange(const Range& r, std::string& sentence)
{
    if (r.needed == 0)
        return true;
    if (r.memory.address == 0)
        sentence = std::string(r.name) + ".address is 0";
    else if (r.memory.address % r.alignment != 0)
        sentence = std::string(r.name) + ".address is " + std::to_string(r.memory.address) +
                   ", expected a multiple of " + std::to_string(r.alignment);
    else if (r.memory.size_bytes < r.needed)
        sentence = std::string(r.name) + ".size_bytes is " + std::to_string(r.memory.size_bytes) +
                   ", the plan needs " + std::to_string(r.needed);
    return sentence.empty();
}

VkDeviceAddress addressOf(const SlotInfo& slot, const LacunaAttentionBuffers& b, const Part& part)
{
    switch (slot.region)
    {
    case Region::Constants:
        return b.constants.address + slot.offset;
    case Region::Workspace:
        return b.workspace.address + slot.offset;
    case Region::Caller:
        break;
    }
    const LacunaMemory* caller[] = {&b.q, &b.k, &b.v, &b.out, &b.lse, &b.ranges, &b.spans};
    const VkDeviceAddress address = caller[uint32_t(slot.caller)]->address;
    return address == 0 ? 0 : address + part.offsets[uint32_t(slot.caller)];
}

void recordBarrier(const DeviceFunctions& vk, VkCommandBuffer cmd)
{
    VkMemoryBarrier barrier = {VK_STRUCTURE_TYPE_MEMORY_BARRIER};
    barrier.srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT;
    barrier.dstAccessMask = VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT;
    vk.vkCmdPipelineBarrier(cmd, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, 0, 1,
                            &barrier, 0, nullptr, 0, nullptr);
}

// Workgroups of a flat dispatch, as rectangles that every device allows.
void recordFlat(const DeviceFunctions& vk, VkCommandBuffer cmd, const Pass& pass, uint32_t first,
                uint32_t count)
{
    constexpr uint32_t kMaxRows = 32768;
    for (uint32_t left = count; left > 0;)
    {
        const uint32_t width = std::min(left, kGroupsPerRow);
        const uint32_t rows = std::clamp(left / kGroupsPerRow, 1u, kMaxRows);
        vk.vkCmdPushConstants(cmd, pass.pipeline->layout, VK_SHADER_STAGE_COMPUTE_BIT,
                              *pass.first_group_offset, sizeof first, &first);
        vk.vkCmdDispatch(cmd, width, rows, 1);
        first += width * rows;
        left -= width * rows;
    }
}

void recordGroups(const DeviceFunctions& vk, VkCommandBuffer cmd, const Pass& pass, uint32_t first,
                  uint32_t count)
{
    if (pass.first_group_offset)
        recordFlat(vk, cmd, pass, first, count);
    else if (count == pass.groups[0])
        vk.vkCmdDispatch(cmd, count, pass.groups[1], pass.groups[2]);
    else
        vk.vkCmdDispatchBase(cmd, first, 0, 0, count, pass.groups[1], pass.groups[2]);
}

void recordPushConstants(const DeviceFunctions& vk, VkCommandBuffer cmd, const CompiledPlan& plan,
                         const Pass& pass, const LacunaAttentionBuffers& buffers)
{
    uint8_t push[128];
    std::memcpy(push, pass.push.data(), pass.push.size());
    for (const Patch& patch : pass.patches)
    {
        const VkDeviceAddress address = addressOf(plan.slots[patch.slot.id], buffers, plan.parts[pass.part]);
        std::memcpy(push + patch.push_offset, &address, sizeof address);
    }
    vk.vkCmdPushConstants(cmd, pass.pipeline->layout, VK_SHADER_STAGE_COMPUTE_BIT, 0,
                          uint32_t(pass.push.size()), push);
}

// Builds the passes of all parts, or stops when one takes more than `limit` bytes. Those of a part that is like the
// one before are the same.
void buildParts(PlanBuilder& builder, const CompiledPlan& plan, uint64_t limit)
{
    const Request& request = plan.request;
    const bool counts_from_all = !plan.attend.words.empty(); // the caller's functions are given batch and head
    Problem problem, before;
    Options options, options_before;
    for (uint32_t i = 0; i < plan.parts.size(); ++i)
    {
        const Part& part = plan.parts[i];
        problem = problemOf(request.problem, part);
        options = request.options.ofHeads(part.first_head, part.heads);
        if (i > 0 && !counts_from_all && problem.batch == before.batch && problem.q_heads == before.q_heads &&
            problem.sink_logits == before.sink_logits && options == options_before)
        {
            builder.repeatPart(i);
            continue;
        }
        builder.beginPart(i, problem);
        request.method->build(builder, problem, options);
        if (builder.result() != LACUNA_SUCCESS || builder.workspaceBytes() > limit)
            return;
        before = problem;
        options_before = options;
    }
}

// Fewer key heads in a part, of which the largest takes `bytes`.
uint64_t fewerKeyHeads(uint64_t key_heads, uint64_t bytes, uint64_t limit)
{
    const uint64_t fitting = uint64_t(double(key_heads) * (double(limit) / double(bytes)));
    return std::max<uint64_t>(std::min(fitting, key_heads * 7 / 8), 1); // not everything is per head
}

void takeOver(PlanBuilder& builder, CompiledPlan& plan)
{
    plan.passes = builder.takePasses();
    plan.work = builder.work();
    plan.slots = builder.slots();
    plan.constants = builder.constantBytes();
    plan.workspace_bytes = builder.workspaceBytes();
}

// All heads at once, or in as few parts as keep the workspace below its limit.
LacunaResult buildPasses(const Caps& caps, Pipelines& pipelines, CompiledPlan& plan, std::string& sentence)
{
    const Problem& p = plan.request.problem;
    const auto failed = [&](const PlanBuilder& builder)
    {
        sentence = builder.sentence();
        return builder.result();
    };
    PlanBuilder whole(p, caps, pipelines, plan.attend);
    plan.built = plan.request.method->build(whole, p, plan.request.options);
    if (whole.result() != LACUNA_SUCCESS)
        return failed(whole);
    uint64_t key_heads = uint64_t(p.batch) * p.kv_heads;
    const uint32_t rows = plan.built.q_order.blocks();
    plan.parts = divideHeads(p, key_heads, rows);
    takeOver(whole, plan);
    plan.whole_workspace_bytes = plan.workspace_bytes;
    const uint64_t limit = plan.max_workspace_bytes, least = leastKeyHeads(p);
    while (plan.workspace_bytes > limit && key_heads > least)
    {
        plan.parts = divideHeads(p, fewerKeyHeads(key_heads, plan.workspace_bytes, limit), rows);
        key_heads = plan.parts[0].slices() / (p.q_heads / p.kv_heads); // of the largest
        PlanBuilder builder(p, caps, pipelines, plan.attend);
        buildParts(builder, plan, key_heads > least ? limit : UINT64_MAX);
        if (builder.result() != LACUNA_SUCCESS)
            return failed(builder);
        takeOver(builder, plan);
    }
    return LACUNA_SUCCESS;
}

} // namespace

LacunaResult makePlan(const LacunaPlanDesc* desc, const Caps& caps, Pipelines& pipelines, CompiledPlan& plan,
                      std::string& sentence)
{
    if (const LacunaResult r = makeRequest(desc, plan.request, sentence); r != LACUNA_SUCCESS)
        return r;
    const Problem& problem = plan.request.problem;
    if (const LacunaResult r = chooseAttend(caps, problem, desc->tier, {desc->tuning, desc->tuning_count},
                                            {desc->kernels, desc->kernel_count}, plan.attend, sentence);
        r != LACUNA_SUCCESS)
        return r;

    const bool is_given = desc->tier != LACUNA_TIER_AUTO || desc->tuning_count != 0;
    plan.chosen_by = desc->chosen_by ? desc->chosen_by : is_given ? "the caller" : "the library";
    plan.max_workspace_bytes =
        desc->max_workspace_bytes ? desc->max_workspace_bytes : LACUNA_DEFAULT_MAX_WORKSPACE_BYTES;
    return buildPasses(caps, pipelines, plan, sentence);
}

std::string partsRefusal(const CompiledPlan& plan)
{
    if (plan.parts.size() == 1)
        return {};
    return "the plan goes through its heads in " + std::to_string(plan.parts.size()) +
           " parts, whose lists are never there together: max_workspace_bytes is " +
           std::to_string(plan.max_workspace_bytes) + ", expected at least " +
           std::to_string(plan.whole_workspace_bytes);
}

uint64_t CompiledPlan::groupCount() const
{
    uint64_t count = 0;
    for (const Pass& pass : passes)
        count += pass.groupCount();
    return count;
}

double CompiledPlan::flops() const
{
    const Problem& p = request.problem;
    return 4.0 * p.head_dim * p.heads() * double(p.q_len) * double(p.k_len) * built.max_density;
}

uint64_t CompiledPlan::bytesOnce() const
{
    const Problem& p = request.problem;
    const uint64_t q = uint64_t(p.heads()) * p.q_len * p.head_dim;
    const uint64_t kv = uint64_t(p.batch) * p.kv_heads * p.k_len * p.head_dim;
    return (q + 2 * kv) * dtypeBytes(p.dtype) + q * dtypeBytes(p.out_dtype);
}

double CompiledPlan::bytesStreamed() const
{
    const Problem& p = request.problem;
    const double tiles = double(p.heads()) * ((p.q_len + attend.tile.rows - 1) / attend.tile.rows);
    return tiles * built.max_density * p.k_len * 2.0 * p.head_dim * dtypeBytes(p.dtype);
}

// Do the passes before ATTEND read v?
bool selectsByV(const CompiledPlan& plan)
{
    for (const Pass& pass : plan.passes)
    {
        if (pass.is_attend)
            break;
        for (const Patch& patch : pass.patches)
            if (patch.slot == PlanBuilder::caller(Caller::V))
                return true;
    }
    return false;
}

LacunaResult checkBuffers(const CompiledPlan& plan, const LacunaAttentionBuffers* buffers, Stages stages,
                          std::string& sentence)
{
    sentence.clear();
    if (!buffers)
    {
        sentence = "buffers is NULL";
        return LACUNA_ERROR_INVALID_ARGUMENT;
    }
    const Problem& p = plan.request.problem;
    const auto tensor = [&](const Strides& s, uint32_t heads, uint32_t tokens, LacunaDtype dtype) {
        return tensorExtent(s, p.batch, heads, tokens, p.head_dim) * dtypeBytes(dtype);
    };
    const auto used = [&](uint64_t bytes, bool is_used) { return is_used ? bytes : 0; };
    const bool with_attend = stages != Stages::Select;
    const bool needs_v = with_attend || selectsByV(plan);
    const bool is_given = std::strcmp(plan.request.method->kind, "given") == 0;
    const uint64_t given_ranges = uint64_t(p.heads()) * plan.built.q_order.blocks() * 8;

    // Written ones first: each must not overlap any other.
    const Range ranges[] = {
        {"out", buffers->out, used(tensor(p.out, p.q_heads, p.q_len, p.out_dtype), with_attend), 16},
        {"lse", buffers->lse, used(uint64_t(p.heads()) * p.q_len * 4, with_attend && buffers->lse.address), 4},
        {"workspace", buffers->workspace, plan.workspace_bytes, 256},
        {"constants", buffers->constants, plan.constants.size(), 256},
        {"q", buffers->q, tensor(p.q, p.q_heads, p.q_len, p.dtype), 16},
        {"k", buffers->k, tensor(p.k, p.kv_heads, p.k_len, p.dtype), 16},
        {"v", buffers->v, used(tensor(p.v, p.kv_heads, p.k_len, p.dtype), needs_v), 16},
        {"ranges", buffers->ranges, used(given_ranges, is_given), 8},
        {"spans", buffers->spans, used(8, is_given), 8},
    };
    constexpr size_t kWritten = 3;
    for (const Range& range : ranges)
        if (!checkRange(range, sentence))
            return LACUNA_ERROR_INVALID_ARGUMENT;
    for (size_t i = 0; i < kWritten; ++i)
        for (size_t j = i + 1; j < std::size(ranges); ++j)
            if (overlap(ranges[i], ranges[j]))
            {
                sentence = std::string(ranges[i].name) + " overlaps " + ranges[j].name;
                return LACUNA_ERROR_INVALID_ARGUMENT;
            }
    return LACUNA_SUCCESS;
}

void recordPlan(const DeviceFunctions& vk, VkCommandBuffer cmd, const CompiledPlan& plan,
                const LacunaAttentionBuffers& buffers, Stages stages, const Slice& slice)
{
    uint64_t pass_begin = 0, pass_end = 0;
    bool is_attend = false; // this pass, and all after it
    for (const Pass& pass : plan.passes)
    {
        is_attend |= pass.is_attend;
        pass_begin = pass_end;
        pass_end += pass.groupCount();
        if (stages == (is_attend ? Stages::Select : Stages::Reuse))
            continue;
        const uint64_t begin = std::max(slice.begin, pass_begin), end = std::min(slice.end, pass_end);
        if (begin >= end)
            continue;
        // A barrier orders all that was submitted before: one for the first group serves the later slices too.
        if (pass.needs_barrier && begin == pass_begin)
            recordBarrier(vk, cmd);
        if (buffers.before_pass)
            buffers.before_pass(buffers.before_pass_user, cmd, pass.name.c_str());
        if (vk.vkCmdBeginDebugUtilsLabelEXT)
        {
            VkDebugUtilsLabelEXT label = {VK_STRUCTURE_TYPE_DEBUG_UTILS_LABEL_EXT};
            label.pLabelName = pass.name.c_str();
            vk.vkCmdBeginDebugUtilsLabelEXT(cmd, &label);
        }
        vk.vkCmdBindPipeline(cmd, VK_PIPELINE_BIND_POINT_COMPUTE, pass.pipeline->handle);
        recordPushConstants(vk, cmd, plan, pass, buffers);
        recordGroups(vk, cmd, pass, uint32_t(begin - pass_begin), uint32_t(end - begin));
        if (vk.vkCmdEndDebugUtilsLabelEXT)
            vk.vkCmdEndDebugUtilsLabelEXT(cmd);
    }
}

} // namespace lacuna

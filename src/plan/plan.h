// plan.h - an immutable plan: passes, memory layout, and what they were made from; replayed into a command buffer.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../passes/attend.h"
#include "make_problem.h"
#include "parts.h"
#include "plan_builder.h"

#include <string>
#include <vector>

namespace lacuna
{

struct CompiledPlan
{
    Request request;
    AttendChoice attend;
    std::string chosen_by; // tier and tile
    Built built;             // of all heads; its slots are those of the plan when there is one part
    std::vector<Part> parts; // of the heads, one after the other, all in the same workspace
    std::vector<Pass> passes;
    std::string work; // how ATTEND is divided among workgroups
    std::vector<SlotInfo> slots;
    std::vector<uint8_t> constants;
    uint64_t workspace_bytes = 0;
    uint64_t whole_workspace_bytes = 0; // of all heads in one part
    uint64_t max_workspace_bytes = 0;

    uint64_t groupCount() const; // of all passes
    double flops() const;
    uint64_t bytesOnce() const;     // every tensor moved once
    double bytesStreamed() const;   // what the kernel asks for: K and V once for every tile of queries
};

LacunaResult makePlan(const LacunaPlanDesc* desc, const Caps& caps, Pipelines& pipelines, CompiledPlan& plan,
                      std::string& sentence);

// The passes that are recorded: all, those before ATTEND, or ATTEND over the list that the workspace has.
enum class Stages
{
    All,
    Select,
    Reuse
};

// Why the list of all heads is never there at once; empty when it is.
std::string partsRefusal(const CompiledPlan& plan);

// Checks addresses, sizes and overlap of what the passes touch.
LacunaResult checkBuffers(const CompiledPlan& plan, const LacunaAttentionBuffers* buffers, Stages stages,
                          std::string& sentence);

// Groups of a plan, counted over its passes one after the other, see Pass::groupCount.
struct Slice
{
    uint64_t begin = 0;
    uint64_t end = UINT64_MAX;
};

// Records the groups of a slice. Allocates nothing and cannot fail: checkBuffers comes first.
void recordPlan(const DeviceFunctions& vk, VkCommandBuffer cmd, const CompiledPlan& plan,
                const LacunaAttentionBuffers& buffers, Stages stages, const Slice& slice);

} // namespace lacuna

// plan_builder.h - collects the passes of a plan: memory slots, dispatches, and the barriers that follow from them.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../data/key_spans.h"
#include "../gpu/pipelines.h"
#include "problem.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace lacuna
{

struct AttendChoice;

// A piece of memory: one of the caller's tensors, or a region of the constants or of the workspace.
struct Slot
{
    static constexpr uint32_t kNone = ~0u;
    uint32_t id = kNone;
    bool valid() const { return id != kNone; }
    bool operator==(const Slot&) const = default;
};

// The caller's buffers, in the order of LacunaAttentionBuffers.
enum class Caller : uint32_t
{
    Q, K, V, Out, Lse, Ranges, Spans, Count
};

enum class Region : uint32_t
{
    Caller, Constants, Workspace
};

struct SlotInfo
{
    Region region = Region::Caller;
    Caller caller = Caller::Count;
    uint64_t offset = 0; // bytes into the region
    uint64_t bytes = 0;
};

// An address in the push constants that recording fills in. A zero address stays zero.
struct Patch
{
    uint32_t push_offset = 0;
    Slot slot;
};

struct Pass
{
    std::string name; // the debug label, and the row of `explain`
    uint32_t part = 0; // of the heads, see parts.h
    Pipeline* pipeline = nullptr;
    std::vector<uint8_t> push;
    std::vector<Patch> patches;
    uint32_t groups[3] = {1, 1, 1};
    bool needs_barrier = false; // before this pass
    bool is_attend = false;     // lacunaCmdSelect stops before it
    // Of a flat dispatch of groups[0] workgroups: where the push constants hold the first one.
    std::optional<uint32_t> first_group_offset;

    // What slices count: workgroups of a flat dispatch, else columns of them. A column is all of y and z, since
    // shaders go on by gl_NumWorkGroups there.
    uint64_t groupCount() const { return groups[0]; }
};

class PlanBuilder;

// One dispatch being described; finished by groups().
class PassBuilder
{
public:
    // Push fields that hold addresses (uvec2), given as offsetof(Push, field).
    PassBuilder& read(size_t push_offset, Slot slot);
    PassBuilder& write(size_t push_offset, Slot slot);
    // Specialization constants 0, 1, 2, ... of the shader: all of them, in order.
    PassBuilder& spec(std::vector<uint32_t> constants);
    // SPIR-V in place of the shader's own; empty: none.
    PassBuilder& code(std::vector<uint32_t> words);
    // 0: the device's own choice; else pinned, with full subgroups.
    PassBuilder& subgroupSize(uint32_t size);
    PassBuilder& attend();
    template <typename Push>
    PassBuilder& push(const Push& push)
    {
        static_assert(sizeof(Push) <= 128, "push constants are at most 128 bytes");
        push_.resize(sizeof(Push));
        std::memcpy(push_.data(), &push, sizeof(Push));
        return *this;
    }
    void groups(uint32_t x, uint32_t y = 1, uint32_t z = 1);
    // Any number of workgroups, which the shader counts by flatGroup() from a push field on.
    void flatGroups(uint64_t count, size_t first_group_offset);

private:
    friend class PlanBuilder;
    PassBuilder(PlanBuilder& builder, Shader shader, std::string name);

    PlanBuilder& builder_;
    Shader shader_;
    Pass pass_;
    std::vector<uint8_t> push_;
    std::vector<uint32_t> constants_;
    std::vector<uint32_t> words_;
    uint32_t subgroup_size_ = 0;
    std::vector<Slot> reads_, writes_;
};

// The list that ATTEND consumes: `ranges` is uint2 {first, count} per row, `spans` is uint2 {begin, end}.
struct List
{
    Slot ranges;
    Slot spans;
    uint32_t head_stride = 0; // rows between heads; 0: shared by every batch and head
    // What the host knows of it: the list itself, or bounds for the keys of a row.
    std::shared_ptr<const KeySpans> known;
    uint32_t min_keys = 0, max_keys = UINT32_MAX;
    std::shared_ptr<const KeyBounds> bounds; // null: a query keeps all keys of its row
};

class PlanBuilder
{
public:
    PlanBuilder(const Problem& problem, const Caps& caps, Pipelines& pipelines, const AttendChoice& attend);

    const Problem& problem() const { return *problem_; }
    const Caps& caps() const { return caps_; }
    const AttendChoice& attendChoice() const { return attend_; }

    static Slot caller(Caller which) { return {uint32_t(which)}; }

    // A table that never changes; equal tables share one slot.
    Slot constants(const void* data, uint64_t bytes);
    template <typename T>
    Slot constants(const std::vector<T>& table)
    {
        return constants(table.data(), table.size() * sizeof(T));
    }
    Slot workspace(uint64_t bytes); // 256-byte aligned, never shared in time: the layout is what `explain` shows

    PassBuilder pass(Shader shader, std::string name);

    // What is recorded from here on is for this part of the heads, after all earlier parts, in the same workspace.
    // `problem`, of the part alone, must live until the next part begins.
    void beginPart(uint32_t part, const Problem& problem);
    // The passes of the part before again.
    void repeatPart(uint32_t part);

    // How ATTEND is divided among workgroups, for `explain`: in the first part.
    void describeWork(std::string text)
    {
        if (work_.empty())
            work_ = std::move(text);
    }
    const std::string& work() const { return work_; }

    // The first failure (an impossible dispatch, a pipeline that would not compile); the plan is then refused.
    void fail(LacunaResult result, std::string sentence);
    LacunaResult result() const { return result_; }
    const std::string& sentence() const { return sentence_; }

    std::vector<Pass> takePasses() { return std::move(passes_); }
    const std::vector<SlotInfo>& slots() const { return slots_; }
    const std::vector<uint8_t>& constantBytes() const { return constants_; }
    uint64_t workspaceBytes() const { return workspace_bytes_; } // of the largest part

private:
    friend class PassBuilder;
    void add(PassBuilder& pass);

    const Problem* problem_;
    const Caps& caps_;
    Pipelines& pipelines_;
    const AttendChoice& attend_;
    std::vector<SlotInfo> slots_;
    std::vector<uint8_t> constants_;
    uint64_t workspace_used_ = 0; // by this part
    uint64_t workspace_bytes_ = 0;
    std::vector<Pass> passes_;
    uint32_t part_ = 0;
    size_t part_begin_ = 0;       // its first pass
    bool is_after_part_ = false;  // the next pass is the first one of a further part
    std::string work_;
    std::vector<Slot> unsynced_reads_, unsynced_writes_; // since the last barrier
    LacunaResult result_ = LACUNA_SUCCESS;
    std::string sentence_;
};

} // namespace lacuna

// plan_builder.cpp - lays out memory and derives barriers while a method describes its passes.
//
// SPDX-License-Identifier: Apache-2.0
#include "plan_builder.h"

#include "../gpu/caps.h"

#include <algorithm>
#include <utility>

namespace lacuna
{
namespace
{

constexpr uint64_t kSlotAlignment = 256; // a multiple of every vector load and of non-coherent atoms

bool contains(const std::vector<Slot>& slots, Slot slot)
{
    return std::find(slots.begin(), slots.end(), slot) != slots.end();
}

bool intersects(const std::vector<Slot>& a, const std::vector<Slot>& b)
{
    return std::any_of(a.begin(), a.end(), [&](Slot slot) { return contains(b, slot); });
}

} // namespace

PlanBuilder::PlanBuilder(const Problem& problem, const Caps& caps, Pipelines& pipelines, const AttendChoice& attend)
    : problem_(&problem), caps_(caps), pipelines_(pipelines), attend_(attend)
{
    for (uint32_t i = 0; i < uint32_t(Caller::Count); ++i)
        slots_.push_back({Region::Caller, Caller(i), 0, 0});
}

Slot PlanBuilder::constants(const void* data, uint64_t bytes)
{
    // The same table twice (q and k share an order) is stored once.
    for (uint32_t i = 0; i < slots_.size(); ++i)
        if (slots_[i].region == Region::Constants && slots_[i].bytes == bytes &&
            std::memcmp(constants_.data() + slots_[i].offset, data, bytes) == 0)
            return {i};

    const uint64_t offset = (constants_.size() + kSlotAlignment - 1) / kSlotAlignment * kSlotAlignment;
    constants_.resize(offset + bytes);
    std::memcpy(constants_.data() + offset, data, bytes);
    slots_.push_back({Region::Constants, Caller::Count, offset, bytes});
    return {uint32_t(slots_.size() - 1)};
}

Slot PlanBuilder::workspace(uint64_t bytes)
{
    slots_.push_back({Region::Workspace, Caller::Count, workspace_used_, bytes});
    workspace_used_ += (bytes + kSlotAlignment - 1) / kSlotAlignment * kSlotAlignment;
    workspace_bytes_ = std::max(workspace_bytes_, workspace_used_);
    return {uint32_t(slots_.size() - 1)};
}

void PlanBuilder::beginPart(uint32_t part, const Problem& problem)
{
    problem_ = &problem;
    part_ = part;
    part_begin_ = passes_.size();
    is_after_part_ = part_begin_ > 0;
    workspace_used_ = 0;
}

void PlanBuilder::repeatPart(uint32_t part)
{
    const size_t begin = std::exchange(part_begin_, passes_.size()), end = part_begin_;
    part_ = part;
    for (size_t i = begin; i < end; ++i)
    {
        Pass pass = passes_[i];
        pass.part = part;
        pass.needs_barrier |= i == begin;
        passes_.push_back(std::move(pass));
    }
}

PassBuilder PlanBuilder::pass(Shader shader, std::string name)
{
    return PassBuilder(*this, shader, std::move(name));
}

void PlanBuilder::fail(LacunaResult result, std::string sentence)
{
    if (result_ != LACUNA_SUCCESS)
        return;
    result_ = result;
    sentence_ = std::move(sentence);
}

void PlanBuilder::add(PassBuilder& builder)
{
    Pass& pass = builder.pass_;
    for (int i = 0; i < 3; ++i)
        if (pass.groups[i] == 0 || (!pass.first_group_offset && pass.groups[i] > caps_.max_groups[i]))
            return fail(LACUNA_ERROR_UNSUPPORTED, "pass '" + pass.name + "' needs " + std::to_string(pass.groups[i]) +
                                                      " workgroups in dimension " + std::to_string(i) +
                                                      ", the device allows 1.." + std::to_string(caps_.max_groups[i]));
    if (result_ != LACUNA_SUCCESS)
        return;

    std::string sentence;
    const PipelineKey key = {builder.shader_, builder.constants_, uint32_t(builder.push_.size()),
                             builder.subgroup_size_, std::move(builder.words_)};
    if (const LacunaResult r = pipelines_.get(key, pass.pipeline, sentence); r != LACUNA_SUCCESS)
        return fail(r, sentence);

    // The parts share the workspace under other slots.
    pass.needs_barrier = std::exchange(is_after_part_, false) || intersects(builder.reads_, unsynced_writes_) ||
                         intersects(builder.writes_, unsynced_writes_) || intersects(builder.writes_, unsynced_reads_);
    if (pass.needs_barrier)
    {
        unsynced_reads_.clear();
        unsynced_writes_.clear();
    }
    unsynced_reads_.insert(unsynced_reads_.end(), builder.reads_.begin(), builder.reads_.end());
    unsynced_writes_.insert(unsynced_writes_.end(), builder.writes_.begin(), builder.writes_.end());
    pass.push = std::move(builder.push_);
    pass.part = part_;
    passes_.push_back(std::move(pass));
}

PassBuilder::PassBuilder(PlanBuilder& builder, Shader shader, std::string name) : builder_(builder), shader_(shader)
{
    pass_.name = std::move(name);
}

PassBuilder& PassBuilder::read(size_t push_offset, Slot slot)
{
    if (!slot.valid())
        return *this; // the address stays zero
    pass_.patches.push_back({uint32_t(push_offset), slot});
    reads_.push_back(slot);
    return *this;
}

PassBuilder& PassBuilder::write(size_t push_offset, Slot slot)
{
    if (!slot.valid())
        return *this;
    pass_.patches.push_back({uint32_t(push_offset), slot});
    writes_.push_back(slot);
    return *this;
}

PassBuilder& PassBuilder::spec(std::vector<uint32_t> constants)
{
    constants_ = std::move(constants);
    return *this;
}

PassBuilder& PassBuilder::code(std::vector<uint32_t> words)
{
    words_ = std::move(words);
    return *this;
}

PassBuilder& PassBuilder::subgroupSize(uint32_t size)
{
    subgroup_size_ = size;
    return *this;
}

PassBuilder& PassBuilder::attend()
{
    pass_.is_attend = true;
    return *this;
}

void PassBuilder::groups(uint32_t x, uint32_t y, uint32_t z)
{
    pass_.groups[0] = x;
    pass_.groups[1] = y;
    pass_.groups[2] = z;
    builder_.add(*this);
}

void PassBuilder::flatGroups(uint64_t count, size_t first_group_offset)
{
    if (count > UINT32_MAX)
        return builder_.fail(LACUNA_ERROR_UNSUPPORTED, "pass '" + pass_.name + "' needs " + std::to_string(count) +
                                                           " workgroups, expected at most 4294967295");
    pass_.first_group_offset = uint32_t(first_group_offset);
    groups(uint32_t(count));
}

} // namespace lacuna

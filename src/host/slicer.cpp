// slicer.cpp - sizes of slices from the times of the slices before.
//
// SPDX-License-Identifier: Apache-2.0
#include "slicer.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace lacuna::host
{
namespace
{

// Of a pass that never ran: a watchdog of two seconds allows a pass of half an hour.
constexpr uint64_t kFirstShare = 1024;

} // namespace

void Slices::add(const Slices& other)
{
    count += other.count;
    ms += other.ms;
    longest_ms = std::max(longest_ms, other.longest_ms);
}

Slicer::Slicer(Device& device, LacunaPlan plan, const LacunaPlanInfo& info)
    : device_(&device), plan_(plan)
{
    for (uint32_t i = 0; i < info.pass_count; ++i)
    {
        LacunaPassInfo pass = {};
        device.check(lacunaGetPlanPass(plan, i, &pass));
        const auto known = std::find_if(kinds_.begin(), kinds_.end(),
                                        [&](const Kind& kind) { return kind.name == pass.name; });
        passes_.push_back({pass.group_count, size_t(known - kinds_.begin())});
        if (known == kinds_.end())
            kinds_.push_back({pass.name});
    }
}

// Records groups of the next pass; false when the slice is full.
bool Slicer::take(Commands& commands, const LacunaAttentionBuffers& buffers, double& room_ms)
{
    if (pass_ == passes_.size())
        return false;
    const Pass& pass = passes_[pass_];
    Kind& kind = kinds_[pass.kind];
    if (in_pass_ == 0)
        kind.group_ms = std::max(kind.group_ms, kind.first_group_ms);
    const bool is_known = kind.group_ms > 0;
    const bool is_alone = !is_known || !commands.hasTimestamps();
    if (is_alone && !parts_.empty())
        return false;
    // There is less than no room behind a group that alone takes longer than the slice.
    uint64_t groups = is_known ? uint64_t(std::clamp(room_ms / kind.group_ms, 0.0, 1e18))
                               : pass.groups / kFirstShare;
    if (groups == 0 && !parts_.empty())
        return false;
    groups = std::clamp<uint64_t>(groups, 1, pass.groups - in_pass_);

    Part part = {pass.kind, groups, 0, 0};
    if (commands.hasTimestamps())
        part.begin_mark = commands.mark();
    device_->check(lacunaCmdAttentionSlice(commands.handle(), plan_, &buffers, taken_, groups));
    if (commands.hasTimestamps())
        part.end_mark = commands.mark();
    parts_.push_back(part);
    room_ms -= double(groups) * kind.group_ms;
    taken_ += groups;
    in_pass_ += groups;
    if (in_pass_ == pass.groups)
    {
        ++pass_;
        in_pass_ = 0;
    }
    return !is_alone;
}

// After the slice: its time, and what its passes are expected to take from now on. Slower is
// believed at once, quicker by halves.
double Slicer::measure(const Commands& commands, double wall_ms)
{
    double slice_ms = 0;
    for (const Part& part : parts_)
    {
        const double ms = commands.hasTimestamps()
                              ? commands.betweenMarks(part.begin_mark, part.end_mark)
                              : wall_ms;
        slice_ms += ms;
        Kind& kind = kinds_[part.kind];
        const double group_ms = std::max(ms / double(part.groups), 1e-9);
        kind.group_ms = std::max(group_ms, (kind.group_ms + group_ms) / 2);
        if (!std::exchange(kind.is_measured, true))
            kind.first_group_ms = kind.group_ms;
    }
    return slice_ms;
}

Slices Slicer::run(Commands& commands, const LacunaAttentionBuffers& buffers, double slice_ms)
{
    if (!(slice_ms > 0))
        throw Error(LACUNA_ERROR_INVALID_ARGUMENT, "runSliced: slice_ms is " +
                                                       std::to_string(slice_ms) +
                                                       ", expected more than 0");
    pass_ = 0;
    in_pass_ = taken_ = 0;
    for (Kind& kind : kinds_)
    {
        kind.group_ms = kind.first_group_ms;
        kind.is_measured = false;
    }
    Slices slices;
    commands.submit();
    while (pass_ < passes_.size())
    {
        parts_.clear();
        double room_ms = slice_ms;
        while (take(commands, buffers, room_ms))
        {
        }
        const auto begin = std::chrono::steady_clock::now();
        commands.submit();
        const std::chrono::duration<double, std::milli> wall =
            std::chrono::steady_clock::now() - begin;
        const double ms = measure(commands, wall.count());
        slices.add({1, ms, ms});
    }
    return slices;
}

} // namespace lacuna::host

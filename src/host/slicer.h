// slicer.h - runs a plan in submissions of about the same time, and learns how much fits into one.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <lacuna/host.hpp>

#include <string>
#include <vector>

namespace lacuna::host
{

// Of one plan. Its passes follow each other in a slice where their times are known; the first slice
// of a pass that never ran is short, and has nothing behind it. Passes of one name do the same work
// for several parts of the heads: what one took is expected of the others.
class Slicer
{
public:
    Slicer(Device& device, LacunaPlan plan, const LacunaPlanInfo& info);

    Slices run(Commands& commands, const LacunaAttentionBuffers& buffers, double slice_ms);

private:
    struct Kind
    {
        std::string name;
        double group_ms = 0;       // as expected of the next groups; 0: not known
        double first_group_ms = 0; // as measured at the beginning: long rows come first
        bool is_measured = false;  // in this run
    };
    struct Pass
    {
        uint64_t groups;
        size_t kind;
    };
    // Groups of one pass in the slice that is being recorded.
    struct Part
    {
        size_t kind;
        uint64_t groups;
        uint32_t begin_mark, end_mark;
    };

    bool take(Commands& commands, const LacunaAttentionBuffers& buffers, double& room_ms);
    double measure(const Commands& commands, double wall_ms);

    Device* device_;
    LacunaPlan plan_;
    std::vector<Kind> kinds_;
    std::vector<Pass> passes_;
    std::vector<Part> parts_;
    size_t pass_ = 0;      // of the next group
    uint64_t in_pass_ = 0; // groups of it that were taken
    uint64_t taken_ = 0;   // groups in all
};

} // namespace lacuna::host

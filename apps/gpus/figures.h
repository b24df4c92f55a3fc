// figures.h - what a driver's compiler says about one pipeline, in the same words for every driver.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vulkan/vulkan.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>

namespace lacuna::gpus
{

struct Figures
{
    std::optional<uint64_t> registers;     // of one lane; on Intel the most that are live at once
    std::optional<uint64_t> spills;        // registers, or messages that save them
    std::optional<uint64_t> scratch_bytes; // of one lane, or of one thread on Intel
    std::optional<uint64_t> shared_bytes;
    std::optional<uint64_t> instructions;
    std::optional<uint64_t> occupancy;           // subgroups on one SIMD unit or multiprocessor
    std::optional<uint64_t> matrix_instructions; // in the text of the instructions, if the driver gives one
    std::map<std::string, uint64_t> statistics;  // all of them, by the driver's own names
};

// `pipeline` was made with CAPTURE_STATISTICS and CAPTURE_INTERNAL_REPRESENTATIONS. Where the driver made several
// programs (one a subgroup size) the widest counts, which is the one it prefers.
Figures readFigures(VkDevice device, VkPipeline pipeline);

} // namespace lacuna::gpus

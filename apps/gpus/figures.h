// figures.h - what a driver's compiler says about one program, in the same words for every driver.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

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

// `statistics`: by the names of RADV, ANV or NVK. `text`: the instructions as the driver writes them, empty where it
// writes none.
Figures parseFigures(const std::map<std::string, uint64_t>& statistics, std::string_view text);

} // namespace lacuna::gpus

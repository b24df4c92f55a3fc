// figures.cpp - finds the figures under each driver's names, and counts matrix instructions in its text.
//
// SPDX-License-Identifier: Apache-2.0
#include "figures.h"

#include <algorithm>
#include <initializer_list>

namespace lacuna::gpus
{
namespace
{

// AMD: v_wmma; Intel: dpas; NVIDIA: hmma and imma. One a line in every driver's text, as a word's beginning.
bool hasMatrixInstruction(std::string_view line)
{
    for (const std::string_view name : {"v_wmma", "dpas", "hmma", "imma", "HMMA", "IMMA"})
    {
        const size_t at = line.find(name);
        if (at != std::string_view::npos && (at == 0 || line[at - 1] == ' ' || line[at - 1] == '\t'))
            return true;
    }
    return false;
}

uint64_t countMatrixInstructions(std::string_view text)
{
    uint64_t count = 0;
    while (!text.empty())
    {
        const std::string_view line = text.substr(0, text.find('\n'));
        count += hasMatrixInstruction(line);
        text.remove_prefix(std::min(line.size() + 1, text.size()));
    }
    return count;
}

// The sum of those of the names that the driver knows; empty where it knows none.
std::optional<uint64_t> sumOf(const std::map<std::string, uint64_t>& statistics,
                              std::initializer_list<const char*> names)
{
    std::optional<uint64_t> sum;
    for (const char* name : names)
        if (const auto found = statistics.find(name); found != statistics.end())
            sum = sum.value_or(0) + found->second;
    return sum;
}

} // namespace

Figures parseFigures(const std::map<std::string, uint64_t>& statistics, std::string_view text)
{
    // The names of RADV, ANV and NVK, in this order.
    Figures figures;
    figures.statistics = statistics;
    figures.registers = sumOf(statistics, {"VGPRs", "Max live registers", "Number of GPRs"});
    figures.spills = sumOf(statistics, {"Spilled VGPRs", "Spilled SGPRs", "Spill Count", "Spills to memory"});
    figures.scratch_bytes = sumOf(statistics, {"Scratch size", "Scratch Memory Size", "SLM size"});
    figures.shared_bytes = sumOf(statistics, {"LDS size", "Workgroup Memory Size", "Shared memory size"});
    figures.instructions = sumOf(statistics, {"Instructions", "Instruction Count", "Instruction count"});
    figures.occupancy = sumOf(statistics, {"Subgroups per SIMD", "Max warps/SM"});
    if (!text.empty())
        figures.matrix_instructions = countMatrixInstructions(text);
    return figures;
}

} // namespace lacuna::gpus

// executable.cpp - reads VK_KHR_pipeline_executable_properties of the program that the driver prefers.
//
// SPDX-License-Identifier: Apache-2.0
#include "executable.h"

#include "functions.h"

#include <algorithm>
#include <vector>

namespace lacuna::gpus
{
namespace
{

uint64_t valueOf(const VkPipelineExecutableStatisticKHR& statistic)
{
    switch (statistic.format)
    {
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_BOOL32_KHR:
        return statistic.value.b32;
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_INT64_KHR:
        return uint64_t(std::max<int64_t>(statistic.value.i64, 0));
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_FLOAT64_KHR:
        return uint64_t(std::max(statistic.value.f64, 0.0));
    default:
        return statistic.value.u64;
    }
}

std::map<std::string, uint64_t> readStatistics(VkDevice device, const VkPipelineExecutableInfoKHR& which)
{
    static const auto query = deviceFunction<PFN_vkGetPipelineExecutableStatisticsKHR>(
        device, "vkGetPipelineExecutableStatisticsKHR");
    uint32_t count = 0;
    check(query(device, &which, &count, nullptr), "vkGetPipelineExecutableStatisticsKHR");
    VkPipelineExecutableStatisticKHR empty = {};
    empty.sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_STATISTIC_KHR;
    std::vector<VkPipelineExecutableStatisticKHR> list(count, empty);
    check(query(device, &which, &count, list.data()), "vkGetPipelineExecutableStatisticsKHR");
    std::map<std::string, uint64_t> statistics;
    for (const auto& statistic : list)
        statistics[statistic.name] = valueOf(statistic);
    return statistics;
}

// The last text that the compiler made: its instructions. Empty where it gives none.
std::string readText(VkDevice device, const VkPipelineExecutableInfoKHR& which)
{
    static const auto query = deviceFunction<PFN_vkGetPipelineExecutableInternalRepresentationsKHR>(
        device, "vkGetPipelineExecutableInternalRepresentationsKHR");
    uint32_t count = 0;
    check(query(device, &which, &count, nullptr), "vkGetPipelineExecutableInternalRepresentationsKHR");
    VkPipelineExecutableInternalRepresentationKHR empty = {};
    empty.sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INTERNAL_REPRESENTATION_KHR;
    std::vector<VkPipelineExecutableInternalRepresentationKHR> list(count, empty);
    check(query(device, &which, &count, list.data()), "vkGetPipelineExecutableInternalRepresentationsKHR");
    std::vector<std::string> texts(count);
    for (uint32_t i = 0; i < count; ++i)
    {
        texts[i].resize(list[i].dataSize);
        list[i].pData = texts[i].data();
    }
    check(query(device, &which, &count, list.data()), "vkGetPipelineExecutableInternalRepresentationsKHR");
    for (uint32_t i = count; i-- > 0;)
        if (list[i].isText && texts[i].size() > 1)
            return texts[i];
    return {};
}

} // namespace

Figures readFigures(VkDevice device, VkPipeline pipeline)
{
    static const auto query = deviceFunction<PFN_vkGetPipelineExecutablePropertiesKHR>(
        device, "vkGetPipelineExecutablePropertiesKHR");
    const VkPipelineInfoKHR info = {VK_STRUCTURE_TYPE_PIPELINE_INFO_KHR, nullptr, pipeline};
    uint32_t count = 0;
    check(query(device, &info, &count, nullptr), "vkGetPipelineExecutablePropertiesKHR");
    VkPipelineExecutablePropertiesKHR empty = {};
    empty.sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_PROPERTIES_KHR;
    std::vector<VkPipelineExecutablePropertiesKHR> programs(count, empty);
    check(query(device, &info, &count, programs.data()), "vkGetPipelineExecutablePropertiesKHR");
    if (programs.empty())
        return {};
    const auto widest = std::max_element(programs.begin(), programs.end(), [](const auto& a, const auto& b)
                                         { return a.subgroupSize < b.subgroupSize; });
    const VkPipelineExecutableInfoKHR which = {VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INFO_KHR, nullptr, pipeline,
                                               uint32_t(widest - programs.begin())};

    return parseFigures(readStatistics(device, which), readText(device, which));
}

} // namespace lacuna::gpus

// recorder.cpp - the two entry points that are wrapped, and what they remember.
//
// SPDX-License-Identifier: Apache-2.0
#include "recorder.h"

#include "assume.h"
#include "executable.h"
#include "functions.h"

#include <chrono>
#include <cstring>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <utility>

namespace lacuna::gpus
{
namespace
{

struct Recorder
{
    std::map<std::string, std::string> names; // SPIR-V as bytes -> module
    std::map<VkShaderModule, std::string> shaders;
    std::vector<Compiled> compiled;
    std::exception_ptr failure; // the library knows no exceptions: kept until takeCompiled()
};

Recorder& recorder()
{
    static Recorder instance;
    return instance;
}

VKAPI_ATTR VkResult VKAPI_CALL createShaderModule(VkDevice device, const VkShaderModuleCreateInfo* info,
                                                  const VkAllocationCallbacks* allocator, VkShaderModule* module)
{
    const VkResult result = vkCreateShaderModule(device, info, allocator, module);
    const auto name = recorder().names.find(std::string(reinterpret_cast<const char*>(info->pCode), info->codeSize));
    recorder().shaders[*module] = name == recorder().names.end() ? "unknown" : name->second;
    return result;
}

Compiled describe(const VkPipelineShaderStageCreateInfo& stage)
{
    Compiled compiled;
    compiled.shader = recorder().shaders[stage.module];
    if (stage.pSpecializationInfo)
    {
        compiled.constants.resize(stage.pSpecializationInfo->dataSize / sizeof(uint32_t));
        if (!compiled.constants.empty())
            std::memcpy(compiled.constants.data(), stage.pSpecializationInfo->pData,
                        compiled.constants.size() * sizeof(uint32_t));
    }
    for (auto* s = static_cast<const VkBaseInStructure*>(stage.pNext); s; s = s->pNext)
        if (s->sType == VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_REQUIRED_SUBGROUP_SIZE_CREATE_INFO)
            compiled.subgroup_size =
                reinterpret_cast<const VkPipelineShaderStageRequiredSubgroupSizeCreateInfo*>(s)->requiredSubgroupSize;
    return compiled;
}

VKAPI_ATTR VkResult VKAPI_CALL createComputePipelines(VkDevice device, VkPipelineCache cache, uint32_t count,
                                                      const VkComputePipelineCreateInfo* infos,
                                                      const VkAllocationCallbacks* allocator, VkPipeline* pipelines)
{
    for (uint32_t i = 0; i < count; ++i)
    {
        VkComputePipelineCreateInfo info = infos[i];
        info.flags |= VK_PIPELINE_CREATE_CAPTURE_STATISTICS_BIT_KHR |
                      VK_PIPELINE_CREATE_CAPTURE_INTERNAL_REPRESENTATIONS_BIT_KHR;
        Compiled compiled = describe(info.stage);
        const auto start = std::chrono::steady_clock::now();
        const VkResult result = vkCreateComputePipelines(device, cache, 1, &info, allocator, pipelines + i);
        if (result != VK_SUCCESS)
            return result;
        compiled.compile_ms =
            std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
        try
        {
            compiled.figures = readFigures(device, pipelines[i]);
        }
        catch (...)
        {
            recorder().failure = std::current_exception();
        }
        recorder().compiled.push_back(std::move(compiled));
    }
    return VK_SUCCESS;
}

// Commands go nowhere: a driver without its card need not survive them.
VKAPI_ATTR void VKAPI_CALL bindPipeline(VkCommandBuffer, VkPipelineBindPoint, VkPipeline) {}
VKAPI_ATTR void VKAPI_CALL pushConstants(VkCommandBuffer, VkPipelineLayout, VkShaderStageFlags,
                                         uint32_t, uint32_t, const void*)
{
}
VKAPI_ATTR void VKAPI_CALL dispatch(VkCommandBuffer, uint32_t, uint32_t, uint32_t) {}

VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL recordingDeviceProcAddr(VkDevice device, const char* name)
{
    if (std::strcmp(name, "vkCreateShaderModule") == 0)
        return reinterpret_cast<PFN_vkVoidFunction>(createShaderModule);
    if (std::strcmp(name, "vkCreateComputePipelines") == 0)
        return reinterpret_cast<PFN_vkVoidFunction>(createComputePipelines);
    if (std::strcmp(name, "vkCmdBindPipeline") == 0)
        return reinterpret_cast<PFN_vkVoidFunction>(bindPipeline);
    if (std::strcmp(name, "vkCmdPushConstants") == 0)
        return reinterpret_cast<PFN_vkVoidFunction>(pushConstants);
    if (std::strcmp(name, "vkCmdDispatch") == 0)
        return reinterpret_cast<PFN_vkVoidFunction>(dispatch);
    return vkGetDeviceProcAddr(device, name);
}

} // namespace

VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL recordingInstanceProcAddr(VkInstance instance, const char* name)
{
    if (std::strcmp(name, "vkGetDeviceProcAddr") == 0)
        return reinterpret_cast<PFN_vkVoidFunction>(recordingDeviceProcAddr);
    const PFN_vkVoidFunction assuming = assumingFunction(name);
    return assuming ? assuming : vkGetInstanceProcAddr(instance, name);
}

void nameShaders(const std::string& spirv_folder)
{
    for (const auto& entry : std::filesystem::directory_iterator(spirv_folder))
    {
        if (entry.path().extension() != ".spv")
            continue;
        std::ifstream file(entry.path(), std::ios::binary);
        recorder().names[std::string(std::istreambuf_iterator<char>(file), {})] = entry.path().stem().string();
    }
    if (recorder().names.empty())
        throw std::runtime_error("the folder '" + spirv_folder + "' holds no .spv file");
}

std::vector<Compiled> takeCompiled()
{
    if (const std::exception_ptr failure = std::exchange(recorder().failure, nullptr))
        std::rethrow_exception(failure);
    return std::exchange(recorder().compiled, {});
}

} // namespace lacuna::gpus

// pipelines.cpp - makes compute pipelines from the embedded SPIR-V.
//
// SPDX-License-Identifier: Apache-2.0
#include "pipelines.h"

#include <cinttypes>
#include <cstdio>
#include <span>

namespace lacuna
{

Pipelines::Pipelines(const DeviceFunctions& vk, VkDevice device, VkPipelineCache cache, const Caps& caps)
    : vk_(vk), device_(device), cache_(cache), caps_(caps)
{
}

Pipelines::~Pipelines()
{
    for (auto& [key, pipeline] : pipelines_)
    {
        vk_.vkDestroyPipeline(device_, pipeline->handle, nullptr);
        vk_.vkDestroyPipelineLayout(device_, pipeline->layout, nullptr);
    }
}

LacunaResult Pipelines::get(const PipelineKey& key, Pipeline*& pipeline, std::string& sentence)
{
    // Held while compiling: two threads that want the same pipeline would otherwise both compile it.
    const std::lock_guard lock(mutex_);
    if (const auto found = pipelines_.find(key); found != pipelines_.end())
    {
        pipeline = found->second.get();
        return LACUNA_SUCCESS;
    }
    auto made = std::make_unique<Pipeline>();
    if (const LacunaResult result = create(key, *made, sentence); result != LACUNA_SUCCESS)
        return result;
    pipeline = made.get();
    pipelines_.emplace(key, std::move(made));
    return LACUNA_SUCCESS;
}

std::string shaderDigest()
{
    uint64_t hash = 0xcbf29ce484222325ull; // FNV-1a over words
    for (const ShaderModule& shader : kShaders)
        for (const uint32_t word : std::span(shader.words, shader.word_count))
            hash = (hash ^ word) * 0x100000001b3ull;
    char digits[17];
    std::snprintf(digits, sizeof(digits), "%016" PRIx64, hash);
    return digits;
}

LacunaResult Pipelines::create(const PipelineKey& key, Pipeline& made, std::string& sentence)
{
    const ShaderModule& code = kShaders[uint32_t(key.shader)];
    const auto failed = [&](const char* call, VkResult result) {
        sentence = std::string(call) + " of shader '" + code.name + "' returned VkResult " + std::to_string(result);
        return LACUNA_ERROR_DEVICE;
    };

    VkShaderModuleCreateInfo module_info = {VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO};
    module_info.codeSize = code.word_count * sizeof(uint32_t);
    module_info.pCode = code.words;
    VkShaderModule module = VK_NULL_HANDLE;
    if (const VkResult r = vk_.vkCreateShaderModule(device_, &module_info, nullptr, &module); r != VK_SUCCESS)
        return failed("vkCreateShaderModule", r);

    const VkPushConstantRange range = {VK_SHADER_STAGE_COMPUTE_BIT, 0, key.push_bytes};
    VkPipelineLayoutCreateInfo layout_info = {VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO};
    layout_info.pushConstantRangeCount = key.push_bytes ? 1 : 0;
    layout_info.pPushConstantRanges = &range;
    VkResult result = vk_.vkCreatePipelineLayout(device_, &layout_info, nullptr, &made.layout);
    if (result != VK_SUCCESS)
    {
        vk_.vkDestroyShaderModule(device_, module, nullptr);
        return failed("vkCreatePipelineLayout", result);
    }

    std::vector<VkSpecializationMapEntry> entries;
    for (uint32_t i = 0; i < key.constants.size(); ++i)
        entries.push_back({i, uint32_t(i * sizeof(uint32_t)), sizeof(uint32_t)});
    const VkSpecializationInfo specialization = {uint32_t(entries.size()), entries.data(),
                                                 key.constants.size() * sizeof(uint32_t), key.constants.data()};
    VkPipelineShaderStageRequiredSubgroupSizeCreateInfo subgroup = {
        VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_REQUIRED_SUBGROUP_SIZE_CREATE_INFO, nullptr, key.subgroup_size};
    VkComputePipelineCreateInfo info = {VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO};
    info.flags = VK_PIPELINE_CREATE_DISPATCH_BASE_BIT; // for slices
    info.layout = made.layout;
    info.stage.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO;
    info.stage.stage = VK_SHADER_STAGE_COMPUTE_BIT;
    info.stage.module = module;
    info.stage.pName = "main";
    info.stage.pSpecializationInfo = &specialization;
    if (key.subgroup_size && caps_.can_pin_subgroup_size)
    {
        info.stage.pNext = caps_.has_one_subgroup_size ? nullptr : &subgroup;
        info.stage.flags = VK_PIPELINE_SHADER_STAGE_CREATE_REQUIRE_FULL_SUBGROUPS_BIT;
    }
    result = vk_.vkCreateComputePipelines(device_, cache_, 1, &info, nullptr, &made.handle);
    vk_.vkDestroyShaderModule(device_, module, nullptr);
    if (result != VK_SUCCESS)
    {
        vk_.vkDestroyPipelineLayout(device_, made.layout, nullptr);
        return failed("vkCreateComputePipelines", result);
    }
    return LACUNA_SUCCESS;
}

} // namespace lacuna

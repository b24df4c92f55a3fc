// pipelines.h - compute pipelines by (shader, specialization), made once per context and shared by plans.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "caps.h"
#include "device.h"

#include <shaders_gen.h> // enum class Shader and the embedded SPIR-V, generated from shaders/shaders.cfg

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace lacuna
{

struct Pipeline
{
    VkPipeline handle = VK_NULL_HANDLE;
    VkPipelineLayout layout = VK_NULL_HANDLE;
};

struct PipelineKey
{
    Shader shader;
    std::vector<uint32_t> constants; // every specialization constant of the shader, in order of id
    uint32_t push_bytes = 0;
    uint32_t subgroup_size = 0; // 0: the device's own choice
    std::vector<uint32_t> words; // SPIR-V in place of the shader's own; empty: none
    auto operator<=>(const PipelineKey&) const = default;
};

// 16 hexadecimal digits that change when any shader of the library does.
std::string shaderDigest();

class Pipelines
{
public:
    Pipelines(const DeviceFunctions& vk, VkDevice device, VkPipelineCache cache, const Caps& caps);
    ~Pipelines();
    Pipelines(const Pipelines&) = delete;
    Pipelines& operator=(const Pipelines&) = delete;

    // Makes or finds it; the pointer lives as long as this object. Any thread.
    LacunaResult get(const PipelineKey& key, Pipeline*& pipeline, std::string& sentence);

private:
    LacunaResult create(const PipelineKey& key, Pipeline& made, std::string& sentence);

    const DeviceFunctions& vk_;
    VkDevice device_;
    VkPipelineCache cache_;
    const Caps& caps_;
    std::mutex mutex_;
    std::map<PipelineKey, std::unique_ptr<Pipeline>> pipelines_;
};

} // namespace lacuna

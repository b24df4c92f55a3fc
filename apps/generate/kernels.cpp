// kernels.cpp - makes the pipelines, and lays weights out the way gemm.comp reads them.
//
// SPDX-License-Identifier: Apache-2.0
#include "kernels.h"

#include "shaders/push.h"
#include "shaders_gen.h"

#include <fmt/format.h>

#include <algorithm>

namespace generate
{

namespace host = lacuna::host;

constexpr uint32_t kGemmColumns = 4; // kColumns of gemm.comp

Lanes lanesOf(const host::Device& device)
{
    const host::Handles& handles = device.handles();
    const auto query = reinterpret_cast<PFN_vkGetPhysicalDeviceProperties2>(
        handles.get_instance_proc_addr(handles.instance, "vkGetPhysicalDeviceProperties2"));
    VkPhysicalDeviceVulkan13Properties sizes = {};
    sizes.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_3_PROPERTIES;
    VkPhysicalDeviceSubgroupProperties subgroup = {};
    subgroup.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES;
    subgroup.pNext = &sizes;
    VkPhysicalDeviceProperties2 properties = {};
    properties.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2;
    properties.pNext = &subgroup;
    query(handles.physical_device, &properties);

    // 32 lanes are one subgroup, if half empty, where subgroups have 64.
    Lanes lanes;
    lanes.count = std::min(subgroup.subgroupSize, 32u);
    if (sizes.minSubgroupSize < sizes.maxSubgroupSize)
        lanes.pinned = std::max(lanes.count, sizes.minSubgroupSize);
    if (device.info().is_cpu && (lanes.count == 8 || lanes.count == 16))
        lanes.joined = lanes.count;
    return lanes;
}

static host::Kernel makeKernel(host::Device& device, Shader shader, const Lanes& lanes,
                               std::vector<uint32_t> constants, uint32_t push_bytes)
{
    const ShaderModule& module = kShaders[uint32_t(shader)];
    host::KernelDesc desc;
    desc.name = module.name;
    desc.spirv = {module.words, module.word_count};
    desc.constants = constants;
    desc.push_bytes = push_bytes;
    desc.subgroup_size = lanes.pinned;
    return device.createKernel(desc);
}

Kernels::Kernels(host::Device& device, const ModelConfig& config, const Lanes& wanted, bool half)
    : lanes(wanted)
{
    const uint32_t count = lanes.count;
    const uint32_t joined = lanes.joined;
    for (uint32_t epilogue = 0; epilogue < kEpilogues; ++epilogue)
        gemm[epilogue] =
            makeKernel(device, Shader::gemm, lanes, {count, joined, epilogue}, sizeof(GemmPush));
    norm = makeKernel(device, Shader::norm, lanes, {count, joined, 0}, sizeof(NormPush));
    norm_modulated = makeKernel(device, Shader::norm, lanes, {count, joined, 1}, sizeof(NormPush));

    const Shader qk_norm = half ? Shader::qk_norm_f16 : Shader::qk_norm_f32;
    qk_norm_self = makeKernel(device, qk_norm, lanes, {count, joined, config.head_dim, 2, 1},
                              sizeof(QkNormPush));
    qk_norm_cross = makeKernel(device, qk_norm, lanes, {count, joined, config.head_dim, 1, 0},
                               sizeof(QkNormPush));
    patchify = makeKernel(device, Shader::patchify, lanes, {count}, sizeof(ClipPush));
    step = makeKernel(device, Shader::step, lanes, {count}, sizeof(ClipPush));
    modulate = makeKernel(device, Shader::modulate, lanes, {count}, sizeof(ModulatePush));
}

host::Buffer upload(host::Device& device, std::span<const float> values)
{
    host::Buffer buffer = device.createBuffer(values.size_bytes());
    device.upload(buffer, std::as_bytes(values));
    return buffer;
}

// Layers that read the same rows become one: their columns side by side.
static Linear makeLinear(host::Device& device, const Model& model, const Lanes& lanes,
                         const std::vector<std::string>& names)
{
    std::vector<float> rows; // [columns, inner], as in the file
    std::vector<float> bias;
    for (const std::string& name : names)
    {
        const std::vector<float>& part = model.tensor(name + ".weight");
        const std::vector<float>& part_bias = model.tensor(name + ".bias");
        rows.insert(rows.end(), part.begin(), part.end());
        bias.insert(bias.end(), part_bias.begin(), part_bias.end());
    }
    const uint32_t panel = kGemmColumns * lanes.count;
    Linear linear;
    linear.columns = uint32_t(bias.size());
    linear.inner = uint32_t(rows.size() / bias.size());
    linear.panels = (linear.columns + panel - 1) / panel;

    std::vector<float> panels(size_t(linear.panels) * linear.inner * panel);
    for (size_t column = 0; column < linear.columns; ++column)
        for (size_t k = 0; k < linear.inner; ++k)
            panels[(column / panel * linear.inner + k) * panel + column % panel] =
                rows[column * linear.inner + k];
    bias.resize(size_t(linear.panels) * panel);
    linear.weight = upload(device, panels);
    linear.bias = upload(device, bias);
    return linear;
}

static BlockWeights makeBlock(host::Device& device, const Model& model, const Lanes& lanes,
                              uint32_t index)
{
    const std::string prefix = fmt::format("blocks.{}.", index);
    const auto linear = [&](std::vector<std::string> names)
    {
        for (std::string& name : names)
            name = prefix + name;
        return makeLinear(device, model, lanes, names);
    };
    const auto vector = [&](const char* name)
    {
        return upload(device, model.tensor(prefix + name));
    };

    BlockWeights block;
    block.qkv = linear({"self_attn.q", "self_attn.k", "self_attn.v"});
    block.out = linear({"self_attn.o"});
    block.cross_q = linear({"cross_attn.q"});
    block.cross_kv = linear({"cross_attn.k", "cross_attn.v"});
    block.cross_out = linear({"cross_attn.o"});
    block.ffn_in = linear({"ffn.0"});
    block.ffn_out = linear({"ffn.2"});
    block.modulation = vector("modulation");
    std::vector<float> qk_norm = model.tensor(prefix + "self_attn.norm_q.weight");
    const std::vector<float>& k_norm = model.tensor(prefix + "self_attn.norm_k.weight");
    qk_norm.insert(qk_norm.end(), k_norm.begin(), k_norm.end());
    block.qk_norm = upload(device, qk_norm);
    block.cross_q_norm = vector("cross_attn.norm_q.weight");
    block.cross_k_norm = vector("cross_attn.norm_k.weight");
    block.norm_scale = vector("norm3.weight");
    block.norm_shift = vector("norm3.bias");
    return block;
}

Weights::Weights(host::Device& device, const Model& model, const Lanes& lanes)
    : patch(makeLinear(device, model, lanes, {"patch_embedding"})),
      text_in(makeLinear(device, model, lanes, {"text_embedding.0"})),
      text_out(makeLinear(device, model, lanes, {"text_embedding.2"})),
      time_in(makeLinear(device, model, lanes, {"time_embedding.0"})),
      time_out(makeLinear(device, model, lanes, {"time_embedding.2"})),
      time_projection(makeLinear(device, model, lanes, {"time_projection.1"})),
      head(makeLinear(device, model, lanes, {"head.head"})),
      head_modulation(upload(device, model.tensor("head.modulation")))
{
    for (uint32_t i = 0; i < model.config().layers; ++i)
        blocks.push_back(makeBlock(device, model, lanes, i));
}

} // namespace generate

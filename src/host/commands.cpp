// commands.cpp - recording and running one command buffer, and compute kernels of the program's
// own.
//
// SPDX-License-Identifier: Apache-2.0
#include "impl.h"

#include <algorithm>

namespace lacuna::host
{

std::vector<Timing> Device::run(const std::function<void(Commands&)>& record)
{
    impl_->requireNotLost();
    impl_->timers.restart();
    impl_->beginCommands(); // resets what a run that threw left behind
    Commands commands;
    commands.device_ = this;
    commands.cmd_ = impl_->cmd;
    record(commands);
    commands.barrier();
    impl_->submitAndWait();
    return impl_->timers.read();
}

void Commands::submit()
{
    barrier();
    device_->impl_->submitAndWait();
    device_->impl_->beginCommands();
}

bool Commands::hasTimestamps() const
{
    return device_->impl_->timers.isOn();
}

uint32_t Commands::mark()
{
    barrier();
    return device_->impl_->timers.mark(cmd_);
}

double Commands::betweenMarks(uint32_t begin, uint32_t end) const
{
    return device_->impl_->timers.between(begin, end);
}

void Commands::barrier()
{
    VkMemoryBarrier memory = {};
    memory.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER;
    memory.srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT;
    memory.dstAccessMask = VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT |
                           VK_ACCESS_TRANSFER_READ_BIT | VK_ACCESS_TRANSFER_WRITE_BIT |
                           VK_ACCESS_HOST_READ_BIT;
    const VkPipelineStageFlags work =
        VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT;
    device_->impl_->vk.vkCmdPipelineBarrier(cmd_, work, work | VK_PIPELINE_STAGE_HOST_BIT, 0, 1,
                                            &memory, 0, nullptr, 0, nullptr);
}

void Commands::beginTimer(std::string_view name)
{
    barrier();
    device_->impl_->timers.begin(cmd_, name);
}

void Commands::endTimer(std::string_view name)
{
    barrier();
    device_->impl_->timers.end(cmd_, name);
}

void Commands::dispatch(const Kernel& kernel, const void* push, uint32_t x, uint32_t y, uint32_t z)
{
    const uint32_t groups[3] = {x, y, z};
    const uint32_t* const limits = device_->impl_->properties.limits.maxComputeWorkGroupCount;
    for (int i = 0; i < 3; ++i)
        if (groups[i] > limits[i])
            throw Error(LACUNA_ERROR_INVALID_ARGUMENT,
                        "dispatch: " + std::to_string(groups[i]) + " workgroups in dimension " +
                            std::to_string(i) + ", the device allows " + std::to_string(limits[i]));
    const DeviceTable& vk = device_->impl_->vk;
    const Kernel::Impl& impl = *kernel.impl_;
    barrier();
    vk.vkCmdBindPipeline(cmd_, VK_PIPELINE_BIND_POINT_COMPUTE, impl.pipeline);
    if (impl.push_bytes != 0)
        vk.vkCmdPushConstants(cmd_, impl.layout, VK_SHADER_STAGE_COMPUTE_BIT, 0, impl.push_bytes,
                              push);
    vk.vkCmdDispatch(cmd_, x, y, z);
}

Kernel::Kernel() = default;
Kernel::Kernel(Kernel&&) noexcept = default;
Kernel& Kernel::operator=(Kernel&&) noexcept = default;
Kernel::~Kernel() = default;

Kernel::Impl::~Impl()
{
    vk->vkDestroyPipeline(device, pipeline, nullptr);
    vk->vkDestroyPipelineLayout(device, layout, nullptr);
}

// Owns a shader module for the time of pipeline creation.
namespace
{
struct Module
{
    const DeviceTable& vk;
    VkDevice device;
    VkShaderModule handle = VK_NULL_HANDLE;

    Module(const DeviceTable& table, VkDevice owner, std::span<const uint32_t> spirv)
        : vk(table), device(owner)
    {
        VkShaderModuleCreateInfo info = {};
        info.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO;
        info.codeSize = spirv.size_bytes();
        info.pCode = spirv.data();
        checkVulkan(vk.vkCreateShaderModule(device, &info, nullptr, &handle),
                    "vkCreateShaderModule");
    }
    ~Module() { vk.vkDestroyShaderModule(device, handle, nullptr); }
};
} // namespace

static void requireKernel(const KernelDesc& desc, bool can_pin_subgroup_size)
{
    const std::string prefix = std::string("createKernel '") + desc.name + "': ";
    if (desc.spirv.empty())
        throw Error(LACUNA_ERROR_INVALID_ARGUMENT, prefix + "the SPIR-V is empty");
    if (desc.push_bytes > 128 || desc.push_bytes % 4 != 0)
        throw Error(LACUNA_ERROR_INVALID_ARGUMENT, prefix + "push_bytes is " +
                                                       std::to_string(desc.push_bytes) +
                                                       ", expected a multiple of 4 up to 128");
    if (desc.subgroup_size != 0 && !can_pin_subgroup_size)
        throw Error(LACUNA_ERROR_UNSUPPORTED, prefix + "the device cannot pin the subgroup size");
}

Kernel Device::createKernel(const KernelDesc& desc)
{
    requireKernel(desc, impl_->can_pin_subgroup_size);
    auto impl = std::make_unique<Kernel::Impl>();
    impl->vk = &impl_->vk;
    impl->device = impl_->handles.device;
    impl->push_bytes = desc.push_bytes;
    const Module module(impl_->vk, impl->device, desc.spirv);

    const VkPushConstantRange range = {VK_SHADER_STAGE_COMPUTE_BIT, 0, desc.push_bytes};
    VkPipelineLayoutCreateInfo layout = {};
    layout.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO;
    layout.pushConstantRangeCount = desc.push_bytes != 0;
    layout.pPushConstantRanges = &range;
    checkVulkan(impl_->vk.vkCreatePipelineLayout(impl->device, &layout, nullptr, &impl->layout),
                "vkCreatePipelineLayout");

    std::vector<VkSpecializationMapEntry> entries;
    for (uint32_t i = 0; i < desc.constants.size(); ++i)
        entries.push_back({i, i * 4, 4});
    const VkSpecializationInfo specialization = {uint32_t(entries.size()), entries.data(),
                                                 desc.constants.size_bytes(),
                                                 desc.constants.data()};
    VkPipelineShaderStageRequiredSubgroupSizeCreateInfo subgroup = {};
    subgroup.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_REQUIRED_SUBGROUP_SIZE_CREATE_INFO;
    subgroup.requiredSubgroupSize = desc.subgroup_size;

    VkComputePipelineCreateInfo info = {};
    info.sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO;
    info.stage.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO;
    info.stage.pNext = desc.subgroup_size != 0 ? &subgroup : nullptr;
    info.stage.stage = VK_SHADER_STAGE_COMPUTE_BIT;
    info.stage.module = module.handle;
    info.stage.pName = "main";
    info.stage.pSpecializationInfo = &specialization;
    info.layout = impl->layout;
    impl_->has_new_kernels = true;
    checkVulkan(impl_->vk.vkCreateComputePipelines(impl->device, impl_->pipeline_cache, 1, &info,
                                                   nullptr, &impl->pipeline),
                "vkCreateComputePipelines");
    if (impl_->vk.vkSetDebugUtilsObjectNameEXT)
    {
        VkDebugUtilsObjectNameInfoEXT name = {};
        name.sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_OBJECT_NAME_INFO_EXT;
        name.objectType = VK_OBJECT_TYPE_PIPELINE;
        name.objectHandle = uint64_t(impl->pipeline);
        name.pObjectName = desc.name;
        impl_->vk.vkSetDebugUtilsObjectNameEXT(impl->device, &name);
    }
    Kernel kernel;
    kernel.impl_ = std::move(impl);
    return kernel;
}

} // namespace lacuna::host

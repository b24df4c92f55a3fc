// device.h - a Vulkan device with all that Lacuna asks for, and the figures of its compiler.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <lacuna/lacuna.hpp>

#include <vulkan/vulkan.h>

#include <cstdint>
#include <string>
#include <vector>

namespace lacuna::gpus
{

class Device
{
public:
    // Throws when there is none, or none with VK_KHR_pipeline_executable_properties. `probe`: see
    // layouts.h.
    explicit Device(const std::vector<uint32_t>& probe);
    ~Device();
    Device(const Device&) = delete;
    Device& operator=(const Device&) = delete;

    LacunaContext context() const { return context_.get(); }
    // As lacunaCreatePlan; on failure the plan is empty and `sentence` says why.
    LacunaResult createPlan(const LacunaPlanDesc& desc, Plan& plan, std::string& sentence);

private:
    static void receive(void* user, LacunaResult result, const char* sentence);
    void createDevice();
    void createContext(const std::vector<uint32_t>& probe);
    void recordProbe(); // for its pipeline

    VkInstance instance_ = VK_NULL_HANDLE;
    VkPhysicalDevice physical_device_ = VK_NULL_HANDLE;
    VkDevice device_ = VK_NULL_HANDLE;
    std::string sentence_;
    Context context_;
};

} // namespace lacuna::gpus

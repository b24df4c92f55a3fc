// instance.h - the Vulkan instance of one host::Device, with what the validation layers say.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "functions.h"

#include <mutex>
#include <string>
#include <vector>

namespace lacuna::host
{

class Instance
{
public:
    explicit Instance(bool validation);
    ~Instance();
    Instance(const Instance&) = delete;
    Instance& operator=(const Instance&) = delete;

    VkInstance handle() const { return instance_; }
    const InstanceTable& vk() const { return vk_; }
    bool hasDebugUtils() const { return has_debug_utils_; }
    std::vector<VkPhysicalDevice> physicalDevices() const;
    std::vector<std::string> messages() const;

private:
    static VKAPI_ATTR VkBool32 VKAPI_CALL receive(VkDebugUtilsMessageSeverityFlagBitsEXT severity,
                                                  VkDebugUtilsMessageTypeFlagsEXT types,
                                                  const VkDebugUtilsMessengerCallbackDataEXT* data,
                                                  void* user);

    VkInstance instance_ = VK_NULL_HANDLE;
    InstanceTable vk_;
    VkDebugUtilsMessengerEXT messenger_ = VK_NULL_HANDLE;
    bool has_debug_utils_ = false;
    mutable std::mutex mutex_; // the layers may call from any thread
    std::vector<std::string> messages_;
};

} // namespace lacuna::host

// functions.h - entry points of the loader and of the device, and failed calls as exceptions.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vulkan/vulkan.h>

#include <stdexcept>
#include <string>

namespace lacuna::gpus
{

inline void check(VkResult result, const char* call)
{
    if (result != VK_SUCCESS)
        throw std::runtime_error(std::string(call) + " returned VkResult " + std::to_string(result));
}

template <typename Function> Function deviceFunction(VkDevice device, const char* name)
{
    const auto found = reinterpret_cast<Function>(vkGetDeviceProcAddr(device, name));
    if (!found)
        throw std::runtime_error(std::string("the driver does not have ") + name);
    return found;
}

} // namespace lacuna::gpus

// device.h - the borrowed device: Vulkan entry points without globals, so that two devices in one process work.
//
// SPDX-License-Identifier: Apache-2.0
//
// volkLoadDeviceTable would need volk's process-wide vkGetDeviceProcAddr; this table comes from the caller's loader.
#pragma once

#include <lacuna/lacuna.h>

#define LACUNA_INSTANCE_FUNCTIONS(X)              \
    X(vkGetPhysicalDeviceProperties2)             \
    X(vkGetPhysicalDeviceFeatures2)               \
    X(vkEnumerateDeviceExtensionProperties)       \
    X(vkGetDeviceProcAddr)

#define LACUNA_DEVICE_FUNCTIONS(X) \
    X(vkCreateShaderModule)        \
    X(vkDestroyShaderModule)       \
    X(vkCreatePipelineLayout)      \
    X(vkDestroyPipelineLayout)     \
    X(vkCreateComputePipelines)    \
    X(vkDestroyPipeline)           \
    X(vkCmdBindPipeline)           \
    X(vkCmdPushConstants)          \
    X(vkCmdDispatch)               \
    X(vkCmdDispatchBase)           \
    X(vkCmdPipelineBarrier)

namespace lacuna
{

struct InstanceFunctions
{
#define X(name) PFN_##name name = nullptr;
    LACUNA_INSTANCE_FUNCTIONS(X)
#undef X
    PFN_vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR = nullptr;
    PFN_vkGetPhysicalDeviceCooperativeMatrixFlexibleDimensionsPropertiesNV
        vkGetPhysicalDeviceCooperativeMatrixFlexibleDimensionsPropertiesNV = nullptr;

    bool load(PFN_vkGetInstanceProcAddr get, VkInstance instance); // false: an entry point is missing
};

struct DeviceFunctions
{
#define X(name) PFN_##name name = nullptr;
    LACUNA_DEVICE_FUNCTIONS(X)
#undef X
    PFN_vkCmdBeginDebugUtilsLabelEXT vkCmdBeginDebugUtilsLabelEXT = nullptr; // NULL unless the app enabled it
    PFN_vkCmdEndDebugUtilsLabelEXT vkCmdEndDebugUtilsLabelEXT = nullptr;

    bool load(PFN_vkGetDeviceProcAddr get, VkDevice device);
};

} // namespace lacuna

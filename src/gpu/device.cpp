// device.cpp - loads the entry points of a borrowed device through the caller's loader.
//
// SPDX-License-Identifier: Apache-2.0
#include "device.h"

namespace lacuna
{

bool InstanceFunctions::load(PFN_vkGetInstanceProcAddr get, VkInstance instance)
{
    bool complete = true;
#define X(name)                                                      \
    name = reinterpret_cast<PFN_##name>(get(instance, #name));       \
    complete = complete && name != nullptr;
    LACUNA_INSTANCE_FUNCTIONS(X)
#undef X
    // Only there when an extension is; NULL is fine.
    vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR =
        reinterpret_cast<PFN_vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR>(
            get(instance, "vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR"));
    vkGetPhysicalDeviceCooperativeMatrixFlexibleDimensionsPropertiesNV =
        reinterpret_cast<PFN_vkGetPhysicalDeviceCooperativeMatrixFlexibleDimensionsPropertiesNV>(
            get(instance, "vkGetPhysicalDeviceCooperativeMatrixFlexibleDimensionsPropertiesNV"));
    return complete;
}

bool DeviceFunctions::load(PFN_vkGetDeviceProcAddr get, VkDevice device)
{
    bool complete = true;
#define X(name)                                                    \
    name = reinterpret_cast<PFN_##name>(get(device, #name));       \
    complete = complete && name != nullptr;
    LACUNA_DEVICE_FUNCTIONS(X)
#undef X
    vkCmdBeginDebugUtilsLabelEXT = reinterpret_cast<PFN_vkCmdBeginDebugUtilsLabelEXT>(
        get(device, "vkCmdBeginDebugUtilsLabelEXT"));
    vkCmdEndDebugUtilsLabelEXT =
        reinterpret_cast<PFN_vkCmdEndDebugUtilsLabelEXT>(get(device, "vkCmdEndDebugUtilsLabelEXT"));
    if (!vkCmdBeginDebugUtilsLabelEXT || !vkCmdEndDebugUtilsLabelEXT)
        vkCmdBeginDebugUtilsLabelEXT = nullptr; // both or none
    return complete;
}

} // namespace lacuna

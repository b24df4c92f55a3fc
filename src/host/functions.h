// functions.h - the Vulkan entry points of the host runtime as tables, without globals or a link to
// the loader.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <lacuna/lacuna.h>

#define LACUNA_HOST_GLOBAL_FUNCTIONS(X)                                                            \
    X(vkCreateInstance)                                                                            \
    X(vkEnumerateInstanceVersion)                                                                  \
    X(vkEnumerateInstanceExtensionProperties)                                                      \
    X(vkEnumerateInstanceLayerProperties)

#define LACUNA_HOST_INSTANCE_FUNCTIONS(X)                                                          \
    X(vkDestroyInstance)                                                                           \
    X(vkEnumeratePhysicalDevices)                                                                  \
    X(vkGetPhysicalDeviceProperties2)                                                              \
    X(vkGetPhysicalDeviceQueueFamilyProperties)                                                    \
    X(vkEnumerateDeviceExtensionProperties)                                                        \
    X(vkCreateDevice)                                                                              \
    X(vkGetDeviceProcAddr)

#define LACUNA_HOST_DEVICE_FUNCTIONS(X)                                                            \
    X(vkDestroyDevice)                                                                             \
    X(vkGetDeviceQueue)                                                                            \
    X(vkDeviceWaitIdle)                                                                            \
    X(vkCreateCommandPool)                                                                         \
    X(vkDestroyCommandPool)                                                                        \
    X(vkResetCommandPool)                                                                          \
    X(vkAllocateCommandBuffers)                                                                    \
    X(vkBeginCommandBuffer)                                                                        \
    X(vkEndCommandBuffer)                                                                          \
    X(vkQueueSubmit)                                                                               \
    X(vkCreateFence)                                                                               \
    X(vkDestroyFence)                                                                              \
    X(vkWaitForFences)                                                                             \
    X(vkResetFences)                                                                               \
    X(vkCreateQueryPool)                                                                           \
    X(vkDestroyQueryPool)                                                                          \
    X(vkGetQueryPoolResults)                                                                       \
    X(vkCmdResetQueryPool)                                                                         \
    X(vkCmdWriteTimestamp)                                                                         \
    X(vkCmdPipelineBarrier)                                                                        \
    X(vkCmdCopyBuffer)                                                                             \
    X(vkCmdFillBuffer)                                                                             \
    X(vkCmdBindPipeline)                                                                           \
    X(vkCmdPushConstants)                                                                          \
    X(vkCmdDispatch)                                                                               \
    X(vkCreateShaderModule)                                                                        \
    X(vkDestroyShaderModule)                                                                       \
    X(vkCreatePipelineLayout)                                                                      \
    X(vkDestroyPipelineLayout)                                                                     \
    X(vkCreateComputePipelines)                                                                    \
    X(vkDestroyPipeline)                                                                           \
    X(vkCreatePipelineCache)                                                                       \
    X(vkDestroyPipelineCache)                                                                      \
    X(vkGetPipelineCacheData)                                                                      \
    X(vkGetBufferDeviceAddress)

namespace lacuna::host
{

// The loader of this machine, opened once per process and never closed: drivers keep threads in it.
struct Loader
{
    PFN_vkGetInstanceProcAddr vkGetInstanceProcAddr = nullptr;
#define X(name) PFN_##name name = nullptr;
    LACUNA_HOST_GLOBAL_FUNCTIONS(X)
#undef X

    static const Loader& get(); // throws Error(LACUNA_ERROR_UNSUPPORTED) when there is none
};

struct InstanceTable
{
#define X(name) PFN_##name name = nullptr;
    LACUNA_HOST_INSTANCE_FUNCTIONS(X)
#undef X
    PFN_vkCreateDebugUtilsMessengerEXT vkCreateDebugUtilsMessengerEXT =
        nullptr; // NULL without the extension
    PFN_vkDestroyDebugUtilsMessengerEXT vkDestroyDebugUtilsMessengerEXT = nullptr;

    void load(VkInstance instance);
};

struct DeviceTable
{
#define X(name) PFN_##name name = nullptr;
    LACUNA_HOST_DEVICE_FUNCTIONS(X)
#undef X
    PFN_vkSetDebugUtilsObjectNameEXT vkSetDebugUtilsObjectNameEXT =
        nullptr; // NULL without the extension

    void load(PFN_vkGetDeviceProcAddr get, VkDevice device);
};

// Throws Error with the name of the call and of its result unless it succeeded.
void checkVulkan(VkResult result, const char* call);

} // namespace lacuna::host

// functions.cpp - opens the Vulkan loader and fills the tables.
//
// SPDX-License-Identifier: Apache-2.0
#include "functions.h"

#include <lacuna/lacuna.hpp>

#include <string>

#ifdef _WIN32
#include <windows.h>
#else
#include <dlfcn.h>
#endif

namespace lacuna::host
{
namespace
{

PFN_vkGetInstanceProcAddr openLoader()
{
#ifdef _WIN32
    HMODULE library = LoadLibraryA("vulkan-1.dll");
    return library ? PFN_vkGetInstanceProcAddr(
                         reinterpret_cast<void*>(GetProcAddress(library, "vkGetInstanceProcAddr")))
                   : nullptr;
#else
#ifdef __APPLE__
    const char* names[] = {"libvulkan.1.dylib", "libvulkan.dylib", "libMoltenVK.dylib"};
#else
    const char* names[] = {"libvulkan.so.1", "libvulkan.so"};
#endif
    for (const char* name : names)
        if (void* library = dlopen(name, RTLD_NOW | RTLD_LOCAL))
            return PFN_vkGetInstanceProcAddr(dlsym(library, "vkGetInstanceProcAddr"));
    return nullptr;
#endif
}

Loader loadLoader()
{
    Loader loader;
    loader.vkGetInstanceProcAddr = openLoader();
    if (!loader.vkGetInstanceProcAddr)
        throw Error(LACUNA_ERROR_UNSUPPORTED,
                    "this machine has no Vulkan loader (libvulkan.so.1); install a Vulkan driver");
    const PFN_vkGetInstanceProcAddr get = loader.vkGetInstanceProcAddr;
#define X(name) loader.name = PFN_##name(get(nullptr, #name));
    LACUNA_HOST_GLOBAL_FUNCTIONS(X)
#undef X
    if (!loader.vkEnumerateInstanceVersion)
        throw Error(LACUNA_ERROR_UNSUPPORTED,
                    "the Vulkan loader of this machine is version 1.0, Lacuna needs 1.3 or newer");
    return loader;
}

const char* resultName(VkResult result)
{
    switch (result)
    {
#define CASE(name)                                                                                 \
    case name:                                                                                     \
        return #name;
        CASE(VK_NOT_READY)
        CASE(VK_TIMEOUT)
        CASE(VK_INCOMPLETE)
        CASE(VK_ERROR_OUT_OF_HOST_MEMORY)
        CASE(VK_ERROR_OUT_OF_DEVICE_MEMORY)
        CASE(VK_ERROR_INITIALIZATION_FAILED)
        CASE(VK_ERROR_DEVICE_LOST)
        CASE(VK_ERROR_MEMORY_MAP_FAILED)
        CASE(VK_ERROR_LAYER_NOT_PRESENT)
        CASE(VK_ERROR_EXTENSION_NOT_PRESENT)
        CASE(VK_ERROR_FEATURE_NOT_PRESENT)
        CASE(VK_ERROR_INCOMPATIBLE_DRIVER)
        CASE(VK_ERROR_TOO_MANY_OBJECTS)
        CASE(VK_ERROR_UNKNOWN)
#undef CASE
    default:
        return "an unexpected result";
    }
}

} // namespace

const Loader& Loader::get()
{
    static const Loader loader = loadLoader();
    return loader;
}

void InstanceTable::load(VkInstance instance)
{
    const PFN_vkGetInstanceProcAddr get = Loader::get().vkGetInstanceProcAddr;
#define X(name) name = PFN_##name(get(instance, #name));
    LACUNA_HOST_INSTANCE_FUNCTIONS(X)
    X(vkCreateDebugUtilsMessengerEXT)
    X(vkDestroyDebugUtilsMessengerEXT)
#undef X
}

void DeviceTable::load(PFN_vkGetDeviceProcAddr get, VkDevice device)
{
#define X(name) name = PFN_##name(get(device, #name));
    LACUNA_HOST_DEVICE_FUNCTIONS(X)
    X(vkSetDebugUtilsObjectNameEXT)
#undef X
}

void checkVulkan(VkResult result, const char* call)
{
    if (result >= 0)
        return;
    const bool is_memory =
        result == VK_ERROR_OUT_OF_HOST_MEMORY || result == VK_ERROR_OUT_OF_DEVICE_MEMORY;
    throw Error(is_memory ? LACUNA_ERROR_OUT_OF_MEMORY : LACUNA_ERROR_DEVICE,
                std::string(call) + " returned " + resultName(result) + " (" +
                    std::to_string(result) + ")");
}

} // namespace lacuna::host

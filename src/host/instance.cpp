// instance.cpp - makes the instance; with validation, core and synchronization checks and a
// collector of messages.
//
// SPDX-License-Identifier: Apache-2.0
#include "instance.h"

#include <lacuna/lacuna.hpp>

#include <cstring>

namespace lacuna::host
{
namespace
{

constexpr const char* kValidationLayer = "VK_LAYER_KHRONOS_validation";

bool hasLayer(const char* wanted)
{
    uint32_t count = 0;
    checkVulkan(Loader::get().vkEnumerateInstanceLayerProperties(&count, nullptr),
                "vkEnumerateInstanceLayerProperties");
    std::vector<VkLayerProperties> layers(count);
    checkVulkan(Loader::get().vkEnumerateInstanceLayerProperties(&count, layers.data()),
                "vkEnumerateInstanceLayerProperties");
    for (const VkLayerProperties& layer : layers)
        if (std::strcmp(layer.layerName, wanted) == 0)
            return true;
    return false;
}

bool hasExtension(const char* wanted)
{
    uint32_t count = 0;
    checkVulkan(Loader::get().vkEnumerateInstanceExtensionProperties(nullptr, &count, nullptr),
                "vkEnumerateInstanceExtensionProperties");
    std::vector<VkExtensionProperties> extensions(count);
    checkVulkan(
        Loader::get().vkEnumerateInstanceExtensionProperties(nullptr, &count, extensions.data()),
        "vkEnumerateInstanceExtensionProperties");
    for (const VkExtensionProperties& extension : extensions)
        if (std::strcmp(extension.extensionName, wanted) == 0)
            return true;
    return false;
}

void requireLoader(bool validation)
{
    uint32_t version = 0;
    checkVulkan(Loader::get().vkEnumerateInstanceVersion(&version), "vkEnumerateInstanceVersion");
    if (version < VK_API_VERSION_1_3)
        throw Error(LACUNA_ERROR_UNSUPPORTED, "the Vulkan loader of this machine is version 1." +
                                                  std::to_string(VK_API_VERSION_MINOR(version)) +
                                                  ", Lacuna needs 1.3 or newer");
    if (validation && !hasLayer(kValidationLayer))
        throw Error(LACUNA_ERROR_UNSUPPORTED,
                    std::string("validation was asked for, but the layer ") + kValidationLayer +
                        " is not installed");
}

} // namespace

VkBool32 Instance::receive(VkDebugUtilsMessageSeverityFlagBitsEXT,
                           VkDebugUtilsMessageTypeFlagsEXT types,
                           const VkDebugUtilsMessengerCallbackDataEXT* data, void* user)
{
    // The loader reports its own search for drivers as "general"; only rules about our calls count.
    if (types & VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT)
    {
        Instance& instance = *static_cast<Instance*>(user);
        const std::lock_guard lock(instance.mutex_);
        instance.messages_.push_back(data->pMessage);
    }
    return VK_FALSE;
}

Instance::Instance(bool validation)
{
    requireLoader(validation);
    has_debug_utils_ = validation || hasExtension(VK_EXT_DEBUG_UTILS_EXTENSION_NAME);

    std::vector<const char*> extensions;
    if (has_debug_utils_)
        extensions.push_back(VK_EXT_DEBUG_UTILS_EXTENSION_NAME);
    const bool has_portability = hasExtension(VK_KHR_PORTABILITY_ENUMERATION_EXTENSION_NAME);
    if (has_portability)
        extensions.push_back(VK_KHR_PORTABILITY_ENUMERATION_EXTENSION_NAME);

    const VkDebugUtilsMessengerCreateInfoEXT messenger = {
        .sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT,
        .pNext = nullptr,
        .flags = 0,
        .messageSeverity = VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT |
                           VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT,
        .messageType = VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT,
        .pfnUserCallback = receive,
        .pUserData = this};
    const VkValidationFeatureEnableEXT enables[] = {
        VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT};
    const VkValidationFeaturesEXT features = {.sType = VK_STRUCTURE_TYPE_VALIDATION_FEATURES_EXT,
                                              .pNext =
                                                  &messenger, // also hears creation and destruction
                                              .enabledValidationFeatureCount = 1,
                                              .pEnabledValidationFeatures = enables,
                                              .disabledValidationFeatureCount = 0,
                                              .pDisabledValidationFeatures = nullptr};
    if (validation)
        extensions.push_back(VK_EXT_VALIDATION_FEATURES_EXTENSION_NAME);

    VkApplicationInfo application = {};
    application.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO;
    application.pApplicationName = "lacuna";
    application.applicationVersion = LACUNA_VERSION;
    application.apiVersion = VK_API_VERSION_1_3;

    VkInstanceCreateInfo info = {};
    info.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO;
    info.pNext = validation ? &features : nullptr;
    info.flags = has_portability ? VK_INSTANCE_CREATE_ENUMERATE_PORTABILITY_BIT_KHR : 0;
    info.pApplicationInfo = &application;
    info.enabledLayerCount = validation ? 1 : 0;
    info.ppEnabledLayerNames = &kValidationLayer;
    info.enabledExtensionCount = uint32_t(extensions.size());
    info.ppEnabledExtensionNames = extensions.data();
    const VkResult result = Loader::get().vkCreateInstance(&info, nullptr, &instance_);
    if (result == VK_ERROR_INCOMPATIBLE_DRIVER)
        throw Error(LACUNA_ERROR_UNSUPPORTED,
                    "this machine has a Vulkan loader but no Vulkan driver");
    checkVulkan(result, "vkCreateInstance");
    vk_.load(instance_);
    if (validation)
        vk_.vkCreateDebugUtilsMessengerEXT(instance_, &messenger, nullptr, &messenger_);
}

Instance::~Instance()
{
    if (messenger_)
        vk_.vkDestroyDebugUtilsMessengerEXT(instance_, messenger_, nullptr);
    if (instance_)
        vk_.vkDestroyInstance(instance_, nullptr);
}

std::vector<VkPhysicalDevice> Instance::physicalDevices() const
{
    uint32_t count = 0;
    checkVulkan(vk_.vkEnumeratePhysicalDevices(instance_, &count, nullptr),
                "vkEnumeratePhysicalDevices");
    std::vector<VkPhysicalDevice> devices(count);
    checkVulkan(vk_.vkEnumeratePhysicalDevices(instance_, &count, devices.data()),
                "vkEnumeratePhysicalDevices");
    devices.resize(count);
    return devices;
}

std::vector<std::string> Instance::messages() const
{
    const std::lock_guard lock(mutex_);
    return messages_;
}

} // namespace lacuna::host

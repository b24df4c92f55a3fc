// requirements.cpp - the extensions and features that an application should enable for Lacuna.
//
// SPDX-License-Identifier: Apache-2.0
#include "requirements.h"

#include <cstring>
#include <vector>

namespace lacuna
{

std::vector<VkExtensionProperties> deviceExtensions(const InstanceFunctions& vk, VkPhysicalDevice device)
{
    uint32_t count = 0;
    vk.vkEnumerateDeviceExtensionProperties(device, nullptr, &count, nullptr);
    std::vector<VkExtensionProperties> extensions(count);
    if (vk.vkEnumerateDeviceExtensionProperties(device, nullptr, &count, extensions.data()) < 0)
        count = 0;
    extensions.resize(count);
    return extensions;
}

bool hasExtension(const std::vector<VkExtensionProperties>& extensions, const char* name)
{
    for (const VkExtensionProperties& e : extensions)
        if (std::strcmp(e.extensionName, name) == 0)
            return true;
    return false;
}

// Links the structs in a fixed order; the matrix ones only where their extension exists.
static void chain(LacunaDeviceRequirements& r, bool matrix, bool matrix2)
{
    r.features.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2;
    r.vulkan11.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_FEATURES;
    r.vulkan12.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES;
    r.vulkan13.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_3_FEATURES;
    r.cooperative_matrix.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR;
    r.cooperative_matrix2.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_2_FEATURES_NV;
    r.features.pNext = &r.vulkan11;
    r.vulkan11.pNext = &r.vulkan12;
    r.vulkan12.pNext = &r.vulkan13;
    r.vulkan13.pNext = matrix ? &r.cooperative_matrix : nullptr;
    r.cooperative_matrix.pNext = matrix && matrix2 ? &r.cooperative_matrix2 : nullptr;
}

// Keeps of `have` only what Lacuna uses.
static void keepUsed(LacunaDeviceRequirements& want, const LacunaDeviceRequirements& have)
{
    want.vulkan11.storageBuffer16BitAccess = have.vulkan11.storageBuffer16BitAccess;
    want.vulkan12.bufferDeviceAddress = have.vulkan12.bufferDeviceAddress;
    want.vulkan12.vulkanMemoryModel = have.vulkan12.vulkanMemoryModel;
    want.vulkan12.vulkanMemoryModelDeviceScope = have.vulkan12.vulkanMemoryModelDeviceScope;
    want.vulkan12.shaderFloat16 = have.vulkan12.shaderFloat16;
    want.vulkan13.shaderIntegerDotProduct = have.vulkan13.shaderIntegerDotProduct;
    want.vulkan13.subgroupSizeControl = have.vulkan13.subgroupSizeControl;
    want.vulkan13.computeFullSubgroups = have.vulkan13.computeFullSubgroups;
    want.vulkan13.maintenance4 = have.vulkan13.maintenance4; // local sizes by specialization constant
    want.cooperative_matrix.cooperativeMatrix = have.cooperative_matrix.cooperativeMatrix;
    auto& want2 = want.cooperative_matrix2;
    const auto& have2 = have.cooperative_matrix2;
    want2.cooperativeMatrixWorkgroupScope = have2.cooperativeMatrixWorkgroupScope;
    want2.cooperativeMatrixFlexibleDimensions = have2.cooperativeMatrixFlexibleDimensions;
    want2.cooperativeMatrixReductions = have2.cooperativeMatrixReductions;
    want2.cooperativeMatrixConversions = have2.cooperativeMatrixConversions;
    want2.cooperativeMatrixPerElementOperations = have2.cooperativeMatrixPerElementOperations;
    want2.cooperativeMatrixTensorAddressing = have2.cooperativeMatrixTensorAddressing;
}

LacunaResult deviceRequirements(const InstanceFunctions& vk, VkPhysicalDevice device, LacunaDeviceRequirements& out,
                                std::string& reason)
{
    VkPhysicalDeviceProperties2 properties = {VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, nullptr, {}};
    vk.vkGetPhysicalDeviceProperties2(device, &properties);
    const uint32_t version = properties.properties.apiVersion;
    if (version < VK_API_VERSION_1_3)
    {
        reason = "needs Vulkan 1.3, the driver offers " + std::to_string(VK_API_VERSION_MAJOR(version)) + "." +
                 std::to_string(VK_API_VERSION_MINOR(version));
        return LACUNA_ERROR_UNSUPPORTED;
    }

    const auto extensions = deviceExtensions(vk, device);
    const bool matrix = hasExtension(extensions, VK_KHR_COOPERATIVE_MATRIX_EXTENSION_NAME);
    const bool matrix2 = matrix && hasExtension(extensions, VK_NV_COOPERATIVE_MATRIX_2_EXTENSION_NAME);

    LacunaDeviceRequirements have = {};
    chain(have, matrix, matrix2);
    vk.vkGetPhysicalDeviceFeatures2(device, &have.features);
    if (!have.vulkan12.bufferDeviceAddress)
    {
        reason = "needs the feature bufferDeviceAddress, which the driver does not offer";
        return LACUNA_ERROR_UNSUPPORTED;
    }

    out = {};
    const bool use_matrix = have.cooperative_matrix.cooperativeMatrix && have.vulkan12.vulkanMemoryModel;
    const bool use_matrix2 = use_matrix && have.cooperative_matrix2.cooperativeMatrixFlexibleDimensions;
    chain(out, use_matrix, use_matrix2);
    keepUsed(out, have);
    if (use_matrix)
        out.extensions[out.extension_count++] = VK_KHR_COOPERATIVE_MATRIX_EXTENSION_NAME;
    if (use_matrix2)
        out.extensions[out.extension_count++] = VK_NV_COOPERATIVE_MATRIX_2_EXTENSION_NAME;
    return LACUNA_SUCCESS;
}

} // namespace lacuna

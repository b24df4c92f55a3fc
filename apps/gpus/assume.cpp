// assume.cpp - adds VK_KHR_cooperative_matrix and its feature to the answers of the driver.
//
// SPDX-License-Identifier: Apache-2.0
#include "assume.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <vector>

namespace lacuna::gpus
{
namespace
{

bool is_assumed = false;

VKAPI_ATTR VkResult VKAPI_CALL enumerateExtensions(VkPhysicalDevice device, const char* layer, uint32_t* count,
                                                   VkExtensionProperties* out)
{
    uint32_t real = 0;
    vkEnumerateDeviceExtensionProperties(device, layer, &real, nullptr);
    std::vector<VkExtensionProperties> all(real);
    if (const VkResult result = vkEnumerateDeviceExtensionProperties(device, layer, &real, all.data()); result < 0)
        return result;
    VkExtensionProperties added = {};
    std::snprintf(added.extensionName, sizeof added.extensionName, "%s", VK_KHR_COOPERATIVE_MATRIX_EXTENSION_NAME);
    added.specVersion = VK_KHR_COOPERATIVE_MATRIX_SPEC_VERSION;
    all.push_back(added);
    if (!out)
    {
        *count = uint32_t(all.size());
        return VK_SUCCESS;
    }
    *count = std::min(*count, uint32_t(all.size()));
    std::copy_n(all.begin(), *count, out);
    return *count < all.size() ? VK_INCOMPLETE : VK_SUCCESS;
}

VKAPI_ATTR void VKAPI_CALL getFeatures(VkPhysicalDevice device, VkPhysicalDeviceFeatures2* features)
{
    vkGetPhysicalDeviceFeatures2(device, features);
    for (auto* s = static_cast<VkBaseOutStructure*>(features->pNext); s; s = s->pNext)
        if (s->sType == VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR)
            reinterpret_cast<VkPhysicalDeviceCooperativeMatrixFeaturesKHR*>(s)->cooperativeMatrix = VK_TRUE;
}

} // namespace

void assumeMatrices()
{
    is_assumed = true;
}

bool matricesAreAssumed()
{
    return is_assumed;
}

PFN_vkVoidFunction assumingFunction(const char* name)
{
    if (is_assumed && std::strcmp(name, "vkEnumerateDeviceExtensionProperties") == 0)
        return reinterpret_cast<PFN_vkVoidFunction>(enumerateExtensions);
    if (is_assumed && std::strcmp(name, "vkGetPhysicalDeviceFeatures2") == 0)
        return reinterpret_cast<PFN_vkVoidFunction>(getFeatures);
    return nullptr;
}

} // namespace lacuna::gpus

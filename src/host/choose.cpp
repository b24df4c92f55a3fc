// choose.cpp - which of the machine's devices: the one that was named, else discrete before
// integrated before CPU.
//
// SPDX-License-Identifier: Apache-2.0
#include "impl.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>

namespace lacuna::host
{
namespace
{

std::string lower(std::string text)
{
    std::transform(text.begin(), text.end(), text.begin(),
                   [](unsigned char c) { return char(std::tolower(c)); });
    return text;
}

int rank(VkPhysicalDeviceType type)
{
    switch (type)
    {
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU:
        return 0;
    case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU:
        return 1;
    case VK_PHYSICAL_DEVICE_TYPE_CPU:
        return 3;
    default: // virtual and other
        return 2;
    }
}

VkPhysicalDeviceProperties properties(const InstanceTable& vk, VkPhysicalDevice device)
{
    VkPhysicalDeviceProperties2 properties = {};
    properties.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2;
    vk.vkGetPhysicalDeviceProperties2(device, &properties);
    return properties.properties;
}

std::string known(const std::vector<VkPhysicalDeviceProperties>& all)
{
    std::string text;
    for (size_t i = 0; i < all.size(); ++i)
        text += (i ? ", " : "") + std::to_string(i) + " (" + all[i].deviceName + ")";
    return text;
}

// `wanted` is an index or a part of a name.
uint32_t named(const std::string& wanted, const std::vector<VkPhysicalDeviceProperties>& all)
{
    const bool is_number =
        std::all_of(wanted.begin(), wanted.end(), [](unsigned char c) { return std::isdigit(c); });
    for (size_t i = 0; i < all.size(); ++i)
        if (is_number ? wanted == std::to_string(i)
                      : lower(all[i].deviceName).find(lower(wanted)) != std::string::npos)
            return uint32_t(i);
    throw Error(LACUNA_ERROR_INVALID_ARGUMENT,
                "LACUNA_DEVICE is '" + wanted +
                    "', expected the index or a part of the name of one of " + known(all));
}

std::string hex(const uint8_t* bytes, size_t count)
{
    std::string text;
    for (size_t i = 0; i < count; ++i)
    {
        text += "0123456789abcdef"[bytes[i] >> 4];
        text += "0123456789abcdef"[bytes[i] & 15];
    }
    return text;
}

} // namespace

DeviceInfo describePhysicalDevice(const InstanceTable& vk, VkPhysicalDevice physical_device,
                                  uint32_t index)
{
    VkPhysicalDeviceDriverProperties driver = {};
    driver.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES;
    VkPhysicalDeviceIDProperties id = {};
    id.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_ID_PROPERTIES;
    id.pNext = &driver;
    VkPhysicalDeviceProperties2 properties = {};
    properties.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2;
    properties.pNext = &id;
    vk.vkGetPhysicalDeviceProperties2(physical_device, &properties);

    DeviceInfo info;
    info.index = index;
    info.name = properties.properties.deviceName;
    info.driver = std::string(driver.driverName) + " " + driver.driverInfo;
    info.uuid = hex(id.deviceUUID, VK_UUID_SIZE);
    info.is_cpu = properties.properties.deviceType == VK_PHYSICAL_DEVICE_TYPE_CPU;
    return info;
}

uint32_t chooseDevice(const InstanceTable& vk, const std::vector<VkPhysicalDevice>& devices,
                      int index)
{
    if (devices.empty())
        throw Error(LACUNA_ERROR_UNSUPPORTED, "this machine has no Vulkan device");
    std::vector<VkPhysicalDeviceProperties> all;
    for (const VkPhysicalDevice device : devices)
        all.push_back(properties(vk, device));
    if (index >= int(devices.size()))
        throw Error(LACUNA_ERROR_INVALID_ARGUMENT, "device " + std::to_string(index) +
                                                       " does not exist, expected one of " +
                                                       known(all));
    if (index >= 0)
        return uint32_t(index);
    const char* wanted = std::getenv("LACUNA_DEVICE");
    if (wanted && *wanted)
        return named(wanted, all);
    const auto best = std::min_element(all.begin(), all.end(), [](const auto& a, const auto& b)
                                       { return rank(a.deviceType) < rank(b.deviceType); });
    return uint32_t(best - all.begin());
}

} // namespace lacuna::host

// requirements.h - the extensions and features that an application should enable for Lacuna.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "device.h"

#include <string>
#include <vector>

namespace lacuna
{

// As lacunaGetDeviceRequirements; `reason` on failure.
LacunaResult deviceRequirements(const InstanceFunctions& vk, VkPhysicalDevice device, LacunaDeviceRequirements& out,
                                std::string& reason);

std::vector<VkExtensionProperties> deviceExtensions(const InstanceFunctions& vk, VkPhysicalDevice device);
bool hasExtension(const std::vector<VkExtensionProperties>& extensions, const char* name);

} // namespace lacuna

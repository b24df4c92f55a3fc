// recorder.h - stands between the library and the driver, and keeps the figures of every pipeline made.
//
// SPDX-License-Identifier: Apache-2.0
//
// The core takes its entry points from the caller's loader, so a caller can see each pipeline with the constants
// that the library chose, without a hook in the library.
#pragma once

#include "figures.h"

#include <vulkan/vulkan.h>

#include <string>
#include <vector>

namespace lacuna::gpus
{

struct Compiled
{
    std::string shader; // as in shaders.cfg
    std::vector<uint32_t> constants;
    uint32_t subgroup_size = 0; // 0: not pinned
    Figures figures;
    double compile_ms = 0; // the text of the instructions included
};

// For LacunaContextDesc. Vulkan's functions carry no pointer of the user's, so there is one recorder a process.
VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL recordingInstanceProcAddr(VkInstance instance, const char* name);

// Reads the modules of the build, to know a shader again by its words. Throws when the folder has none.
void nameShaders(const std::string& spirv_folder);

// What was compiled since the last call. Throws what a driver's refusal to give figures threw.
std::vector<Compiled> takeCompiled();

} // namespace lacuna::gpus

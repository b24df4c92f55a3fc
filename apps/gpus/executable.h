// executable.h - asks the driver about a pipeline's program, by VK_KHR_pipeline_executable_properties.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "figures.h"

#include <vulkan/vulkan.h>

namespace lacuna::gpus
{

// `pipeline` was made with CAPTURE_STATISTICS and CAPTURE_INTERNAL_REPRESENTATIONS. Where the driver made several
// programs (one a subgroup size) the widest counts, which is the one it prefers.
Figures readFigures(VkDevice device, VkPipeline pipeline);

} // namespace lacuna::gpus

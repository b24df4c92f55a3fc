// assume.h - what newer drivers of the same GPU offer, and the one at hand compiles but does not offer yet.
//
// SPDX-License-Identifier: Apache-2.0
//
// Mesa 25.0.7 RADV compiles matrix instructions for RDNA4 and lists their shapes, yet offers
// VK_KHR_cooperative_matrix for RDNA3 only.
#pragma once

#include <vulkan/vulkan.h>

namespace lacuna::gpus
{

// From now on the library is told that the device offers cooperative matrices.
void assumeMatrices();
bool matricesAreAssumed();

// The wrapped entry point of that name, or null when the driver's own will do.
PFN_vkVoidFunction assumingFunction(const char* name);

} // namespace lacuna::gpus

// vector_width.h - lets Mesa's CPU driver use 512-bit vectors where that is faster and safe.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace lacuna::tool
{

// Call before the first Vulkan call. When every Vulkan device of this machine is lavapipe, the CPU
// has AVX-512, and the command runs the scalar tier only, sets LP_NATIVE_VECTOR_WIDTH=512:
// measured 1.6 times faster there. The driver reads it once per process. A value that the user set
// stays.
void chooseVectorWidth(int argc, const char* const* argv);

// One sentence for `lacuna devices` when the above would happen for the other commands, else empty.
std::string explainVectorWidth();

} // namespace lacuna::tool

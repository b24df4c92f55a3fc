// png.h - grey and RGB images as .png.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace lacuna::tool
{

// pixels: [height, width, channels], channels 1 or 3.
std::vector<std::byte> formatPng(std::span<const uint8_t> pixels, uint32_t width, uint32_t height,
                                 uint32_t channels);

} // namespace lacuna::tool

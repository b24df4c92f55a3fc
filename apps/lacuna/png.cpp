// png.cpp - compiles the image writer and keeps its warnings out of ours.
//
// SPDX-License-Identifier: Apache-2.0
#include "png.h"

#include <stdexcept>

#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STBI_WRITE_NO_STDIO
#if defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#pragma GCC diagnostic ignored "-Wunused-function"
#endif
#include <stb_image_write.h>
#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

namespace lacuna::tool
{

std::vector<std::byte> formatPng(std::span<const uint8_t> pixels, uint32_t width, uint32_t height,
                                 uint32_t channels)
{
    std::vector<std::byte> file;
    const auto append = [](void* user, void* data, int size)
    {
        const auto* const bytes = static_cast<const std::byte*>(data);
        auto& out = *static_cast<std::vector<std::byte>*>(user);
        out.insert(out.end(), bytes, bytes + size);
    };
    if (!stbi_write_png_to_func(append, &file, int(width), int(height), int(channels),
                                pixels.data(), int(width * channels)))
        throw std::runtime_error("the PNG could not be made");
    return file;
}

} // namespace lacuna::tool

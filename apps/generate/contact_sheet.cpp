// contact_sheet.cpp - frames of several clips side by side in one picture.
//
// SPDX-License-Identifier: Apache-2.0
#include "clip.h"

#include "lacuna/png.h"

#include <algorithm>

// The header defines all its functions as static, and one of them is not used here.
#if defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wshadow"
#endif
#include <stb_easy_font.h>
#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

namespace generate
{

namespace
{

constexpr uint32_t kMaxColumns = 8;
constexpr uint32_t kGap = 4;
constexpr uint32_t kTextScale = 2;
constexpr uint32_t kLabelHeight = 12 * kTextScale;
constexpr uint8_t kPaper = 32;
constexpr uint8_t kInk = 230;

struct Picture
{
    uint32_t width, height;
    std::vector<uint8_t> rgb;

    void fill(uint32_t x, uint32_t y, uint32_t w, uint32_t h, const uint8_t (&colour)[3])
    {
        for (uint32_t row = y; row < std::min(y + h, height); ++row)
            for (uint32_t column = x; column < std::min(x + w, width); ++column)
                std::copy(colour, colour + 3, &rgb[(size_t(row) * width + column) * 3]);
    }
};

void drawText(Picture& picture, uint32_t x, uint32_t y, std::string text)
{
    struct Vertex
    {
        float x, y, z;
        uint8_t colour[4];
    };
    std::vector<Vertex> corners(text.size() * 300 / sizeof(Vertex) +
                                4); // the header: about 270 bytes a letter
    const int quads = stb_easy_font_print(0, 0, text.data(), nullptr, corners.data(),
                                          int(corners.size() * sizeof(Vertex)));
    const uint8_t ink[3] = {kInk, kInk, kInk};
    for (int i = 0; i < quads; ++i)
    {
        const Vertex& from = corners[i * 4];
        const Vertex& to = corners[i * 4 + 2];
        picture.fill(x + uint32_t(from.x) * kTextScale, y + uint32_t(from.y) * kTextScale,
                     uint32_t(to.x - from.x) * kTextScale, uint32_t(to.y - from.y) * kTextScale,
                     ink);
    }
}

// The frame with pixels repeated `scale` times.
void drawFrame(Picture& picture, uint32_t x, uint32_t y, const ClipShape& shape,
               std::span<const uint8_t> frame, uint32_t scale)
{
    for (uint32_t row = 0; row < shape.height; ++row)
        for (uint32_t column = 0; column < shape.width; ++column)
        {
            const uint8_t* const pixel = &frame[(size_t(row) * shape.width + column) * 3];
            picture.fill(x + column * scale, y + row * scale, scale, scale,
                         {pixel[0], pixel[1], pixel[2]});
        }
}

} // namespace

std::vector<std::byte> formatContactSheet(const std::vector<SheetRow>& rows)
{
    const ClipShape shape = rows.front().clip->shape;
    const uint32_t columns = std::min(shape.frames, kMaxColumns);
    const uint32_t scale = std::max(1u, 128 / std::max(shape.width, shape.height));
    const uint32_t row_height = kLabelHeight + shape.height * scale + kGap;

    Picture picture;
    picture.width = columns * (shape.width * scale + kGap) + kGap;
    picture.height = uint32_t(rows.size()) * row_height + kGap;
    picture.rgb.assign(size_t(picture.width) * picture.height * 3, kPaper);
    for (uint32_t r = 0; r < rows.size(); ++r)
    {
        const uint32_t y = kGap + r * row_height;
        drawText(picture, kGap, y + kGap, rows[r].label);
        for (uint32_t c = 0; c < columns; ++c)
        {
            const uint32_t frame = columns == 1 ? 0 : c * (shape.frames - 1) / (columns - 1);
            drawFrame(picture, kGap + c * (shape.width * scale + kGap), y + kLabelHeight, shape,
                      rows[r].clip->frame(frame), scale);
        }
    }
    return lacuna::tool::formatPng(picture.rgb, picture.width, picture.height, 3);
}

} // namespace generate

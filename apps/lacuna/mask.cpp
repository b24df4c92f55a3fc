// mask.cpp - `lacuna mask`: which keys a method keeps, as an array and as a picture.
//
// SPDX-License-Identifier: Apache-2.0
#include "npy.h"
#include "output.h"
#include "png.h"
#include "selection.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

namespace lacuna::tool
{
namespace
{

struct Flags
{
    SelectionFlags selection;
    std::string level = "token";
    std::string output;
    std::string png;
};

// White is kept; heads below each other with a grey line between. Small masks are magnified, large
// ones averaged, so that one head is at most kLargest pixels long and the picture kMaxPixels.
std::vector<std::byte> draw(const Mask& mask)
{
    constexpr uint64_t kLargest = 2048, kSmallest = 512, kMaxPixels = 1 << 26;
    const uint64_t longest = std::max(mask.rows, mask.columns);
    const auto pixelsOf = [&](uint64_t shrink, uint64_t grow)
    {
        return mask.heads * ((mask.rows + shrink - 1) / shrink * grow + 1) *
               ((mask.columns + shrink - 1) / shrink * grow);
    };
    uint64_t shrink = (longest + kLargest - 1) / kLargest;
    while (shrink < longest && pixelsOf(shrink, 1) > kMaxPixels)
        ++shrink;
    uint64_t grow = std::max<uint64_t>(1, kSmallest / longest);
    while (grow > 1 && pixelsOf(shrink, grow) > kMaxPixels)
        --grow;
    const uint64_t height = (mask.rows + shrink - 1) / shrink * grow;
    const uint64_t width = (mask.columns + shrink - 1) / shrink * grow;
    std::vector<uint8_t> pixels(width * (mask.heads * (height + 1) - 1), 128);
    for (uint64_t head = 0; head < mask.heads; ++head)
        for (uint64_t y = 0; y < height; ++y)
            for (uint64_t x = 0; x < width; ++x)
            {
                uint64_t sum = 0, count = 0;
                const uint64_t row = y / grow * shrink, column = x / grow * shrink;
                for (uint64_t i = row; i < std::min(row + shrink, mask.rows); ++i)
                    for (uint64_t j = column; j < std::min(column + shrink, mask.columns);
                         ++j, ++count)
                        sum += mask.kept[(head * mask.rows + i) * mask.columns + j];
                pixels[(head * (height + 1) + y) * width + x] = uint8_t(sum * 255 / count);
            }
    return formatPng(pixels, uint32_t(width), uint32_t(pixels.size() / width), 1);
}

void run(Flags& flags)
{
    const Selection selection(flags.selection);
    OutputFile array_file(flags.output);
    std::optional<OutputFile> png_file;
    if (!flags.png.empty())
        png_file.emplace(flags.png);

    host::Device device = flags.selection.device.open();
    const host::Attention::Kept kept = selection.run(device);
    Mask mask = maskOf(kept, flags.level);

    if (png_file)
        png_file->write(draw(mask));
    Array array;
    array.dtype = Dtype::U8;
    array.shape = {mask.heads, mask.rows, mask.columns};
    const auto bytes = std::as_bytes(std::span(mask.kept));
    array.bytes.assign(bytes.begin(), bytes.end());
    array_file.write(formatNpy(array));
    flags.selection.device.checkValidation(device);
    array_file.commit();
    if (png_file)
        png_file->commit();
    fmt::print("{} {} level {} density {:.4f}\n", flags.selection.method.method, flags.level,
               array.shapeText(), kept.density());
}

} // namespace

void addMask(CLI::App& app)
{
    CLI::App* const command =
        app.add_subcommand("mask", "which keys a method keeps, as an array and as a picture");
    const auto flags = std::make_shared<Flags>();
    flags->selection.add(*command);
    command
        ->add_option("--level", flags->level,
                     "token: [B*H, Nq, Nk] in your order; block: [B*H, Mq, Mk]")
        ->check(CLI::IsMember({"token", "block"}));
    command->add_option("-o,--output", flags->output, "uint8 .npy, 1 is kept")
        ->required()
        ->type_name("FILE");
    command->add_option("--png", flags->png, "a picture, white is kept")->type_name("FILE");
    command->callback([flags] { run(*flags); });
}

} // namespace lacuna::tool

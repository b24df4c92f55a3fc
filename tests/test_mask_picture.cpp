// test_mask_picture.cpp - what `lacuna mask --png` draws: the token map or the block map of each
// head.
//
// SPDX-License-Identifier: Apache-2.0
// ctest: label=vk timeout=200 app
#include "run_tool.h"

#include <zlib.h>

using namespace lacuna::test;
using namespace lacuna::tool;
namespace fs = std::filesystem;

namespace
{

const fs::path kFolder = "test_mask_picture_files";

std::string file(const char* name)
{
    return (kFolder / name).string();
}

uint32_t bigEndian(const std::string& bytes, size_t at)
{
    uint32_t number = 0;
    for (size_t i = at; i < at + 4; ++i)
        number = number << 8 | uint8_t(bytes.at(i));
    return number;
}

struct Picture
{
    uint32_t width = 0, height = 0;
    std::vector<uint8_t> grey;
};

// An 8-bit grey .png without interlacing.
Picture readPng(const std::string& png)
{
    Picture picture = {bigEndian(png, 16), bigEndian(png, 20), {}};
    REQUIRE(png.substr(24, 2) == std::string("\x08\x00", 2));
    std::string packed;
    for (size_t at = 8; at < png.size(); at += 12 + bigEndian(png, at))
        if (png.substr(at + 4, 4) == "IDAT")
            packed += png.substr(at + 8, bigEndian(png, at));
    std::vector<uint8_t> lines(picture.height * (picture.width + 1));
    uLongf size = uLongf(lines.size());
    REQUIRE(uncompress(lines.data(), &size, reinterpret_cast<const Bytef*>(packed.data()),
                       uLong(packed.size())) == Z_OK);
    REQUIRE(size == lines.size());
    for (uint32_t y = 0; y < picture.height; ++y)
        for (uint32_t x = 0; x < picture.width; ++x)
        {
            const auto grey = [&](uint32_t dx, uint32_t dy)
            {
                return x < dx || y < dy ? 0 : int(picture.grey[(y - dy) * picture.width + x - dx]);
            };
            const int left = grey(1, 0), up = grey(0, 1), corner = grey(1, 1),
                      guess = left + up - corner;
            const int to_left = std::abs(guess - left), to_up = std::abs(guess - up),
                      to_corner = std::abs(guess - corner);
            const int paeth = to_left <= to_up && to_left <= to_corner ? left
                              : to_up <= to_corner                     ? up
                                                                       : corner;
            const int predicted[] = {0, left, up, (left + up) / 2, paeth};
            picture.grey.push_back(uint8_t(lines[y * (picture.width + 1) + 1 + x] +
                                           predicted[lines[y * (picture.width + 1)]]));
        }
    return picture;
}

} // namespace

TEST_CASE("mask --png: the heads below each other, white is kept")
{
    const Folder folder(kFolder);
    const std::string arguments =
        "mask --method block_topk --set tile=2x2x2 --set keep_ratio=0.3 " + writeSmallQk(kFolder);
    for (const std::string level : {"token", "block"})
    {
        CAPTURE(level);
        const Ran ran = runTool(kFolder, arguments + " --level " + level + " -o " + file("m.npy") +
                                             " --png " + file("m.png"));
        INFO(ran.err);
        REQUIRE(ran.status == 0);
        const Array mask = readNpy(file("m.npy"));
        const Picture picture = readPng(readFile(file("m.png")));
        const uint64_t rows = mask.shape[1], columns = mask.shape[2],
                       grow = picture.width / columns;
        REQUIRE(picture.width == columns * grow);
        REQUIRE(picture.height == 2 * rows * grow + 1);
        size_t wrong = 0;
        for (uint64_t y = 0; y < picture.height; ++y)
            for (uint64_t x = 0; x < picture.width; ++x)
            {
                const uint64_t head = y > rows * grow, row = (y - head) / grow - head * rows;
                const int grey =
                    y == rows * grow
                        ? 128
                        : 255 * int(mask.bytes[(head * rows + row) * columns + x / grow]);
                wrong += picture.grey[y * picture.width + x] != grey;
            }
        CHECK(wrong == 0);
    }
}

TEST_CASE("mask --png: many heads are drawn smaller, not refused")
{
    const Folder folder(kFolder);
    const Ran ran =
        runTool(kFolder, "mask --method dense --level block --heads 300 --grid 1x1x64 -o " +
                             file("m.npy") + " --png " + file("m.png"));
    INFO(ran.err);
    REQUIRE(ran.status == 0);
    const std::string png = readFile(file("m.png"));
    CHECK(bigEndian(png, 16) == 472); // magnified as far as 2^26 pixels allow
    CHECK(bigEndian(png, 20) == 300 * 473 - 1);
}

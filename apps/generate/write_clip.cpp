// write_clip.cpp - clips as APNG, Y4M or a folder of PNG files.
//
// SPDX-License-Identifier: Apache-2.0
#include "clip.h"

#include "lacuna/errors.h"
#include "lacuna/output.h"
#include "lacuna/png.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>

namespace generate
{

namespace fs = std::filesystem;
namespace tool = lacuna::tool;
using Bytes = std::vector<std::byte>;

namespace
{

void appendBig32(Bytes& out, uint32_t value)
{
    for (int shift = 24; shift >= 0; shift -= 8)
        out.push_back(std::byte(value >> shift));
}

void append(Bytes& out, std::string_view text)
{
    const auto bytes = std::as_bytes(std::span(text));
    out.insert(out.end(), bytes.begin(), bytes.end());
}

void appendChunk(Bytes& out, const char* type, const Bytes& data)
{
    appendBig32(out, uint32_t(data.size()));
    const size_t begin = out.size();
    append(out, type);
    out.insert(out.end(), data.begin(), data.end());
    const auto* const covered = reinterpret_cast<const Bytef*>(out.data() + begin);
    appendBig32(out, uint32_t(crc32(0, covered, uInt(out.size() - begin))));
}

void appendHeader(Bytes& out, uint32_t width, uint32_t height)
{
    append(out, "\x89PNG\r\n\x1a\n");
    Bytes data;
    appendBig32(data, width);
    appendBig32(data, height);
    for (const int value : {8, 2, 0, 0, 0}) // 8-bit RGB, deflate, filters, no interlacing
        data.push_back(std::byte(value));
    appendChunk(out, "IHDR", data);
}

// One row as PNG's filter `kind` stores it: 0 as it is, 1 minus the pixel to the left, 2 minus the
// pixel above.
void filterRow(std::span<const uint8_t> row, std::span<const uint8_t> above, int kind,
               std::vector<uint8_t>& out)
{
    out.assign(1, uint8_t(kind));
    for (size_t i = 0; i < row.size(); ++i)
    {
        const uint8_t left = i >= 3 ? row[i - 3] : 0;
        const uint8_t up = above.empty() ? 0 : above[i];
        out.push_back(uint8_t(row[i] - (kind == 1 ? left : kind == 2 ? up : 0)));
    }
}

uint64_t sizeOfDifferences(const std::vector<uint8_t>& filtered)
{
    uint64_t sum = 0;
    for (size_t i = 1; i < filtered.size(); ++i)
        sum += uint64_t(std::abs(int(int8_t(filtered[i]))));
    return sum;
}

// The rows, each with the filter that leaves the smallest differences, as a zlib stream.
Bytes deflated(uint32_t width, uint32_t height, std::span<const uint8_t> rgb)
{
    const size_t row_bytes = size_t(width) * 3;
    std::vector<uint8_t> rows, best, candidate;
    for (uint32_t y = 0; y < height; ++y)
    {
        const auto row = rgb.subspan(y * row_bytes, row_bytes);
        const auto above =
            y > 0 ? rgb.subspan((y - 1) * row_bytes, row_bytes) : std::span<const uint8_t>();
        filterRow(row, above, 0, best);
        for (const int kind : {1, 2})
        {
            filterRow(row, above, kind, candidate);
            if (sizeOfDifferences(candidate) < sizeOfDifferences(best))
                std::swap(best, candidate);
        }
        rows.insert(rows.end(), best.begin(), best.end());
    }
    uLongf size = compressBound(uLong(rows.size()));
    Bytes stream(size);
    if (compress2(reinterpret_cast<Bytef*>(stream.data()), &size, rows.data(), uLong(rows.size()),
                  9) != Z_OK)
        throw std::bad_alloc();
    stream.resize(size);
    return stream;
}

Bytes frameControl(uint32_t sequence, const ClipShape& shape, uint32_t frames_per_second)
{
    Bytes data;
    for (const uint32_t value : {sequence, shape.width, shape.height, 0u, 0u})
        appendBig32(data, value);
    appendBig32(data, 1 << 16 | frames_per_second); // the frame's time, numerator and denominator
    data.insert(data.end(), 2, std::byte(0));       // keep the frame; replace the one before
    return data;
}

} // namespace

Bytes formatApng(const Clip& clip, uint32_t frames_per_second)
{
    const ClipShape& shape = clip.shape;
    Bytes out;
    appendHeader(out, shape.width, shape.height);
    Bytes animation;
    appendBig32(animation, shape.frames);
    appendBig32(animation, 0); // for ever
    appendChunk(out, "acTL", animation);
    uint32_t sequence = 0;
    for (uint32_t f = 0; f < shape.frames; ++f)
    {
        appendChunk(out, "fcTL", frameControl(sequence++, shape, frames_per_second));
        Bytes data;
        if (f > 0)
            appendBig32(data, sequence++);
        const Bytes stream = deflated(shape.width, shape.height, clip.frame(f));
        data.insert(data.end(), stream.begin(), stream.end());
        appendChunk(out, f == 0 ? "IDAT" : "fdAT", data);
    }
    appendChunk(out, "IEND", {});
    return out;
}

Bytes formatY4m(const Clip& clip, uint32_t frames_per_second)
{
    Bytes out;
    append(out, fmt::format("YUV4MPEG2 W{} H{} F{}:1 Ip A1:1 C444 XCOLORRANGE=LIMITED\n",
                            clip.shape.width, clip.shape.height, frames_per_second));
    for (uint32_t f = 0; f < clip.shape.frames; ++f)
    {
        append(out, "FRAME\n");
        const auto rgb = clip.frame(f);
        // Y, Cb, Cr in 16..235 and 16..240
        constexpr double kWeights[3][4] = {{0.299, 0.587, 0.114, 0},
                                           {-0.168736, -0.331264, 0.5, 128},
                                           {0.5, -0.418688, -0.081312, 128}};
        for (const auto& w : kWeights)
            for (size_t i = 0; i < rgb.size(); i += 3)
            {
                const double value = w[0] * rgb[i] + w[1] * rgb[i + 1] + w[2] * rgb[i + 2];
                const double level = w[3] == 0 ? 16 + value * 219 / 255 : 128 + value * 224 / 255;
                out.push_back(std::byte(uint8_t(std::round(level))));
            }
    }
    return out;
}

ClipForm clipForm(const std::string& path)
{
    const fs::path name(path);
    const std::string extension = name.extension().string();
    std::error_code error;
    if (extension == ".apng" || extension == ".png")
        return ClipForm::Apng;
    if (extension == ".y4m")
        return ClipForm::Y4m;
    if (!path.empty() && (path.back() == '/' || fs::is_directory(name, error)))
        return ClipForm::Frames;
    throw tool::InputError(fmt::format("-o is '{}', expected a name that ends in .apng or .y4m, or "
                                       "a folder for frames that ends in '/'",
                                       path));
}

std::string besidePath(const std::string& path, const std::string& suffix)
{
    fs::path name(path);
    if (!name.has_filename())
        return name.parent_path().string() + suffix + "/";
    const fs::path extension = name.extension();
    return name.replace_extension().string() + suffix + extension.string();
}

static void writeFrames(const fs::path& folder, const Clip& clip)
{
    fs::create_directories(folder);
    const auto path = [&](uint32_t f)
    {
        return folder / fmt::format("frame_{:04}.png", f);
    };
    for (uint32_t f = 0; f < clip.shape.frames; ++f)
        tool::writeFile(path(f).string(),
                        tool::formatPng(clip.frame(f), clip.shape.width, clip.shape.height, 3));
    for (uint32_t f = clip.shape.frames; fs::remove(path(f));
         ++f) // of a longer clip that was here before
        ;
}

void writeClip(const std::string& path, const Clip& clip, uint32_t frames_per_second)
{
    try
    {
        if (const fs::path parent = fs::path(path).parent_path(); !parent.empty())
            fs::create_directories(parent);
        switch (clipForm(path))
        {
        case ClipForm::Apng:
            return tool::writeFile(path, formatApng(clip, frames_per_second));
        case ClipForm::Y4m:
            return tool::writeFile(path, formatY4m(clip, frames_per_second));
        case ClipForm::Frames:
            return writeFrames(path, clip);
        }
    }
    catch (const fs::filesystem_error& error)
    {
        throw tool::InputError(fmt::format("cannot write '{}': {}", path, error.code().message()));
    }
}

} // namespace generate

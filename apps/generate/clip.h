// clip.h - finished clips: 8-bit frames, how alike two of them are, and the files they go to.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "model.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace generate
{

// 8-bit RGB, frame by frame, row by row.
struct Clip
{
    ClipShape shape;
    std::vector<uint8_t> rgb;

    size_t frameBytes() const { return size_t(shape.height) * shape.width * 3; }
    std::span<const uint8_t> frame(uint32_t index) const
    {
        return std::span(rgb).subspan(index * frameBytes(), frameBytes());
    }
};

// f32 [3, frames, height, width] in -1..1, clamped and rounded.
Clip toClip(const ClipShape& shape, std::span<const float> values);

// Over all frames and channels, dB; infinite for equal clips.
double psnr(const Clip& a, const Clip& b);
// Structural similarity of the luma, 11 x 11 Gaussian windows of deviation 1.5 inside the frame
// (smaller ones where the frame is smaller), mean over windows and frames.
double ssim(const Clip& a, const Clip& b);

// The form of a clip's file, from its name: clip.apng (or .png), clip.y4m, or frames/.
enum class ClipForm
{
    Apng,
    Y4m,
    Frames,
};
ClipForm clipForm(const std::string& path); // throws tool::InputError that lists the forms

// "clip.apng" -> "clip-dense.apng", "frames/" -> "frames-dense".
std::string besidePath(const std::string& path, const std::string& suffix);

// Each file appears whole or not at all. Folders are made. Throws tool::InputError.
void writeClip(const std::string& path, const Clip& clip, uint32_t frames_per_second);

std::vector<std::byte> formatApng(const Clip& clip, uint32_t frames_per_second);
// 4:4:4, BT.601 in the limited range that players assume.
std::vector<std::byte> formatY4m(const Clip& clip, uint32_t frames_per_second);

// One labelled row per clip: up to 8 frames each, evenly spaced in time, from the first to the
// last.
struct SheetRow
{
    std::string label;
    const Clip* clip;
};
std::vector<std::byte> formatContactSheet(const std::vector<SheetRow>& rows);

} // namespace generate

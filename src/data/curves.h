// curves.h - orders of the tokens of a video: curve[i] = the i-th token, counted in raster order.
//
// SPDX-License-Identifier: Apache-2.0
//
// Every curve is a bijection for every size, also of one frame or one row. videoOrder() cuts it
// into blocks.
#pragma once

#include "video_grid.h"

#include <cstdint>
#include <vector>

namespace lacuna
{

// The axes from the slowest to the fastest. THW is raster order; HWT keeps the frames of a pixel
// together.
enum class AxisOrder
{
    THW,
    TWH,
    HWT,
    HTW,
    WHT,
    WTH
};
std::vector<uint32_t> axisCurve(const Size3& size, AxisOrder order);

// Frame 0 last, so that a band over the other frames can leave it out.
std::vector<uint32_t> rotatedCurve(const Size3& size);

// Per axis the part that whole voxels of size `voxel` fill, voxel after voxel, then the tokens
// outside of it in raster order. So every voxel is a full block, and only the tail is ragged.
std::vector<uint32_t> voxelCurve(const Size3& size, const Size3& voxel);

// Hilbert's curve through the smallest cube of a power of two that holds the video, without the
// tokens outside of it: neighbours on the curve are neighbours in the video where the video is such
// a cube, and near each other elsewhere.
std::vector<uint32_t> hilbertCurve(const Size3& size);

// The generalised Hilbert curve ("gilbert"), made for boxes of any size. Neighbours on the curve
// are neighbours in the video, but for a few longer steps where a side is odd.
std::vector<uint32_t> gilbertCurve(const Size3& size);

// A gilbert curve per frame; a frame is mirrored so that it begins at the corner nearest to the end
// of the one before.
std::vector<uint32_t> slicedGilbertCurve(const Size3& size);

} // namespace lacuna

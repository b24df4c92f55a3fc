// curves.cpp - axis permutations, voxels, and space-filling curves through a video of any size.
//
// SPDX-License-Identifier: Apache-2.0

#include "curves.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdlib>
#include <numeric>
#include <utility>

namespace lacuna
{
namespace
{

uint32_t rasterIndex(const Size3& size, uint32_t t, uint32_t h, uint32_t w)
{
    return (t * size.h + h) * size.w + w;
}

// A point or a direction; x runs along the columns, y along the rows, z along the frames.
struct Vec
{
    int x = 0, y = 0, z = 0;
    Vec operator+(const Vec& o) const { return {x + o.x, y + o.y, z + o.z}; }
    Vec operator-(const Vec& o) const { return {x - o.x, y - o.y, z - o.z}; }
    Vec operator-() const { return {-x, -y, -z}; }
};

int length(const Vec& v)
{
    return std::abs(v.x + v.y + v.z); // along one axis
}

Vec unit(const Vec& v)
{
    const auto sign = [](int n)
    {
        return (n > 0) - (n < 0);
    };
    return {sign(v.x), sign(v.y), sign(v.z)};
}

// Half of v, rounded towards minus infinity, and then to an even length where v is longer than 2.
Vec half(const Vec& v)
{
    const auto floor_half = [](int n)
    {
        return n >= 0 ? n / 2 : -((1 - n) / 2);
    };
    const Vec h = {floor_half(v.x), floor_half(v.y), floor_half(v.z)};
    return length(h) % 2 != 0 && length(v) > 2 ? h + unit(v) : h;
}

// Walks the box at `o` with the sides a, b and c, from o to the other end of a.
class Gilbert
{
public:
    explicit Gilbert(const Size3& size) : size_(size) { curve_.reserve(size.volume()); }

    void walk(const Vec& o, const Vec& a, const Vec& b, const Vec& c)
    {
        const int w = length(a), h = length(b), d = length(c);
        if (h == 1 && d == 1)
            return line(o, a);
        if (w == 1 && d == 1)
            return line(o, b);
        if (w == 1 && h == 1)
            return line(o, c);

        const Vec a2 = half(a), b2 = half(b), c2 = half(c);
        const Vec last_a = a - unit(a), last_b = b2 - unit(b), last_c = c - unit(c);
        if (2 * w > 3 * h && 2 * w > 3 * d)
        {
            walk(o, a2, b, c);
            walk(o + a2, a - a2, b, c);
        }
        else if (3 * h > 4 * d)
        {
            walk(o, b2, c, a2);
            walk(o + b2, a, b - b2, c);
            walk(o + last_a + last_b, -b2, c, a2 - a);
        }
        else if (3 * d > 4 * h)
        {
            walk(o, c2, a2, b);
            walk(o + c2, a, b, c - c2);
            walk(o + last_a + c2 - unit(c), -c2, a2 - a, b);
        }
        else
        {
            walk(o, b2, c2, a2);
            walk(o + b2, c, a2, b - b2);
            walk(o + last_b + last_c, a, -b2, c2 - c);
            walk(o + last_a + b2 + last_c, -c, a2 - a, b - b2);
            walk(o + last_a + last_b, -b2, c2, a2 - a);
        }
    }

    std::vector<uint32_t> take() { return std::move(curve_); }

private:
    void line(Vec at, const Vec& along)
    {
        for (int i = 0; i < length(along); ++i, at = at + unit(along))
            curve_.push_back(rasterIndex(size_, uint32_t(at.z), uint32_t(at.y), uint32_t(at.x)));
    }

    Size3 size_;
    std::vector<uint32_t> curve_;
};

// Place on Hilbert's curve through a cube of 2^bits: Skilling's transform, then the bits of the
// axes interleaved.
uint64_t hilbertIndex(std::array<uint32_t, 3> axes, int bits)
{
    for (uint32_t bit = bits > 0 ? 1u << (bits - 1) : 0; bit > 1; bit >>= 1)
        for (uint32_t& axis : axes)
        {
            const uint32_t low = bit - 1;
            const uint32_t swapped = axis & bit ? 0 : (axes[0] ^ axis) & low;
            axes[0] ^= axis & bit ? low : swapped;
            axis ^= swapped;
        }
    axes[1] ^= axes[0];
    axes[2] ^= axes[1];
    uint32_t flips = 0;
    for (uint32_t bit = bits > 0 ? 1u << (bits - 1) : 0; bit > 1; bit >>= 1)
        flips ^= axes[2] & bit ? bit - 1 : 0;

    uint64_t index = 0;
    for (int bit = bits - 1; bit >= 0; --bit)
        for (const uint32_t axis : axes)
            index = index << 1 | ((axis ^ flips) >> bit & 1);
    return index;
}

} // namespace

std::vector<uint32_t> axisCurve(const Size3& size, AxisOrder order)
{
    constexpr uint32_t kT = 0, kH = 1, kW = 2;
    constexpr uint32_t kAxes[6][3] = {{kT, kH, kW}, {kT, kW, kH}, {kH, kW, kT},
                                      {kH, kT, kW}, {kW, kH, kT}, {kW, kT, kH}};
    const auto& axes = kAxes[uint32_t(order)];
    const uint32_t extents[3] = {size.t, size.h, size.w};

    std::vector<uint32_t> curve;
    curve.reserve(size.volume());
    uint32_t at[3];
    for (at[axes[0]] = 0; at[axes[0]] < extents[axes[0]]; ++at[axes[0]])
        for (at[axes[1]] = 0; at[axes[1]] < extents[axes[1]]; ++at[axes[1]])
            for (at[axes[2]] = 0; at[axes[2]] < extents[axes[2]]; ++at[axes[2]])
                curve.push_back(rasterIndex(size, at[kT], at[kH], at[kW]));
    return curve;
}

std::vector<uint32_t> rotatedCurve(const Size3& size)
{
    std::vector<uint32_t> curve(size.volume());
    std::iota(curve.begin(), curve.end(), 0u);
    std::rotate(curve.begin(), curve.begin() + int64_t(size.h) * size.w, curve.end());
    return curve;
}

std::vector<uint32_t> voxelCurve(const Size3& size, const Size3& voxel)
{
    const Size3 whole = {size.t / voxel.t * voxel.t, size.h / voxel.h * voxel.h,
                         size.w / voxel.w * voxel.w};
    std::vector<uint32_t> curve;
    curve.reserve(size.volume());
    for (uint32_t t0 = 0; t0 < whole.t; t0 += voxel.t)
        for (uint32_t h0 = 0; h0 < whole.h; h0 += voxel.h)
            for (uint32_t w0 = 0; w0 < whole.w; w0 += voxel.w)
                for (uint32_t t = t0; t < t0 + voxel.t; ++t)
                    for (uint32_t h = h0; h < h0 + voxel.h; ++h)
                        for (uint32_t w = w0; w < w0 + voxel.w; ++w)
                            curve.push_back(rasterIndex(size, t, h, w));
    for (uint32_t t = 0; t < size.t; ++t)
        for (uint32_t h = 0; h < size.h; ++h)
            for (uint32_t w = 0; w < size.w; ++w)
                if (t >= whole.t || h >= whole.h || w >= whole.w)
                    curve.push_back(rasterIndex(size, t, h, w));
    return curve;
}

std::vector<uint32_t> hilbertCurve(const Size3& size)
{
    const int bits = int(std::bit_width(std::max({size.t, size.h, size.w}) - 1));
    std::vector<std::pair<uint64_t, uint32_t>> places;
    places.reserve(size.volume());
    for (uint32_t t = 0; t < size.t; ++t)
        for (uint32_t h = 0; h < size.h; ++h)
            for (uint32_t w = 0; w < size.w; ++w)
                places.push_back({hilbertIndex({t, h, w}, bits), rasterIndex(size, t, h, w)});
    std::sort(places.begin(), places.end());

    std::vector<uint32_t> curve;
    for (const auto& [place, token] : places)
        curve.push_back(token);
    return curve;
}

std::vector<uint32_t> gilbertCurve(const Size3& size)
{
    // The longest axis leads: among equals columns before rows before frames.
    const Vec x = {int(size.w), 0, 0}, y = {0, int(size.h), 0}, z = {0, 0, int(size.t)};
    Gilbert gilbert(size);
    if (size.w >= size.h && size.w >= size.t)
        gilbert.walk({}, x, y, z);
    else if (size.h >= size.t)
        gilbert.walk({}, y, x, z);
    else
        gilbert.walk({}, z, x, y);
    return gilbert.take();
}

std::vector<uint32_t> slicedGilbertCurve(const Size3& size)
{
    const std::vector<uint32_t> frame = gilbertCurve({1, size.h, size.w});
    const uint32_t begin_h = frame.front() / size.w, begin_w = frame.front() % size.w;
    std::vector<uint32_t> curve;
    curve.reserve(size.volume());
    uint32_t end_h = begin_h, end_w = begin_w;
    for (uint32_t t = 0; t < size.t; ++t)
    {
        // The curve begins in a corner, at row 0 and column 0, and is mirrored along an axis whose
        // far side is nearer.
        const bool flips_h = 2 * end_h > size.h - 1, flips_w = 2 * end_w > size.w - 1;
        for (const uint32_t token : frame)
        {
            end_h = flips_h ? size.h - 1 - token / size.w : token / size.w;
            end_w = flips_w ? size.w - 1 - token % size.w : token % size.w;
            curve.push_back(rasterIndex(size, t, end_h, end_w));
        }
    }
    return curve;
}

} // namespace lacuna

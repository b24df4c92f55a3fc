// clip.cpp - pixels from the model's numbers, and how alike two clips are.
//
// SPDX-License-Identifier: Apache-2.0
#include "clip.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace generate
{

Clip toClip(const ClipShape& shape, std::span<const float> values)
{
    const size_t count = shape.pixels();
    Clip clip = {shape, std::vector<uint8_t>(count * 3)};
    for (size_t channel = 0; channel < 3; ++channel)
        for (size_t i = 0; i < count; ++i)
        {
            const double level = std::round((double(values[channel * count + i]) + 1) * 127.5);
            clip.rgb[i * 3 + channel] =
                uint8_t(level >= 0 ? std::min(level, 255.0) : 0); // NaN becomes 0
        }
    return clip;
}

double psnr(const Clip& a, const Clip& b)
{
    double square = 0;
    for (size_t i = 0; i < a.rgb.size(); ++i)
    {
        const double d = double(a.rgb[i]) - b.rgb[i];
        square += d * d;
    }
    if (square == 0)
        return std::numeric_limits<double>::infinity();
    return 10 * std::log10(255.0 * 255.0 * a.rgb.size() / square);
}

namespace
{

std::vector<double> lumaOf(std::span<const uint8_t> rgb)
{
    std::vector<double> luma(rgb.size() / 3);
    for (size_t i = 0; i < luma.size(); ++i)
        luma[i] = 0.299 * rgb[i * 3] + 0.587 * rgb[i * 3 + 1] + 0.114 * rgb[i * 3 + 2];
    return luma;
}

std::vector<double> gaussian(uint32_t taps)
{
    std::vector<double> weights(taps);
    double sum = 0;
    for (uint32_t i = 0; i < taps; ++i)
        sum += weights[i] = std::exp(-std::pow(i - (taps - 1) / 2.0, 2) / (2 * 1.5 * 1.5));
    for (double& weight : weights)
        weight /= sum;
    return weights;
}

// Weighted means over all windows that lie inside the frame.
class Windows
{
public:
    Windows(uint32_t width, uint32_t height)
        : width_(width),
          height_(height),
          across_(gaussian(std::min(width, 11u))),
          down_(gaussian(std::min(height, 11u)))
    {
    }

    std::vector<double> mean(const std::vector<double>& values) const
    {
        const size_t columns = width_ - across_.size() + 1;
        const size_t rows = height_ - down_.size() + 1;
        std::vector<double> half(height_ * columns), result(rows * columns);
        for (size_t y = 0; y < height_; ++y)
            for (size_t x = 0; x < columns; ++x)
                for (size_t i = 0; i < across_.size(); ++i)
                    half[y * columns + x] += across_[i] * values[y * width_ + x + i];
        for (size_t y = 0; y < rows; ++y)
            for (size_t x = 0; x < columns; ++x)
                for (size_t i = 0; i < down_.size(); ++i)
                    result[y * columns + x] += down_[i] * half[(y + i) * columns + x];
        return result;
    }

private:
    size_t width_, height_;
    std::vector<double> across_, down_;
};

std::vector<double> product(const std::vector<double>& a, const std::vector<double>& b)
{
    std::vector<double> result(a.size());
    for (size_t i = 0; i < a.size(); ++i)
        result[i] = a[i] * b[i];
    return result;
}

double ssimOfFrame(const Windows& windows, const std::vector<double>& a,
                   const std::vector<double>& b)
{
    constexpr double kC1 = 0.01 * 255 * 0.01 * 255;
    constexpr double kC2 = 0.03 * 255 * 0.03 * 255;
    const std::vector<double> mean_a = windows.mean(a), mean_b = windows.mean(b);
    const std::vector<double> aa = windows.mean(product(a, a)), bb = windows.mean(product(b, b));
    const std::vector<double> ab = windows.mean(product(a, b));
    double sum = 0;
    for (size_t i = 0; i < mean_a.size(); ++i)
    {
        const double ma = mean_a[i], mb = mean_b[i];
        const double variances = aa[i] - ma * ma + bb[i] - mb * mb;
        sum += (2 * ma * mb + kC1) * (2 * (ab[i] - ma * mb) + kC2) /
               ((ma * ma + mb * mb + kC1) * (variances + kC2));
    }
    return sum / mean_a.size();
}

} // namespace

double ssim(const Clip& a, const Clip& b)
{
    const Windows windows(a.shape.width, a.shape.height);
    double sum = 0;
    for (uint32_t f = 0; f < a.shape.frames; ++f)
        sum += ssimOfFrame(windows, lumaOf(a.frame(f)), lumaOf(b.frame(f)));
    return sum / a.shape.frames;
}

} // namespace generate

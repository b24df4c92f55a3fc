// schedule.cpp - sigmas, timesteps and seeded noise, all on the host in double precision.
//
// SPDX-License-Identifier: Apache-2.0
#include "schedule.h"

#include <cmath>
#include <numbers>

namespace generate
{

std::vector<double> sigmas(uint32_t steps, double shift)
{
    constexpr double kLargest = 0.999; // as Wan2.1: its table is 1 - linspace(1, 0.001)
    std::vector<double> values;
    for (uint32_t k = 0; k < steps; ++k)
    {
        const double sigma = kLargest * (1 - double(k) / steps);
        values.push_back(shift * sigma / (1 + (shift - 1) * sigma));
    }
    values.push_back(0);
    return values;
}

std::vector<double> timesteps(std::span<const double> sigmas)
{
    std::vector<double> values;
    for (const double sigma : sigmas.first(sigmas.size() - 1))
        values.push_back(std::floor(1000 * sigma));
    return values;
}

std::vector<float> timeWaves(std::span<const double> timesteps, uint32_t width)
{
    const uint32_t half = width / 2;
    std::vector<float> waves(timesteps.size() * width);
    for (size_t row = 0; row < timesteps.size(); ++row)
        for (uint32_t i = 0; i < half; ++i)
        {
            const double angle = timesteps[row] * std::pow(10000.0, -double(i) / half);
            waves[row * width + i] = float(std::cos(angle));
            waves[row * width + half + i] = float(std::sin(angle));
        }
    return waves;
}

// SplitMix64's mixing function: a bijection of 64 bits in which every input bit reaches every
// output bit.
static uint64_t mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

// Evenly spread in (0, 1), never 0 or 1: 53 bits, in the middle of their interval.
static double uniform(uint64_t key, uint64_t counter)
{
    constexpr uint64_t kGolden = 0x9e3779b97f4a7c15u;
    return (double(mix(key + counter * kGolden) >> 11) + 0.5) * 0x1p-53;
}

std::vector<float> noise(uint64_t seed, uint64_t count)
{
    // Box-Muller on the counters 2i and 2i + 1. The last bit of log and cos differs between C
    // libraries; rounding to 2^-16 hides that, and is far below what 8-bit pixels show.
    const uint64_t key = mix(seed + 1);
    std::vector<float> values(count);
    for (uint64_t i = 0; i < count; ++i)
    {
        const double radius = std::sqrt(-2 * std::log(uniform(key, 2 * i)));
        const double value = radius * std::cos(2 * std::numbers::pi * uniform(key, 2 * i + 1));
        values[i] = float(std::round(value * 65536) / 65536);
    }
    return values;
}

} // namespace generate

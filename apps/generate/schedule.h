// schedule.h - the noise a clip starts from and the sigmas it passes through.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace generate
{

// Flow matching with shift: `steps` falling sigmas, then 0.
std::vector<double> sigmas(uint32_t steps, double shift);

// What the model is told: whole thousandths of sigma.
std::vector<double> timesteps(std::span<const double> sigmas);

// f32 [timesteps, width]: cosines, then sines, of timestep * 10000^(-i / (width / 2)).
std::vector<float> timeWaves(std::span<const double> timesteps, uint32_t width);

// Standard normal numbers. Number i depends on seed and i only, and is the same on every machine.
std::vector<float> noise(uint64_t seed, uint64_t count);

} // namespace generate

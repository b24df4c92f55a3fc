// kernels.h - the generator's compute pipelines and the layers' weights in device memory.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "model.h"

#include <lacuna/host.hpp>

#include <span>
#include <string>
#include <vector>

namespace generate
{

// How a device reads neighbouring numbers, see shaders/lanes.glsl.
struct Lanes
{
    uint32_t count = 0;  // lanes of a workgroup, all in one subgroup
    uint32_t joined = 0; // lanes of a CPU's vector register, 0 on a GPU
    uint32_t pinned = 0; // subgroup size to ask for, 0 when the device has only one
};
Lanes lanesOf(const lacuna::host::Device& device);

// What a linear layer does with its sums; the numbers are those of gemm.comp.
enum class Epilogue : uint32_t
{
    Plain,
    Gelu,
    Silu,
    Residual,
    GatedResidual,
};
constexpr uint32_t kEpilogues = 5;

struct Kernels
{
    // half: queries, keys and values are fp16.
    Kernels(lacuna::host::Device& device, const ModelConfig& config, const Lanes& lanes, bool half);

    Lanes lanes;
    lacuna::host::Kernel gemm[kEpilogues];
    lacuna::host::Kernel norm;           // scale and shift are weights
    lacuna::host::Kernel norm_modulated; // 1 + scale
    lacuna::host::Kernel qk_norm_self;   // q and k normed and rotated
    lacuna::host::Kernel qk_norm_cross;  // only the first part is normed, nothing is rotated
    lacuna::host::Kernel patchify, step, modulate;
};

struct Linear
{
    lacuna::host::Buffer weight; // f32 panels, see gemm.comp
    lacuna::host::Buffer bias;
    uint32_t inner = 0;
    uint32_t columns = 0;
    uint32_t panels = 0;
};

struct BlockWeights
{
    Linear qkv, out;
    Linear cross_q, cross_kv, cross_out;
    Linear ffn_in, ffn_out;
    lacuna::host::Buffer modulation;   // [6, dim]
    lacuna::host::Buffer qk_norm;      // [2, dim]
    lacuna::host::Buffer cross_q_norm; // [dim]
    lacuna::host::Buffer cross_k_norm; // [dim]
    lacuna::host::Buffer norm_scale;   // [dim], before cross-attention
    lacuna::host::Buffer norm_shift;   // [dim]
};

struct Weights
{
    Weights(lacuna::host::Device& device, const Model& model, const Lanes& lanes);

    Linear patch, text_in, text_out, time_in, time_out, time_projection, head;
    lacuna::host::Buffer head_modulation; // [2, dim]
    std::vector<BlockWeights> blocks;
};

// Device memory with these numbers in it.
lacuna::host::Buffer upload(lacuna::host::Device& device, std::span<const float> values);

} // namespace generate

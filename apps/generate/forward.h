// forward.h - the model's forward pass, recorded into command buffers.
//
// SPDX-License-Identifier: Apache-2.0
//
//   Forward forward(device, model, desc);
//   forward.setTimes(times); forward.setPrompt(words);      once per schedule, once per prompt
//   device.run([&](auto& commands) { forward.recordStep(...); });   one denoising step, no CPU in
//   it
//
// Activations are fp32; branch 0 has the prompt, branch 1 has none, both go through every dispatch
// together. Only queries, keys and values may be fp16.
#pragma once

#include "kernels.h"

#include "lacuna/head_plans.h"

#include <functional>
#include <string_view>

namespace generate
{

struct ForwardDesc
{
    ClipShape shape;
    uint32_t branches = 2;              // 1: without guidance
    bool half = false;                  // queries, keys and values in fp16
    LacunaTier tier = LACUNA_TIER_AUTO; // of cross-attention
    double slice_ms = 0;                // of self-attention; 0: in one piece
    Lanes lanes;                        // zero: what suits the device; tests name others
};

class Forward
{
public:
    Forward(lacuna::host::Device& device, const Model& model, const ForwardDesc& desc);

    // Self-attention of one layer; method, options and tier are left to the caller.
    LacunaPlanDesc selfAttention() const;
    uint32_t tokens() const { return tokens_; }
    const lacuna::host::Slices& slices() const { return slices_; } // so far

    void setTimes(std::span<const double> timesteps);
    void setPrompt(const std::vector<uint32_t>& words);

    lacuna::host::Buffer& clip() { return clip_; }     // f32 [channels, frames, height, width]
    lacuna::host::Buffer& stream() { return stream_; } // f32 [branches, tokens, dim]
    lacuna::host::Buffer& qkv()
    {
        return half_ ? qkv_half_ : qkv_;
    } // [branches, tokens, 3, heads, head_dim]
    lacuna::host::Buffer& context() { return context_; } // f32 [branches, text_len, dim]
    lacuna::host::Buffer& times() { return time_; }      // f32 [times, dim]
    lacuna::host::Buffer& timeProjections() { return time_projection_; } // f32 [times, 6, dim]

    // The parts of a step.
    void recordEmbed(lacuna::host::Commands& commands);
    // Self-attention runs under the timer `timer`; `after_qkv`, where given, is called when qkv()
    // is ready.
    void recordBlock(lacuna::host::Commands& commands, uint32_t layer, uint32_t time,
                     const std::vector<lacuna::tool::HeadRun>& self, std::string_view timer,
                     const std::function<void()>& after_qkv = {});
    void recordHead(lacuna::host::Commands& commands, uint32_t time);
    // clip += amount * velocity, with guidance when there are two branches
    void recordUpdate(lacuna::host::Commands& commands, float guidance, float amount);

private:
    struct Gemm
    {
        const Linear& linear;
        Epilogue epilogue;
        uint64_t x;
        uint64_t result;
        uint32_t rows;
        uint64_t residual = 0;
        uint64_t gate = 0;
    };
    void record(lacuna::host::Commands& commands, const Gemm& gemm);
    void recordNorm(lacuna::host::Commands& commands, bool modulates, uint64_t scale,
                    uint64_t shift);
    struct QkNorm
    {
        const lacuna::host::Kernel& kernel;
        const lacuna::host::Buffer& from;
        const lacuna::host::Buffer& half;
        const lacuna::host::Buffer& weight;
        uint32_t rows;
        uint32_t parts;
        uint32_t normed;
    };
    void record(lacuna::host::Commands& commands, const QkNorm& norm);
    void recordSelf(lacuna::host::Commands& commands, uint32_t layer, uint64_t modulation,
                    const std::vector<lacuna::tool::HeadRun>& self, std::string_view timer,
                    const std::function<void()>& after_qkv);
    void recordCross(lacuna::host::Commands& commands, uint32_t layer);
    void recordModulation(lacuna::host::Commands& commands, const lacuna::host::Buffer& modulation,
                          const lacuna::host::Buffer& embedding, const lacuna::host::Buffer& result,
                          uint32_t width, uint32_t period);
    uint32_t rows() const { return branches_ * tokens_; }
    void createBuffers();
    void createCrossAttention(LacunaTier tier);

    lacuna::host::Device& device_;
    const Model& model_;
    ModelConfig config_;
    ClipShape shape_;
    uint32_t branches_;
    bool half_;
    double slice_ms_;
    lacuna::host::Slices slices_;
    uint32_t tokens_;
    uint32_t times_ = 0;
    Kernels kernels_;
    Weights weights_;
    lacuna::host::Attention cross_;

    lacuna::host::Buffer clip_, stream_, normed_, qkv_, qkv_half_, attended_, hidden_, patches_;
    lacuna::host::Buffer rotations_; // f32 [tokens, head_dim / 2, 2]
    lacuna::host::Buffer positions_; // f32 [branches, tokens, dim], the same in every branch
    lacuna::host::Buffer context_;   // f32 [branches, text_len, dim]
    std::vector<lacuna::host::Buffer> cross_kv_;    // per layer [branches, text_len, 2, dim]
    lacuna::host::Buffer time_, time_projection_;   // f32 [times, dim], [times, 6, dim]
    std::vector<lacuna::host::Buffer> modulations_; // per layer f32 [times, 6, dim]
    lacuna::host::Buffer head_modulations_;         // f32 [times, 2, dim]
};

} // namespace generate

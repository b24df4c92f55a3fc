// sampler.h - from a prompt and a seed to a clip: Euler steps through the model, timed.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "clip.h"
#include "forward.h"

#include "lacuna/safetensors.h"

#include <functional>
#include <optional>

namespace generate
{

struct Schedule
{
    uint32_t steps = 0;
    double shift = 0;
    double guidance = 0;
    uint32_t dense_steps = 0;  // of a sparse run, the first ones
    uint32_t dense_layers = 0; // of each sparse step, the first ones
};

struct StepTime
{
    double step_ms = 0;
    double attention_ms = 0; // self-attention of the layers from dense_layers on
    bool is_warm = false;    // not the first of its kind, in which drivers compile
};

struct Run
{
    std::vector<float> clip;     // f32 [channels, frames, height, width]
    std::vector<StepTime> steps; // all steps; what another run did before has zeros
    double density = 1;          // kept pairs in sparse layers of sparse steps
};

// Self-attention inputs of one layer in one step, as tensors q, k, v [branches, heads, tokens,
// head_dim].
struct Capture
{
    uint32_t step = 0;
    uint32_t layer = 0;
    lacuna::tool::Tensors tensors; // filled by the run
};

class Sampler
{
public:
    // `sparse` names method, options and tier of a plan; its shape is filled in. Without it all is
    // dense.
    Sampler(lacuna::host::Device& device, const Model& model, const ForwardDesc& desc,
            const Schedule& schedule, LacunaTier tier, const LacunaPlanDesc* sparse);

    uint32_t tokens() const { return forward_.tokens(); }
    const lacuna::host::Attention& attention(bool is_sparse) const
    {
        return is_sparse ? *sparse_ : dense_;
    }

    void begin(const std::vector<uint32_t>& words, uint64_t seed);
    // After a dense run a sparse one starts where it left the dense steps: they are the same, bit
    // for bit. `after_step` may throw, which ends the run.
    Run run(bool is_sparse, const std::function<void()>& after_step, Capture* capture = nullptr);

    uint32_t stepsToRun(bool is_sparse) const; // of the next run

private:
    StepTime step(uint32_t index, bool is_sparse, Capture* capture);
    void saveCapture(Capture& capture, const lacuna::host::Buffer& copy) const;

    lacuna::host::Device& device_;
    ModelConfig config_;
    ForwardDesc desc_;
    Schedule schedule_;
    std::vector<double> sigmas_;
    Forward forward_;
    lacuna::host::Attention dense_;
    std::optional<lacuna::host::Attention> sparse_;
    bool density_is_static_ = false;
    lacuna::host::Buffer start_;  // the clip's noise
    lacuna::host::Buffer branch_; // the clip after the dense steps of a dense run
    bool has_branch_ = false;
    bool has_run_[2] = {}; // dense, sparse: whether drivers have compiled what it needs
};

} // namespace generate

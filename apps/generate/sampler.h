// sampler.h - from a prompt and a seed to a clip: Euler steps through the model, timed.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "clip.h"
#include "forward.h"

#include "lacuna/safetensors.h"

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>

namespace generate
{

struct Schedule
{
    uint32_t steps = 0;
    double shift = 0;
    double guidance = 0;
};

struct StepTime
{
    double step_ms = 0;
    double attention_ms = 0; // self-attention of the layers that the policy makes sparse
    bool is_sparse = false;  // by the policy, and so counted in a dense run beside it too
    bool is_warm = false;    // every plan has run before: drivers compile in the first run
};

// The heads with one choice of the policy.
struct GroupDensity
{
    std::string name;   // "block_topk keep_ratio=0.25"
    double share = 0;   // of the heads of all steps and layers
    double density = 1; // kept pairs / all pairs
};

struct Run
{
    std::vector<float> clip;          // f32 [channels, frames, height, width]
    std::vector<StepTime> steps;      // all steps; what another run did before has zeros
    double density = 1;               // kept pairs in the heads that are not dense
    double total_density = 1;         // in all heads of all steps and layers
    std::vector<GroupDensity> groups; // of a sparse run; what the device chose is looked at after
                                      // the last layer of each step that shares the plan
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
    // `policy` is bound to the steps of the schedule and to the layers and heads of the model; all
    // its plans are made here.
    Sampler(lacuna::host::Device& device, const Model& model, const ForwardDesc& desc,
            const Schedule& schedule, LacunaTier tier, const lacuna::tool::Policy& policy);
    Sampler(const Sampler&) = delete;
    Sampler& operator=(const Sampler&) = delete;

    uint32_t tokens() const { return forward_.tokens(); }
    const lacuna::host::Slices& slices() const { return forward_.slices(); } // of all runs so far
    LacunaTier tier(bool is_sparse); // of the first plan of that kind

    void begin(const std::vector<uint32_t>& words, uint64_t seed);
    // A sparse run follows the policy. After a dense run it starts where that left the steps which
    // the policy keeps dense: they are the same, bit for bit. `after_step` may throw, which ends
    // the run.
    Run run(bool is_sparse, const std::function<void()>& after_step,
            std::span<Capture> captures = {});

    uint32_t stepsToRun(bool is_sparse) const; // of the next run

private:
    struct Group
    {
        double heads = 0, kept = 0;
    };
    const std::vector<lacuna::tool::HeadRun>& runs(uint32_t step, uint32_t layer, bool is_sparse);
    StepTime step(uint32_t index, bool is_sparse, std::span<Capture> captures);
    void countDensity(uint32_t step, std::vector<Group>& groups);
    double densityOf(const lacuna::host::Attention& attention);
    void reportDensity(const std::vector<Group>& groups, Run& run) const;
    void saveCapture(Capture& capture, const lacuna::host::Buffer& copy) const;

    lacuna::host::Device& device_;
    ModelConfig config_;
    ForwardDesc desc_;
    Schedule schedule_;
    std::vector<double> sigmas_;
    Forward forward_;
    lacuna::tool::Policy policy_;
    LacunaPlanDesc shape_; // of self-attention
    lacuna::tool::HeadPlans plans_;
    std::map<const lacuna::host::Attention*, double> densities_; // of static plans
    std::set<const lacuna::host::Attention*> have_run_;
    uint32_t branch_step_;        // the first that the policy does not keep dense
    lacuna::host::Buffer start_;  // the clip's noise
    lacuna::host::Buffer branch_; // the clip after the dense steps of a dense run
    bool has_branch_ = false;
};

} // namespace generate

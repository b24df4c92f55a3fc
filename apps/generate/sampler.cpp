// sampler.cpp - runs the steps of a clip, one submission each, and reads their timers.
//
// SPDX-License-Identifier: Apache-2.0
#include "sampler.h"

#include "schedule.h"

#include <fmt/format.h>

#include <chrono>
#include <cstring>

namespace generate
{

namespace host = lacuna::host;
namespace tool = lacuna::tool;

Sampler::Sampler(host::Device& device, const Model& model, const ForwardDesc& desc,
                 const Schedule& schedule, LacunaTier tier, const LacunaPlanDesc* sparse)
    : device_(device),
      config_(model.config()),
      desc_(desc),
      schedule_(schedule),
      sigmas_(sigmas(schedule.steps, schedule.shift)),
      forward_(device, model, desc)
{
    LacunaPlanDesc plan = forward_.selfAttention();
    plan.method = "dense";
    plan.tier = tier;
    dense_ = host::Attention(device, plan);
    if (sparse)
    {
        plan.method = sparse->method;
        plan.options = sparse->options;
        plan.option_count = sparse->option_count;
        sparse_.emplace(device, plan);
        LacunaList list = {};
        device.check(lacunaGetPlanList(sparse_->plan(), &list));
        density_is_static_ = list.region == LACUNA_REGION_CONSTANTS;
    }
    forward_.setTimes(timesteps(sigmas_));
    start_ = device.createBuffer(forward_.clip().size());
    branch_ = device.createBuffer(forward_.clip().size());
}

void Sampler::begin(const std::vector<uint32_t>& words, uint64_t seed)
{
    forward_.setPrompt(words);
    const std::vector<float> start = noise(seed, config_.channels * desc_.shape.pixels());
    device_.upload(start_, std::as_bytes(std::span(start)));
    has_branch_ = false;
}

uint32_t Sampler::stepsToRun(bool is_sparse) const
{
    return is_sparse && has_branch_ ? schedule_.steps - schedule_.dense_steps : schedule_.steps;
}

Run Sampler::run(bool is_sparse, const std::function<void()>& after_step, Capture* capture)
{
    Run result;
    result.steps.resize(schedule_.steps);
    const uint32_t first = schedule_.steps - stepsToRun(is_sparse);
    const host::Buffer& start = first > 0 ? branch_ : start_;
    const uint64_t bytes = start_.size();
    device_.run([&](host::Commands& commands)
                { commands.copy(start, 0, forward_.clip(), 0, bytes); });

    double density = 0;
    uint32_t sparse_steps = 0;
    for (uint32_t i = first; i < schedule_.steps; ++i)
    {
        if (i == schedule_.dense_steps && !is_sparse)
        {
            device_.run([&](host::Commands& commands)
                        { commands.copy(forward_.clip(), 0, branch_, 0, bytes); });
            has_branch_ = true;
        }
        const bool is_sparse_step = is_sparse && i >= schedule_.dense_steps;
        result.steps[i] =
            step(i, is_sparse_step, capture && capture->step == i ? capture : nullptr);
        if (is_sparse_step && (!density_is_static_ || sparse_steps == 0))
        {
            density += sparse_->kept().density();
            ++sparse_steps;
        }
        after_step();
    }
    if (sparse_steps > 0)
        result.density = density / sparse_steps;
    result.clip.resize(bytes / 4);
    device_.download(forward_.clip(), std::as_writable_bytes(std::span(result.clip)));
    return result;
}

StepTime Sampler::step(uint32_t index, bool is_sparse, Capture* capture)
{
    host::Buffer copy;
    if (capture)
        copy = device_.createBuffer(forward_.qkv().size(), host::Memory::Readback);
    const float amount = float(sigmas_[index + 1] - sigmas_[index]);
    const auto begin = std::chrono::steady_clock::now();
    const std::vector<host::Timing> timings = device_.run(
        [&](host::Commands& commands)
        {
            commands.beginTimer("step");
            forward_.recordEmbed(commands);
            for (uint32_t layer = 0; layer < config_.layers; ++layer)
            {
                const bool is_sparse_layer = layer >= schedule_.dense_layers;
                const auto take = [&]
                {
                    commands.copy(forward_.qkv(), 0, copy, 0, copy.size());
                };
                const bool is_wanted = capture && capture->layer == layer;
                forward_.recordBlock(commands, layer, index,
                                     attention(is_sparse && is_sparse_layer),
                                     is_sparse_layer ? "attention" : "dense_layers",
                                     is_wanted ? std::function<void()>(take) : nullptr);
            }
            forward_.recordHead(commands, index);
            forward_.recordUpdate(commands, float(schedule_.guidance), amount);
            commands.endTimer("step");
        });
    const std::chrono::duration<double, std::milli> wall = std::chrono::steady_clock::now() - begin;
    if (capture)
        saveCapture(*capture, copy);

    StepTime time;
    time.step_ms =
        timings.empty() ? wall.count() : 0; // no timestamps on this device: the wall clock
    time.is_warm = has_run_[is_sparse];
    has_run_[is_sparse] = true;
    for (const host::Timing& timing : timings)
        if (timing.name == "step")
            time.step_ms = timing.ms;
        else if (timing.name == "attention")
            time.attention_ms = timing.ms;
    return time;
}

void Sampler::saveCapture(Capture& capture, const host::Buffer& copy) const
{
    const uint64_t element = desc_.half ? 2 : 4;
    const uint64_t head_bytes = config_.head_dim * element;
    const uint64_t tokens = forward_.tokens();
    for (int part = 0; part < 3; ++part)
    {
        tool::Array array;
        array.dtype = desc_.half ? tool::Dtype::F16 : tool::Dtype::F32;
        array.shape = {desc_.branches, config_.heads, tokens, config_.head_dim};
        for (uint64_t branch = 0; branch < desc_.branches; ++branch)
            for (uint64_t head = 0; head < config_.heads; ++head)
                for (uint64_t token = 0; token < tokens; ++token)
                {
                    const uint64_t row =
                        ((branch * tokens + token) * 3 + part) * config_.heads + head;
                    const std::byte* const from = copy.mapped() + row * head_bytes;
                    array.bytes.insert(array.bytes.end(), from, from + head_bytes);
                }
        capture.tensors.arrays[std::string(1, "qkv"[part])] = std::move(array);
    }
    const ClipShape& shape = desc_.shape;
    capture.tensors.metadata = {
        {"grid", fmt::format("{}x{}x{}", shape.frames, shape.height / config_.patch,
                             shape.width / config_.patch)},
        {"step", std::to_string(capture.step)},
        {"layer", std::to_string(capture.layer)},
    };
}

} // namespace generate

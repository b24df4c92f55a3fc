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

static LacunaPlanDesc withTier(LacunaPlanDesc desc, LacunaTier tier)
{
    desc.tier = tier;
    desc.max_workspace_bytes = UINT64_MAX; // densities are told from the lists of all heads
    return desc;
}

Sampler::Sampler(host::Device& device, const Model& model, const ForwardDesc& desc,
                 const Schedule& schedule, LacunaTier tier, const tool::Policy& policy)
    : device_(device),
      config_(model.config()),
      desc_(desc),
      schedule_(schedule),
      sigmas_(sigmas(schedule.steps, schedule.shift)),
      forward_(device, model, desc),
      policy_(policy),
      shape_(withTier(forward_.selfAttention(), tier)),
      plans_(device, shape_, policy_),
      branch_step_(policy.denseSteps())
{
    plans_.denseRuns();
    for (uint32_t step = 0; step < schedule.steps; ++step)
        for (uint32_t layer = 0; layer < config_.layers; ++layer)
            plans_.runs(step, layer);
    forward_.setTimes(timesteps(sigmas_));
    start_ = device.createBuffer(forward_.clip().size());
    branch_ = device.createBuffer(forward_.clip().size());
}

const std::vector<tool::HeadRun>& Sampler::runs(uint32_t step, uint32_t layer, bool is_sparse)
{
    return is_sparse ? plans_.runs(step, layer) : plans_.denseRuns();
}

LacunaTier Sampler::tier(bool is_sparse)
{
    if (is_sparse)
        for (uint32_t layer = 0; layer < config_.layers; ++layer)
            for (const tool::HeadRun& run : plans_.runs(branch_step_, layer))
                if (!policy_.choices()[run.choice].isDense())
                    return run.attention->info().tier;
    return plans_.denseRuns().front().attention->info().tier;
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
    return is_sparse && has_branch_ ? schedule_.steps - branch_step_ : schedule_.steps;
}

Run Sampler::run(bool is_sparse, const std::function<void()>& after_step,
                 std::span<Capture> captures)
{
    Run result;
    result.steps.resize(schedule_.steps);
    const uint32_t first = schedule_.steps - stepsToRun(is_sparse);
    const host::Buffer& start = first > 0 ? branch_ : start_;
    const uint64_t bytes = start_.size();
    device_.run([&](host::Commands& commands)
                { commands.copy(start, 0, forward_.clip(), 0, bytes); });

    std::vector<Group> groups(policy_.choices().size());
    for (uint32_t i = 0; i < schedule_.steps; ++i)
    {
        if (i == branch_step_ && !is_sparse)
        {
            device_.run([&](host::Commands& commands)
                        { commands.copy(forward_.clip(), 0, branch_, 0, bytes); });
            has_branch_ = true;
        }
        if (i >= first)
        {
            result.steps[i] = step(i, is_sparse, captures);
            after_step();
        }
        if (is_sparse)
            countDensity(i, groups);
    }
    if (is_sparse)
        reportDensity(groups, result);
    result.clip.resize(bytes / 4);
    device_.download(forward_.clip(), std::as_writable_bytes(std::span(result.clip)));
    return result;
}

// Runs of one plan share its workspace: what the device chose is that of the last layer.
void Sampler::countDensity(uint32_t step, std::vector<Group>& groups)
{
    std::map<const host::Attention*, double> densities;
    for (uint32_t layer = 0; layer < config_.layers; ++layer)
        for (const tool::HeadRun& run : plans_.runs(step, layer))
        {
            const auto [place, is_new] = densities.try_emplace(run.attention);
            if (is_new)
                place->second = densityOf(*run.attention);
            groups[run.choice].heads += run.count;
            groups[run.choice].kept += run.count * place->second;
        }
}

double Sampler::densityOf(const host::Attention& attention)
{
    if (const auto known = densities_.find(&attention); known != densities_.end())
        return known->second;
    const double density = attention.kept().density();
    LacunaList list = {};
    device_.check(lacunaGetPlanList(attention.plan(), &list));
    if (list.region == LACUNA_REGION_CONSTANTS)
        densities_[&attention] = density;
    return density;
}

void Sampler::reportDensity(const std::vector<Group>& groups, Run& run) const
{
    Group all, sparse;
    for (size_t i = 0; i < groups.size(); ++i)
        for (Group* const sum : {&all, &sparse})
            if (sum == &all || !policy_.choices()[i].isDense())
            {
                sum->heads += groups[i].heads;
                sum->kept += groups[i].kept;
            }
    for (size_t i = 0; i < groups.size(); ++i)
        if (groups[i].heads > 0)
            run.groups.push_back({policy_.choices()[i].name(), groups[i].heads / all.heads,
                                  groups[i].kept / groups[i].heads});
    run.total_density = all.kept / all.heads;
    run.density = sparse.heads > 0 ? sparse.kept / sparse.heads : 1;
}

StepTime Sampler::step(uint32_t index, bool is_sparse, std::span<Capture> captures)
{
    std::vector<std::pair<Capture*, host::Buffer>> copies;
    for (Capture& capture : captures)
        if (capture.step == index)
            copies.emplace_back(
                &capture, device_.createBuffer(forward_.qkv().size(), host::Memory::Readback));
    const float amount = float(sigmas_[index + 1] - sigmas_[index]);
    StepTime time;
    time.is_warm = true;
    const auto begin = std::chrono::steady_clock::now();
    const std::vector<host::Timing> timings = device_.run(
        [&](host::Commands& commands)
        {
            commands.beginTimer("step");
            forward_.recordEmbed(commands);
            for (uint32_t layer = 0; layer < config_.layers; ++layer)
            {
                const std::vector<tool::HeadRun>& self = runs(index, layer, is_sparse);
                const bool is_timed =
                    branch_step_ == schedule_.steps || !policy_.isDense(index, layer);
                time.is_sparse |= is_timed;
                for (const tool::HeadRun& run : self)
                    time.is_warm &= !have_run_.insert(run.attention).second;
                const auto take = [&]
                {
                    for (const auto& [capture, copy] : copies)
                        if (capture->layer == layer)
                            commands.copy(forward_.qkv(), 0, copy, 0, copy.size());
                };
                forward_.recordBlock(commands, layer, index, self,
                                     is_timed ? "attention" : "dense_layers", take);
            }
            forward_.recordHead(commands, index);
            forward_.recordUpdate(commands, float(schedule_.guidance), amount);
            commands.endTimer("step");
        });
    const std::chrono::duration<double, std::milli> wall = std::chrono::steady_clock::now() - begin;
    for (const auto& [capture, copy] : copies)
        saveCapture(*capture, copy);

    time.step_ms =
        timings.empty() ? wall.count() : 0; // no timestamps on this device: the wall clock
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
        {"steps", std::to_string(schedule_.steps)},
        {"layers", std::to_string(config_.layers)},
    };
}

} // namespace generate

// forward.cpp - records the layers of the model in the order of the Wan2.1 text-to-video
// transformer.
//
// SPDX-License-Identifier: Apache-2.0
#include "forward.h"

#include "schedule.h"
#include "shaders/push.h"

#include <algorithm>
#include <cmath>

namespace generate
{

namespace host = lacuna::host;
namespace tool = lacuna::tool;

namespace
{

constexpr uint32_t kGemmRows = 4;        // kRows of gemm.comp
constexpr uint32_t kMaxGridRows = 32768; // rows beyond it go to the next line of the grid

struct Grid
{
    uint32_t x, y;
};

Grid gridOf(uint32_t groups)
{
    const uint32_t x = std::min(groups, kMaxGridRows);
    return {x, (groups + x - 1) / x};
}

uint32_t divideUp(uint32_t value, uint32_t by)
{
    return (value + by - 1) / by;
}

// Cosine and sine of every pair of a head, for tokens in raster order; exact to fp32, so the device
// turns no angle.
std::vector<float> rotations(const ModelConfig& config, uint32_t frames, uint32_t rows,
                             uint32_t columns)
{
    std::vector<float> table;
    table.reserve(size_t(frames) * rows * columns * config.head_dim);
    for (uint32_t f = 0; f < frames; ++f)
        for (uint32_t r = 0; r < rows; ++r)
            for (uint32_t c = 0; c < columns; ++c)
            {
                const uint32_t place[3] = {f, r, c};
                for (int axis = 0; axis < 3; ++axis)
                    for (uint32_t i = 0; i < config.rope_split[axis]; i += 2)
                    {
                        const double angle =
                            place[axis] *
                            std::pow(config.rope_theta, -double(i) / config.rope_split[axis]);
                        table.push_back(float(std::cos(angle)));
                        table.push_back(float(std::sin(angle)));
                    }
            }
    return table;
}

} // namespace

Forward::Forward(host::Device& device, const Model& model, const ForwardDesc& desc)
    : device_(device),
      model_(model),
      config_(model.config()),
      shape_(desc.shape),
      branches_(desc.branches),
      half_(desc.half),
      slice_ms_(desc.slice_ms),
      tokens_(shape_.frames * (shape_.height / config_.patch) * (shape_.width / config_.patch)),
      kernels_(device, config_, desc.lanes.count != 0 ? desc.lanes : lanesOf(device), desc.half),
      weights_(device, model, kernels_.lanes)
{
    createBuffers();
    createCrossAttention(desc.tier);
}

void Forward::createBuffers()
{
    const uint64_t row = uint64_t(config_.dim) * 4;
    const auto make = [&](uint64_t bytes)
    {
        return device_.createBuffer(bytes);
    };
    clip_ = make(config_.channels * shape_.pixels() * 4);
    stream_ = make(rows() * row);
    normed_ = make(rows() * row);
    qkv_ = make(rows() * row * 3);
    if (half_)
        qkv_half_ = make(rows() * row * 3 / 2);
    attended_ = make(rows() * row);
    hidden_ = make(uint64_t(std::max(rows(), branches_ * config_.text_len)) *
                   std::max(config_.ffn_dim, 2 * config_.dim) * 4);
    patches_ = make(uint64_t(rows()) * config_.patchLength() * 4);
    rotations_ = upload(device_, rotations(config_, shape_.frames, shape_.height / config_.patch,
                                           shape_.width / config_.patch));
    std::vector<float> places = model_.positions(shape_.frames, shape_.height / config_.patch,
                                                 shape_.width / config_.patch);
    const size_t places_of_branch = places.size();
    places.resize(branches_ * places_of_branch);
    if (branches_ == 2)
        std::copy_n(places.begin(), places_of_branch, places.begin() + ptrdiff_t(places_of_branch));
    positions_ = upload(device_, places);
    context_ = make(branches_ * config_.text_len * row);
    for (uint32_t i = 0; i < config_.layers; ++i)
        cross_kv_.push_back(make(branches_ * config_.text_len * row * 2));
}

// [branches, tokens, parts, heads, head_dim], one of the parts.
static LacunaStrides stridesOf(const ModelConfig& config, uint64_t tokens, uint64_t parts)
{
    return {tokens * parts * config.dim, config.head_dim, parts * config.dim};
}

LacunaPlanDesc Forward::selfAttention() const
{
    LacunaPlanDesc desc = {};
    desc.batch = branches_;
    desc.q_heads = config_.heads;
    desc.q_len = tokens_;
    desc.head_dim = config_.head_dim;
    desc.grid = {shape_.frames, shape_.height / config_.patch, shape_.width / config_.patch, 0, 0};
    desc.dtype = half_ ? LACUNA_DTYPE_F16 : LACUNA_DTYPE_F32;
    desc.out_dtype = LACUNA_DTYPE_F32;
    desc.q_strides = desc.k_strides = desc.v_strides = stridesOf(config_, tokens_, 3);
    desc.out_strides = stridesOf(config_, tokens_, 1);
    return desc;
}

void Forward::createCrossAttention(LacunaTier tier)
{
    LacunaPlanDesc desc = selfAttention();
    desc.method = "dense";
    desc.tier = tier;
    desc.grid = {};
    desc.k_len = config_.text_len;
    desc.q_strides = stridesOf(config_, tokens_, 1);
    desc.k_strides = desc.v_strides = stridesOf(config_, config_.text_len, 2);
    cross_ = host::Attention(device_, desc);
}

void Forward::record(host::Commands& commands, const Gemm& gemm)
{
    GemmPush push = {};
    push.x = gemm.x;
    push.weight = gemm.linear.weight.address();
    push.bias = gemm.linear.bias.address();
    push.result = gemm.result;
    push.residual = gemm.residual;
    push.gate = gemm.gate;
    push.rows = gemm.rows;
    push.inner = gemm.linear.inner;
    push.columns = gemm.linear.columns;
    commands.dispatch(kernels_.gemm[uint32_t(gemm.epilogue)], push, gemm.linear.panels,
                      divideUp(gemm.rows, kGemmRows));
}

void Forward::recordNorm(host::Commands& commands, bool modulates, uint64_t scale, uint64_t shift)
{
    const NormPush push = {stream_.address(), scale, shift, normed_.address(), rows(), config_.dim};
    const Grid grid = gridOf(rows());
    commands.dispatch(modulates ? kernels_.norm_modulated : kernels_.norm, push, grid.x, grid.y);
}

void Forward::record(host::Commands& commands, const QkNorm& norm)
{
    QkNormPush push = {};
    push.x = norm.from.address();
    push.weight = norm.weight.address();
    push.table = rotations_.address();
    push.result = half_ ? norm.half.address() : norm.from.address();
    push.rows = norm.rows;
    push.parts = norm.parts;
    push.width = config_.dim;
    push.tokens = tokens_;
    push.element_bytes = half_ ? 2 : 4;
    const Grid grid = gridOf(norm.rows);
    commands.dispatch(norm.kernel, push, grid.x, grid.y,
                      half_ ? norm.parts : norm.normed); // fp32 values stay in place
}

void Forward::recordModulation(host::Commands& commands, const host::Buffer& modulation,
                               const host::Buffer& embedding, const host::Buffer& result,
                               uint32_t width, uint32_t period)
{
    const ModulatePush push = {modulation.address(), embedding.address(), result.address(), width,
                               period};
    commands.dispatch(kernels_.modulate, push, divideUp(width, kernels_.lanes.count), times_);
}

void Forward::setTimes(std::span<const double> timesteps)
{
    times_ = uint32_t(timesteps.size());
    const uint64_t row = uint64_t(config_.dim) * 4 * times_;
    const host::Buffer waves = upload(device_, timeWaves(timesteps, config_.freq_dim));
    const host::Buffer hidden = device_.createBuffer(row);
    const host::Buffer active = device_.createBuffer(row);
    time_ = device_.createBuffer(row);
    time_projection_ = device_.createBuffer(6 * row);
    head_modulations_ = device_.createBuffer(2 * row);
    modulations_.clear();
    for (uint32_t i = 0; i < config_.layers; ++i)
        modulations_.push_back(device_.createBuffer(6 * row));

    device_.run(
        [&](host::Commands& commands)
        {
            record(commands,
                   {weights_.time_in, Epilogue::Silu, waves.address(), hidden.address(), times_});
            record(commands,
                   {weights_.time_out, Epilogue::Plain, hidden.address(), time_.address(), times_});
            record(commands,
                   {weights_.time_out, Epilogue::Silu, hidden.address(), active.address(), times_});
            record(commands, {weights_.time_projection, Epilogue::Plain, active.address(),
                              time_projection_.address(), times_});
            for (uint32_t i = 0; i < config_.layers; ++i)
                recordModulation(commands, weights_.blocks[i].modulation, time_projection_,
                                 modulations_[i], 6 * config_.dim, 6 * config_.dim);
            recordModulation(commands, weights_.head_modulation, time_, head_modulations_,
                             2 * config_.dim, config_.dim);
        });
}

void Forward::setPrompt(const std::vector<uint32_t>& words)
{
    std::vector<float> rows = model_.embed(words);
    rows.resize(branches_ * rows.size()); // the branch without prompt reads zeros
    const host::Buffer text = upload(device_, rows);
    const uint32_t count = branches_ * config_.text_len;
    device_.run(
        [&](host::Commands& commands)
        {
            record(commands,
                   {weights_.text_in, Epilogue::Gelu, text.address(), hidden_.address(), count});
            record(commands, {weights_.text_out, Epilogue::Plain, hidden_.address(),
                              context_.address(), count});
            for (uint32_t i = 0; i < config_.layers; ++i)
            {
                const BlockWeights& block = weights_.blocks[i];
                const host::Buffer& result = half_ ? hidden_ : cross_kv_[i];
                record(commands, {block.cross_kv, Epilogue::Plain, context_.address(),
                                  result.address(), count});
                record(commands, QkNorm{kernels_.qk_norm_cross, result, cross_kv_[i],
                                        block.cross_k_norm, count, 2, 1});
            }
        });
}

void Forward::recordEmbed(host::Commands& commands)
{
    ClipPush push = {};
    push.clip = clip_.address();
    push.result = patches_.address();
    push.channels = config_.channels;
    push.frames = shape_.frames;
    push.rows = shape_.height / config_.patch;
    push.columns = shape_.width / config_.patch;
    push.patch_size = config_.patch;
    const Grid grid = gridOf(divideUp(tokens_ * config_.patchLength(), kernels_.lanes.count));
    commands.dispatch(kernels_.patchify, push, grid.x, grid.y, branches_);
    record(commands, {weights_.patch, Epilogue::Residual, patches_.address(), stream_.address(),
                      rows(), positions_.address()});
}

void Forward::recordSelf(host::Commands& commands, uint32_t layer, uint64_t modulation,
                         const std::vector<tool::HeadRun>& self, std::string_view timer,
                         const std::function<void()>& after_qkv)
{
    const BlockWeights& block = weights_.blocks[layer];
    const uint64_t row = uint64_t(config_.dim) * 4;
    recordNorm(commands, true, modulation + row, modulation);
    record(commands, {block.qkv, Epilogue::Plain, normed_.address(), qkv_.address(), rows()});
    record(commands, QkNorm{kernels_.qk_norm_self, qkv_, qkv_half_, block.qk_norm, rows(), 3, 2});
    if (after_qkv)
        after_qkv();

    const uint64_t part = uint64_t(config_.dim) * (half_ ? 2 : 4);
    commands.beginTimer(timer);
    slices_.add(tool::record(commands, self, qkv().memory(), qkv().memory(part),
                             qkv().memory(2 * part), attended_.memory(), slice_ms_));
    commands.endTimer(timer);
    record(commands, {block.out, Epilogue::GatedResidual, attended_.address(), stream_.address(),
                      rows(), stream_.address(), modulation + 2 * row});
}

void Forward::recordCross(host::Commands& commands, uint32_t layer)
{
    const BlockWeights& block = weights_.blocks[layer];
    recordNorm(commands, false, block.norm_scale.address(), block.norm_shift.address());
    record(commands, {block.cross_q, Epilogue::Plain, normed_.address(), qkv_.address(), rows()});
    record(commands,
           QkNorm{kernels_.qk_norm_cross, qkv_, qkv_half_, block.cross_q_norm, rows(), 1, 1});

    const host::Buffer& kv = cross_kv_[layer];
    const uint64_t part = uint64_t(config_.dim) * (half_ ? 2 : 4);
    cross_.record(commands, qkv().memory(), kv.memory(), kv.memory(part), attended_.memory());
    record(commands, {block.cross_out, Epilogue::Residual, attended_.address(), stream_.address(),
                      rows(), stream_.address()});
}

void Forward::recordBlock(host::Commands& commands, uint32_t layer, uint32_t time,
                          const std::vector<tool::HeadRun>& self, std::string_view timer,
                          const std::function<void()>& after_qkv)
{
    const BlockWeights& block = weights_.blocks[layer];
    const uint64_t row = uint64_t(config_.dim) * 4;
    const uint64_t modulation = modulations_[layer].address() + time * 6 * row;
    recordSelf(commands, layer, modulation, self, timer, after_qkv);
    recordCross(commands, layer);
    recordNorm(commands, true, modulation + 4 * row, modulation + 3 * row);
    record(commands, {block.ffn_in, Epilogue::Gelu, normed_.address(), hidden_.address(), rows()});
    record(commands, {block.ffn_out, Epilogue::GatedResidual, hidden_.address(), stream_.address(),
                      rows(), stream_.address(), modulation + 5 * row});
}

void Forward::recordHead(host::Commands& commands, uint32_t time)
{
    const uint64_t row = uint64_t(config_.dim) * 4;
    const uint64_t modulation = head_modulations_.address() + time * 2 * row;
    recordNorm(commands, true, modulation + row, modulation);
    record(commands,
           {weights_.head, Epilogue::Plain, normed_.address(), patches_.address(), rows()});
}

void Forward::recordUpdate(host::Commands& commands, float guidance, float amount)
{
    ClipPush push = {};
    push.clip = clip_.address();
    push.velocity = patches_.address();
    push.result = clip_.address();
    push.channels = config_.channels;
    push.frames = shape_.frames;
    push.rows = shape_.height / config_.patch;
    push.columns = shape_.width / config_.patch;
    push.patch_size = config_.patch;
    push.branches = branches_;
    push.guidance = guidance;
    push.amount = amount;
    const Grid grid = gridOf(divideUp(tokens_ * config_.patchLength(), kernels_.lanes.count));
    commands.dispatch(kernels_.step, push, grid.x, grid.y);
}

} // namespace generate

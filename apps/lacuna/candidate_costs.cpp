// candidate_costs.cpp - runs candidates and dense attention on a sample, and compares them by head.
//
// SPDX-License-Identifier: Apache-2.0
#include "candidate_costs.h"

#include "accuracy.h"
#include "command.h"
#include "measure.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

namespace lacuna::tool
{
namespace
{

uint32_t numberOf(const Tensors& tensors, const char* name, uint32_t least, uint32_t most,
                  const std::string& where)
{
    const auto found = tensors.metadata.find(name);
    const std::string text = found == tensors.metadata.end() ? "" : found->second;
    uint32_t value = 0;
    const auto [read, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || read != text.data() + text.size() || value < least || value > most)
        throw InputError(fmt::format("'{}' has '{}' as its {}, expected {}..{}, as lacuna generate "
                                     "--capture-qkv writes it",
                                     where, text, name, least, most));
    return value;
}

std::string lookOf(const Sample& s)
{
    return fmt::format("q [{}, {}, {}, {}] of {}, k [{}], grid {}x{}x{}, {} steps, {} layers",
                       s.qkv.q.shape[0], s.qkv.q.shape[1], s.qkv.q.shape[2], s.qkv.q.shape[3],
                       dtypeName(s.qkv.q.dtype), s.qkv.k.shape[1], s.shape.grid.frames,
                       s.shape.grid.height, s.shape.grid.width, s.sizes.steps, s.sizes.layers);
}

double densityOf(const host::Attention::Kept& kept, uint32_t batch, uint32_t heads, uint32_t head)
{
    const size_t rows = kept.row_borders.size() - 1;
    double pairs = 0;
    for (size_t b = 0; b < batch; ++b)
        for (size_t row = 0; row < rows; ++row)
            for (const auto& span : kept.spans[(b * heads + head) * rows + row])
                pairs += double(kept.row_borders[row + 1] - kept.row_borders[row]) *
                         (span.end - span.begin);
    return pairs / (double(batch) * kept.queries() * kept.keys());
}

double meanSquare(const std::vector<float>& values)
{
    double sum = 0;
    for (const float value : values)
        sum += double(value) * value;
    return sum / double(values.size());
}

} // namespace

// What one attention of all heads gave.
struct CandidateCosts::Outcome
{
    std::vector<float> out, lse;
    host::Attention::Kept kept;

    // Softmax over fewer keys has a smaller denominator: the ratio is the mass on the kept keys.
    CandidateCost against(const Outcome& dense, double square, const LacunaPlanDesc& shape,
                          uint32_t head) const
    {
        const auto cut = [&](const std::vector<float>& values)
        {
            return cutHeads(values, shape.batch, shape.q_heads, head, 1);
        };
        const std::vector<float> sparse_out = cut(out), dense_out = cut(dense.out);
        const std::vector<float> sparse_lse = cut(lse), dense_lse = cut(dense.lse);
        Difference difference;
        for (size_t i = 0; i < sparse_out.size(); ++i)
            difference.add(sparse_out[i], dense_out[i]);
        double recall = 0;
        for (size_t i = 0; i < sparse_lse.size(); ++i)
            recall += std::min(1.0, std::exp(double(sparse_lse[i]) - double(dense_lse[i])));
        return {densityOf(kept, shape.batch, shape.q_heads, head), difference.relativeL1(),
                recall / double(sparse_lse.size()),
                difference.rmse() * difference.rmse() / (square > 0 ? square : 1)};
    }
};

Sample sampleOf(const Tensors& tensors, const std::string& where)
{
    constexpr uint32_t kMost = 1u << 20;
    Sample sample;
    sample.qkv = qkvOf(tensors, where);
    sample.sizes.steps = numberOf(tensors, "steps", 1, kMost, where);
    sample.sizes.layers = numberOf(tensors, "layers", 1, kMost, where);
    sample.step = numberOf(tensors, "step", 0, sample.sizes.steps - 1, where);
    sample.layer = numberOf(tensors, "layer", 0, sample.sizes.layers - 1, where);
    const auto grid = tensors.metadata.find("grid");
    const std::vector<uint32_t> size =
        parseSizes(grid == tensors.metadata.end() ? "" : grid->second, 3,
                   ("the grid of '" + where + "'").c_str());
    sample.qkv.describe(sample.shape);
    sample.sizes.heads = sample.shape.q_heads;
    sample.shape.grid = {size[0], size[1], size[2], 0, 0};
    sample.shape.dtype = sample.qkv.dtype();
    sample.shape.out_dtype = LACUNA_DTYPE_F32; // the error is that of skipping keys alone
    return sample;
}

CandidateCosts::CandidateCosts(host::Device& device, LacunaTier tier, const Policy& candidates)
    : device_(device), tier_(tier), candidates_(candidates)
{
}

void CandidateCosts::requireAlike(const Sample& sample, const std::string& where) const
{
    if (const std::string look = lookOf(sample); look != first_)
        throw InputError(fmt::format("'{}' has {}, expected {} as in '{}'", where, look, first_,
                                     first_where_));
}

CandidateCosts::Outcome CandidateCosts::attend(const Sample& sample,
                                               const std::vector<HeadRun>& runs)
{
    throwIfInterrupted();
    Measurement measurement(device_, shape_, sample.qkv, runs);
    measurement.run();
    return {measurement.out(), measurement.lse(), measurement.kept()};
}

void CandidateCosts::measure(const Sample& sample, const std::string& where)
{
    if (!plans_)
    {
        first_ = lookOf(sample);
        first_where_ = where;
        shape_ = sample.shape;
        shape_.tier = tier_;
        shape_.max_workspace_bytes = UINT64_MAX; // the lists of all heads are wanted together
        candidates_.bind(sample.sizes);
        plans_.emplace(device_, shape_, candidates_);
        calibration_.emplace(sample.sizes, candidates_.choices());
    }
    requireAlike(sample, where);
    const uint32_t heads = sample.sizes.heads;
    const Outcome dense = attend(sample, plans_->denseRuns());
    const double square = meanSquare(dense.out);
    std::vector<std::vector<CandidateCost>> costs(heads, {CandidateCost()});
    for (uint32_t choice = 1; choice < candidates_.choices().size(); ++choice)
    {
        const Outcome sparse = attend(sample, plans_->runs(std::vector<uint32_t>(heads, choice)));
        for (uint32_t head = 0; head < heads; ++head)
            costs[head].push_back(sparse.against(dense, square, shape_, head));
    }
    for (uint32_t head = 0; head < heads; ++head)
        calibration_->add({sample.step, sample.layer, head}, costs[head]);
}

} // namespace lacuna::tool

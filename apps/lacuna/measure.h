// measure.h - one attention on the device as `attend` and `bench` time it: its tensors, its runs,
// its result.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "head_plans.h"
#include "tensors.h"

#include <lacuna/host.hpp>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace lacuna::tool
{

LacunaDtype dtypeOf(const std::string& precision); // "f32", "bf16", else fp16
Dtype fileDtype(LacunaDtype dtype); // what .npy holds it as, which knows no bf16

// 0 for no values.
double median(std::vector<double> values);

// An attention with tensors of its own in device memory. `desc` and `qkv` are read by the
// constructor only.
class Measurement
{
public:
    // One plan for all heads.
    Measurement(host::Device& device, const LacunaPlanDesc& desc, const Qkv& qkv);
    // Plans of a HeadPlans with the shape of `desc`, which must outlive this object.
    Measurement(host::Device& device, const LacunaPlanDesc& desc, const Qkv& qkv,
                std::vector<HeadRun> runs);
    // Method `key_spans`: the list, which the measurement uploads and owns.
    Measurement(host::Device& device, const LacunaPlanDesc& desc, const Qkv& qkv,
                host::Attention::Kept list);

    // From now on runs are cut into slices of so many milliseconds; 0: they are not.
    void sliceBy(double slice_ms) { slice_ms_ = slice_ms; }
    const host::Slices& slices() const { return slices_; } // of the last run

    // One run; milliseconds on the device, nothing where it has no timestamps. The first one may
    // include the rest of the driver's compilation.
    std::optional<double> run();
    // The same pass by pass, which may take longer in all.
    std::vector<host::Timing> runByPass();

    const std::vector<HeadRun>& runs() const { return runs_; }
    const host::Attention& attention() const { return *runs_.front().attention; }
    std::vector<float> out() const;                 // [B, Hq, Nq, D] of the last run
    std::vector<float> lse(size_t index = 0) const; // [B, heads of runs()[index], Nq]
    // What the heads of runs()[index] keep: selected again, as runs of one plan share its
    // workspace, by that plan or, where it is in parts, by one that is `whole`.
    host::Attention::Kept kept(size_t index = 0, const host::Attention* whole = nullptr) const;

private:
    LacunaAttentionBuffers buffers(size_t index) const;

    host::Device* device_;
    std::unique_ptr<host::Attention> attention_; // null when the plans are another's
    std::vector<HeadRun> runs_;
    LacunaDtype out_dtype_;
    std::optional<host::Attention::Kept> list_;
    double slice_ms_ = 0;
    host::Slices slices_;
    host::Buffer q_, k_, v_, out_, ranges_, spans_;
    std::vector<host::Buffer> lse_; // of each run
};

} // namespace lacuna::tool

// measure.h - one attention on the device as `attend` and `bench` time it: its tensors, its runs,
// its result.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "tensors.h"

#include <lacuna/host.hpp>

#include <optional>
#include <string>
#include <vector>

namespace lacuna::tool
{

LacunaDtype dtypeOf(const std::string& precision); // "f32", else fp16
Dtype fileDtype(LacunaDtype dtype);

// 0 for no values.
double median(std::vector<double> values);

// A plan with tensors of its own in device memory. `desc` and `qkv` are read by the constructor
// only.
class Measurement
{
public:
    Measurement(host::Device& device, const LacunaPlanDesc& desc, const Qkv& qkv);
    // Method `key_spans`: the list, which the measurement uploads and owns.
    Measurement(host::Device& device, const LacunaPlanDesc& desc, const Qkv& qkv,
                host::Attention::Kept list);

    // One run; milliseconds on the device, nothing where it has no timestamps. The first one may
    // include the rest of the driver's compilation.
    std::optional<double> run();

    const host::Attention& attention() const { return attention_; }
    std::vector<float> out() const; // [B, Hq, Nq, D] of the last run
    std::vector<float> lse() const; // [B, Hq, Nq]
    host::Attention::Kept kept() const;

private:
    host::Device* device_;
    host::Attention attention_;
    Dtype out_dtype_;
    std::optional<host::Attention::Kept> list_;
    host::Buffer q_, k_, v_, out_, lse_, ranges_, spans_;
};

} // namespace lacuna::tool

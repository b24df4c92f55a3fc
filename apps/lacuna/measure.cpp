// measure.cpp - uploads, runs under a timer, downloads.
//
// SPDX-License-Identifier: Apache-2.0
#include "measure.h"

#include <algorithm>

namespace lacuna::tool
{
namespace
{

host::Buffer upload(host::Device& device, const Tensor& tensor, LacunaDtype dtype)
{
    const std::vector<std::byte> bytes = host::packFloats(tensor.values, dtype);
    host::Buffer buffer = device.createBuffer(bytes.size());
    device.upload(buffer, bytes);
    return buffer;
}

template <typename T>
host::Buffer upload(host::Device& device, const std::vector<T>& values)
{
    host::Buffer buffer = device.createBuffer(std::max(values.size(), size_t(1)) * sizeof(T));
    device.upload(buffer, std::as_bytes(std::span(values)));
    return buffer;
}

std::vector<float> download(host::Device& device, const host::Buffer& buffer, LacunaDtype dtype)
{
    std::vector<std::byte> bytes(buffer.size());
    device.download(buffer, bytes);
    return host::unpackFloats(bytes, dtype);
}

} // namespace

LacunaDtype dtypeOf(const std::string& precision)
{
    return precision == "f32"    ? LACUNA_DTYPE_F32
           : precision == "bf16" ? LACUNA_DTYPE_BF16
                                 : LACUNA_DTYPE_F16;
}

Dtype fileDtype(LacunaDtype dtype)
{
    return dtype == LACUNA_DTYPE_F16 ? Dtype::F16 : Dtype::F32;
}

double median(std::vector<double> values)
{
    if (values.empty())
        return 0;
    std::sort(values.begin(), values.end());
    return (values[(values.size() - 1) / 2] + values[values.size() / 2]) / 2;
}

Measurement::Measurement(host::Device& device, const LacunaPlanDesc& desc, const Qkv& qkv,
                         std::vector<HeadRun> runs)
    : device_(&device),
      runs_(std::move(runs)),
      out_dtype_(desc.out_dtype ? desc.out_dtype : desc.dtype),
      q_(upload(device, qkv.q, desc.dtype)),
      k_(upload(device, qkv.k, desc.dtype)),
      v_(upload(device, qkv.v, desc.dtype))
{
    const uint64_t rows = uint64_t(desc.batch) * desc.q_len; // of a head
    out_ = device.createBuffer(rows * desc.q_heads * desc.head_dim * (out_dtype_ == LACUNA_DTYPE_F32 ? 4 : 2));
    for (const HeadRun& run : runs_)
        lse_.push_back(device.createBuffer(rows * run.count * sizeof(float)));
}

Measurement::Measurement(host::Device& device, const LacunaPlanDesc& desc, const Qkv& qkv)
    : Measurement(device, desc, qkv, std::vector{HeadRun{.count = desc.q_heads}})
{
    attention_ = std::make_unique<host::Attention>(device, desc);
    runs_.front().attention = attention_.get();
}

Measurement::Measurement(host::Device& device, const LacunaPlanDesc& desc, const Qkv& qkv,
                         host::Attention::Kept list)
    : Measurement(device, desc, qkv)
{
    std::vector<uint32_t> ranges;
    std::vector<host::Attention::Span> spans;
    for (const std::vector<host::Attention::Span>& row : list.spans)
    {
        ranges.insert(ranges.end(), {uint32_t(spans.size()), uint32_t(row.size())});
        spans.insert(spans.end(), row.begin(), row.end());
    }
    ranges_ = upload(device, ranges);
    spans_ = upload(device, spans);
    list_ = std::move(list);
}

LacunaAttentionBuffers Measurement::buffers(size_t index) const
{
    LacunaAttentionBuffers buffers =
        runs_[index].buffers(q_.memory(), k_.memory(), v_.memory(), out_.memory());
    buffers.lse = lse_[index].memory();
    if (list_)
    {
        buffers.ranges = ranges_.memory();
        buffers.spans = spans_.memory();
    }
    return buffers;
}

std::optional<double> Measurement::run()
{
    slices_ = {};
    const std::vector<host::Timing> timings = device_->run(
        [&](host::Commands& commands)
        {
            commands.beginTimer("attention");
            for (size_t i = 0; i < runs_.size(); ++i)
                if (slice_ms_ > 0)
                    slices_.add(runs_[i].attention->runSliced(commands, buffers(i), slice_ms_));
                else
                    runs_[i].attention->record(commands, buffers(i));
            commands.endTimer("attention");
        });
    return timings.empty() ? std::nullopt : std::optional(timings.front().ms);
}

std::vector<host::Timing> Measurement::runByPass()
{
    return device_->run(
        [&](host::Commands& commands)
        {
            for (size_t i = 0; i < runs_.size(); ++i)
                runs_[i].attention->recordTimed(commands, buffers(i));
        });
}

std::vector<float> Measurement::out() const
{
    return download(*device_, out_, out_dtype_);
}

std::vector<float> Measurement::lse(size_t index) const
{
    return download(*device_, lse_[index], LACUNA_DTYPE_F32);
}

host::Attention::Kept Measurement::kept(size_t index, const host::Attention* whole) const
{
    if (list_)
        return *list_;
    const HeadRun& run = runs_[index];
    const LacunaAttentionBuffers buffers =
        run.buffers(q_.memory(), k_.memory(), v_.memory(), out_.memory());
    const host::Attention& selector = whole ? *whole : *run.attention;
    device_->run([&](host::Commands& commands)
                 { selector.recordSelect(commands, buffers.q, buffers.k, buffers.v); });
    return selector.kept();
}

} // namespace lacuna::tool

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
    const Array array = arrayOfFloats(tensor.values, tensor.shape, fileDtype(dtype));
    host::Buffer buffer = device.createBuffer(array.bytes.size());
    device.upload(buffer, array.bytes);
    return buffer;
}

template <typename T>
host::Buffer upload(host::Device& device, const std::vector<T>& values)
{
    host::Buffer buffer = device.createBuffer(std::max(values.size(), size_t(1)) * sizeof(T));
    device.upload(buffer, std::as_bytes(std::span(values)));
    return buffer;
}

std::vector<float> download(host::Device& device, const host::Buffer& buffer, Dtype dtype)
{
    Array array;
    array.dtype = dtype;
    array.bytes.resize(buffer.size());
    device.download(buffer, array.bytes);
    return array.toFloats();
}

} // namespace

LacunaDtype dtypeOf(const std::string& precision)
{
    return precision == "f32" ? LACUNA_DTYPE_F32 : LACUNA_DTYPE_F16;
}

Dtype fileDtype(LacunaDtype dtype)
{
    return dtype == LACUNA_DTYPE_F32 ? Dtype::F32 : Dtype::F16;
}

double median(std::vector<double> values)
{
    if (values.empty())
        return 0;
    std::sort(values.begin(), values.end());
    return (values[(values.size() - 1) / 2] + values[values.size() / 2]) / 2;
}

Measurement::Measurement(host::Device& device, const LacunaPlanDesc& desc, const Qkv& qkv)
    : device_(&device),
      attention_(device, desc),
      out_dtype_(fileDtype(desc.out_dtype ? desc.out_dtype : desc.dtype)),
      q_(upload(device, qkv.q, desc.dtype)),
      k_(upload(device, qkv.k, desc.dtype)),
      v_(upload(device, qkv.v, desc.dtype))
{
    const uint64_t rows = uint64_t(desc.batch) * desc.q_heads * desc.q_len;
    out_ = device.createBuffer(rows * desc.head_dim * dtypeSize(out_dtype_));
    lse_ = device.createBuffer(rows * sizeof(float));
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

std::optional<double> Measurement::run()
{
    LacunaAttentionBuffers buffers = {};
    buffers.q = q_.memory();
    buffers.k = k_.memory();
    buffers.v = v_.memory();
    buffers.out = out_.memory();
    buffers.lse = lse_.memory();
    if (list_)
    {
        buffers.ranges = ranges_.memory();
        buffers.spans = spans_.memory();
    }
    const std::vector<host::Timing> timings = device_->run(
        [&](host::Commands& commands)
        {
            commands.beginTimer("attention");
            attention_.record(commands, buffers);
            commands.endTimer("attention");
        });
    return timings.empty() ? std::nullopt : std::optional(timings.front().ms);
}

std::vector<float> Measurement::out() const
{
    return download(*device_, out_, out_dtype_);
}

std::vector<float> Measurement::lse() const
{
    return download(*device_, lse_, Dtype::F32);
}

host::Attention::Kept Measurement::kept() const
{
    return list_ ? *list_ : attention_.kept();
}

} // namespace lacuna::tool

// tensors.cpp - reads q, k and v, and refuses what does not fit together.
//
// SPDX-License-Identifier: Apache-2.0
#include "tensors.h"

#include "command.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

namespace lacuna::tool
{
namespace
{

bool isSafetensors(const std::string& path)
{
    return path.ends_with(".safetensors");
}

Tensor toTensor(const Array& array, const char* name, const std::string& path)
{
    if (array.dtype != Dtype::F16 && array.dtype != Dtype::BF16 && array.dtype != Dtype::F32)
        throw InputError(fmt::format("{} in '{}' holds {}, expected float16, bfloat16 or float32",
                                     name, path, dtypeName(array.dtype)));
    if (array.shape.size() != 4)
        throw InputError(
            fmt::format("{} in '{}' has shape {}, expected four dimensions [B, H, N, D]", name,
                        path, array.shapeText()));
    for (const uint64_t size : array.shape)
        if (size == 0 || size > uint64_t(std::numeric_limits<int32_t>::max()))
            throw InputError(fmt::format("{} in '{}' has shape {}, expected sizes of at least 1",
                                         name, path, array.shapeText()));
    return {array.shape, array.toFloats(), array.dtype};
}

Tensor load(const std::string& path, const char* name, const char* flag)
{
    if (path.empty())
        throw InputError(fmt::format("{} is missing: give --q, --k and --v, or --qkv", flag));
    return isSafetensors(path) ? toTensor(readSafetensors(path).at(name, path), name, path)
                               : toTensor(readNpy(path), name, path);
}

void requireFit(const Qkv& qkv, bool with_v)
{
    const auto& q = qkv.q.shape;
    const auto& k = qkv.k.shape;
    if (k[0] != q[0] || k[3] != q[3])
        throw InputError(fmt::format(
            "q is [{}, {}, {}, {}] and k is [{}, {}, {}, {}], expected the same B and D", q[0],
            q[1], q[2], q[3], k[0], k[1], k[2], k[3]));
    if (with_v && qkv.v.shape != k)
        throw InputError(fmt::format(
            "v is [{}, {}, {}, {}], expected the shape of k, [{}, {}, {}, {}]", qkv.v.shape[0],
            qkv.v.shape[1], qkv.v.shape[2], qkv.v.shape[3], k[0], k[1], k[2], k[3]));
    if (qkv.k.dtype != qkv.q.dtype || (with_v && qkv.v.dtype != qkv.q.dtype))
        throw InputError(fmt::format("q holds {} and k {}, expected one type for all",
                                     dtypeName(qkv.q.dtype), dtypeName(qkv.k.dtype)));
}

std::vector<float> normals(std::mt19937_64& random, uint64_t count)
{
    std::vector<float> values(count);
    const auto uniform = [&]
    {
        return (double(random() >> 11) + 0.5) * 0x1p-53;
    };
    for (float& value :
         values) // Box-Muller: std::normal_distribution differs between standard libraries
    {
        const double radius = std::sqrt(-2 * std::log(uniform()));
        value =
            host::fromHalf(host::toHalf(float(radius * std::cos(6.283185307179586 * uniform()))));
    }
    return values;
}

} // namespace

void TensorFlags::add(CLI::App& command, bool with_v)
{
    command.add_option("--q", q, "queries [B, H, N, D]: .npy, or .safetensors with a tensor q")
        ->type_name("FILE");
    command.add_option("--k", k, "keys [B, H or fewer, N, D]")->type_name("FILE");
    if (with_v)
        command.add_option("--v", v, "values, as keys")->type_name("FILE");
    command.add_option("--qkv", qkv, "one .safetensors file with tensors q, k and v")
        ->type_name("FILE");
}

void Qkv::describe(LacunaPlanDesc& desc) const
{
    desc.batch = uint32_t(q.shape[0]);
    desc.q_heads = uint32_t(q.shape[1]);
    desc.kv_heads = uint32_t(k.shape[1]);
    desc.q_len = uint32_t(q.shape[2]);
    desc.k_len = uint32_t(k.shape[2]);
    desc.head_dim = uint32_t(q.shape[3]);
}

LacunaDtype Qkv::dtype() const
{
    return q.dtype == Dtype::F16    ? LACUNA_DTYPE_F16
           : q.dtype == Dtype::BF16 ? LACUNA_DTYPE_BF16
                                    : LACUNA_DTYPE_F32;
}

void Qkv::roundTo(LacunaDtype dtype)
{
    for (Tensor* tensor : {&q, &k, &v})
        tensor->values = host::unpackFloats(host::packFloats(tensor->values, dtype), dtype);
}

std::vector<float> cutHeads(std::span<const float> values, uint64_t batch, uint64_t heads,
                            uint32_t first, uint32_t count)
{
    const uint64_t inner = values.size() / (batch * heads);
    std::vector<float> cut;
    cut.reserve(batch * count * inner);
    for (uint64_t b = 0; b < batch; ++b)
    {
        const auto part = values.subspan((b * heads + first) * inner, count * inner);
        cut.insert(cut.end(), part.begin(), part.end());
    }
    return cut;
}

void placeHeads(std::span<const float> part, uint64_t batch, uint64_t heads, uint32_t first,
                uint32_t count, std::span<float> whole)
{
    const uint64_t inner = whole.size() / (batch * heads);
    for (uint64_t b = 0; b < batch; ++b)
        std::copy_n(part.begin() + ptrdiff_t(b * count * inner), count * inner,
                    whole.begin() + ptrdiff_t((b * heads + first) * inner));
}

Qkv Qkv::heads(uint32_t first, uint32_t count, uint32_t kv_first, uint32_t kv_count) const
{
    const auto cut = [](const Tensor& tensor, uint32_t from, uint32_t heads)
    {
        Tensor part = {tensor.shape, {}, tensor.dtype};
        if (tensor.values.empty())
            return part;
        part.shape[1] = heads;
        part.values = cutHeads(tensor.values, tensor.shape[0], tensor.shape[1], from, heads);
        return part;
    };
    return {cut(q, first, count), cut(k, kv_first, kv_count), cut(v, kv_first, kv_count)};
}

Qkv loadQkv(const TensorFlags& flags, bool with_v)
{
    if (!flags.qkv.empty() && (!flags.q.empty() || !flags.k.empty() || !flags.v.empty()))
        throw InputError(
            fmt::format("--qkv is '{}' and --q, --k or --v is given too, expected one or the other",
                        flags.qkv));
    const auto pick = [&](const std::string& path) -> const std::string&
    {
        return flags.qkv.empty() ? path : flags.qkv;
    };
    if (!flags.qkv.empty() && !isSafetensors(flags.qkv))
        throw InputError(fmt::format("--qkv is '{}', expected a .safetensors file", flags.qkv));
    Qkv result;
    result.q = load(pick(flags.q), "q", "--q");
    result.k = load(pick(flags.k), "k", "--k");
    if (with_v)
        result.v = load(pick(flags.v), "v", "--v");
    requireFit(result, with_v);
    return result;
}

Qkv qkvOf(const Tensors& tensors, const std::string& path)
{
    const auto take = [&](const char* name)
    {
        return toTensor(tensors.at(name, path), name, path);
    };
    Qkv result = {take("q"), take("k"), take("v")};
    requireFit(result, true);
    return result;
}

Qkv randomQkv(const std::string& shape, uint64_t seed, const char* flag)
{
    const std::vector<uint32_t> sizes = parseSizes(shape, 4, flag);
    const std::vector<uint64_t> wide(sizes.begin(), sizes.end());
    constexpr uint64_t kMaxElements = uint64_t(1) << 30;
    const std::optional<uint64_t> bytes = byteCount(wide, Dtype::F32);
    if (!bytes || *bytes / sizeof(float) > kMaxElements)
        throw InputError(
            fmt::format("{} is '{}', expected at most {} elements", flag, shape, kMaxElements));
    const uint64_t count = *bytes / sizeof(float);
    std::mt19937_64 random(seed);
    Qkv result;
    for (Tensor* tensor : {&result.q, &result.k, &result.v})
        *tensor = {wide, normals(random, count), Dtype::F16};
    return result;
}

} // namespace lacuna::tool

// tensors.h - q, k and v of one attention, from files or from a seed, with their shape checked.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "safetensors.h"

#include <lacuna/lacuna.h>

#include <span>
#include <string>
#include <vector>

namespace CLI
{
class App;
}

namespace lacuna::tool
{

// --q, --k, --v (npy, or safetensors with a tensor of that name), --qkv FILE.safetensors.
struct TensorFlags
{
    std::string q, k, v, qkv;

    void add(CLI::App& command, bool with_v);
    bool given() const { return !q.empty() || !k.empty() || !qkv.empty(); }
};

// Dense fp32 values; `dtype` is what the file held.
struct Tensor
{
    std::vector<uint64_t> shape; // [B, H, N, D]
    std::vector<float> values;
    Dtype dtype = Dtype::F32;
};

struct Qkv
{
    Tensor q, k, v; // v is empty when it was not asked for

    // Fills batch, heads, lengths and head_dim of `desc`.
    void describe(LacunaPlanDesc& desc) const;
    LacunaDtype dtype() const; // of the files
    void roundTo(LacunaDtype dtype); // what a kernel with such inputs sees
    // A part of the query heads, and of the key heads that they read.
    Qkv heads(uint32_t first, uint32_t count, uint32_t kv_first, uint32_t kv_count) const;
};

// Some heads of values [batch, heads, inner].
std::vector<float> cutHeads(std::span<const float> values, uint64_t batch, uint64_t heads,
                            uint32_t first, uint32_t count);
// The other way round: `part` [batch, count, inner] into `whole` [batch, heads, inner].
void placeHeads(std::span<const float> part, uint64_t batch, uint64_t heads, uint32_t first,
                uint32_t count, std::span<float> whole);

// Throws InputError: a file, a dtype or a shape is wrong.
Qkv loadQkv(const TensorFlags& flags, bool with_v);
Qkv qkvOf(const Tensors& tensors, const std::string& path); // of tensors that were at `path`
// N(0, 1), rounded to fp16; the same on every machine.
Qkv randomQkv(const std::string& shape, uint64_t seed, const char* flag = "--random");

} // namespace lacuna::tool

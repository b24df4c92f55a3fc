// npy.h - NumPy's .npy files, read as untrusted input.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace lacuna::tool
{

enum class Dtype
{
    F16,
    F32,
    F64,
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    I64,
    U64,
    Bool,
    BF16
};
size_t dtypeSize(Dtype dtype);
const char* dtypeName(Dtype dtype); // "F16", as safetensors writes it
// Bytes of an array; nothing when they do not fit 64 bits.
std::optional<uint64_t> byteCount(const std::vector<uint64_t>& shape, Dtype dtype);

// A C-ordered little-endian array.
struct Array
{
    Dtype dtype = Dtype::F32;
    std::vector<uint64_t> shape;
    std::vector<std::byte> bytes;

    uint64_t count() const;              // elements
    std::string shapeText() const;       // "2x4x64"
    std::vector<float> toFloats() const; // F16, BF16, F32, F64; others throw InputError
};
Array arrayOfFloats(std::span<const float> values, std::vector<uint64_t> shape, Dtype dtype);

// Versions 1.0, 2.0 and 3.0, C order, the dtypes above but BF16. Throws InputError: one sentence
// with path and reason.
Array readNpy(const std::string& path);
Array parseNpy(std::span<const std::byte> file, const std::string& path);
std::vector<std::byte> formatNpy(const Array& array);
void writeNpy(const std::string& path, const Array& array); // whole or not at all

} // namespace lacuna::tool

// safetensors.h - named tensors in one .safetensors file, read as untrusted input.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "npy.h"

#include <map>
#include <string>

namespace lacuna::tool
{

struct Tensors
{
    std::map<std::string, Array> arrays;
    std::map<std::string, std::string> metadata;

    const Array& at(const std::string& name,
                    const std::string& path) const; // throws InputError that lists the names
};

// Every rule of the format is checked: header size, offsets, overflow, full coverage, no overlap.
// Tensors of a dtype that Array lacks (fp8, ...) are refused by name. Throws InputError: one
// sentence with path and reason.
Tensors readSafetensors(const std::string& path);
Tensors parseSafetensors(std::span<const std::byte> file, const std::string& path);
std::vector<std::byte> formatSafetensors(const Tensors& tensors);
void writeSafetensors(const std::string& path, const Tensors& tensors); // whole or not at all

} // namespace lacuna::tool

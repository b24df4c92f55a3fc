// kernel_sources.h - the GLSL of the kernels that take the caller's functions; made by cmake/LacunaJit.cmake.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string_view>

namespace lacuna::jit
{

struct SourceFile
{
    std::string_view path; // below shaders/
    std::string_view text;
};

struct KernelSource
{
    const char* shader; // its name in shaders.cfg
    const char* path;   // of the file with main()
    const char* macros; // "NAME=VALUE NAME=VALUE"
};

std::span<const SourceFile> sourceFiles();
std::span<const KernelSource> kernelSources();

} // namespace lacuna::jit

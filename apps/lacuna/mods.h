// mods.h - the flags --mask-mod and --score-mod: your own GLSL in the kernels, by lacuna::jit.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <lacuna/lacuna.h>

#include <CLI/CLI.hpp>

#include <memory>
#include <string>

namespace lacuna::tool
{

struct ModFlags
{
    std::string mask, score; // files

    void add(CLI::App& command);
    bool given() const { return !mask.empty() || !score.empty(); }

    // Compiles the files and points `desc` at them; the result must live until the plan is made.
    // Throws InputError with the compiler's lines, or where the tool was built without lacuna::jit.
    std::shared_ptr<void> apply(LacunaPlanDesc& desc) const;
};

} // namespace lacuna::tool

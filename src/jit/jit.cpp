// jit.cpp - lacuna::jit: the caller's functions take the place of attend/mods.glsl, and shaderc
// compiles every kernel with them.
//
// SPDX-License-Identifier: Apache-2.0
#include "kernel_sources.h"

#include <lacuna/jit.h>

#include <shaderc/shaderc.hpp>

#include <algorithm>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

struct LacunaMods_T
{
    std::vector<std::vector<uint32_t>> words; // of each kernel
    std::vector<LacunaKernelCode> kernels;
};

namespace
{

using namespace lacuna::jit;

constexpr const char* kModsPath = "attend/mods.glsl";
constexpr const char* kMask = "bool mask_mod(uint b, uint h, uint q, uint k)";
constexpr const char* kScore = "float score_mod(float score, uint b, uint h, uint q, uint k)";

struct Reporter
{
    const LacunaModsDesc& desc;

    LacunaResult operator()(LacunaResult result, const std::string& sentence) const
    {
        if (desc.message)
            desc.message(desc.message_user, result, ("lacunaCompileMods: " + sentence).c_str());
        return result;
    }
};

std::string nameOf(const char* given, const char* fallback)
{
    std::string name = given ? given : fallback;
    std::replace(name.begin(), name.end(), '"', '\''); // it is quoted in #line
    std::replace(name.begin(), name.end(), '\n', ' ');
    return name;
}

// Declared first, so that another type or no body at all is an error of the caller's text.
std::string modsText(const LacunaModsDesc& desc)
{
    std::string text = "const bool kHasMods = true;\n";
    const auto add = [&](const char* prototype, const char* source, const std::string& name,
                         const char* fallback)
    {
        if (source)
            text += std::string(prototype) + ";\n#line 1 \"" + name + "\"\n" + source + "\n";
        else
            text += std::string(prototype) + fallback;
    };
    add(kMask, desc.mask_mod, nameOf(desc.mask_name, "mask_mod"), "\n{\n    return true;\n}\n");
    add(kScore, desc.score_mod, nameOf(desc.score_name, "score_mod"),
        "\n{\n    return score;\n}\n");
    return text;
}

// Files of the library by their path below shaders/, or beside the one that includes them.
class Includer : public shaderc::CompileOptions::IncluderInterface
{
public:
    explicit Includer(std::string mods) : mods_(std::move(mods)) {}

    shaderc_include_result* GetInclude(const char* requested, shaderc_include_type,
                                       const char* requesting, size_t) override
    {
        std::string_view folder = requesting;
        folder = folder.substr(0, folder.rfind('/') + 1);
        const std::string beside = std::string(folder) + requested;
        for (const SourceFile& file : sourceFiles())
            if (file.path == requested || file.path == beside)
                return resultOf(file.path, file.path == kModsPath ? mods_ : file.text);
        return resultOf("", "there is no such file in the library");
    }
    void ReleaseInclude(shaderc_include_result* result) override { delete result; }

private:
    static shaderc_include_result* resultOf(std::string_view path, std::string_view text)
    {
        return new shaderc_include_result{path.data(), path.size(), text.data(), text.size(),
                                          nullptr};
    }
    std::string mods_;
};

shaderc::CompileOptions optionsOf(const KernelSource& kernel, const std::string& mods)
{
    shaderc::CompileOptions options;
    options.SetTargetEnvironment(shaderc_target_env_vulkan, shaderc_env_version_vulkan_1_3);
    options.SetIncluder(std::make_unique<Includer>(mods));
    std::istringstream macros(kernel.macros);
    for (std::string macro; macros >> macro;)
    {
        const size_t equals = std::min(macro.find('='), macro.size());
        options.AddMacroDefinition(macro.substr(0, equals),
                                   macro.substr(std::min(equals + 1, macro.size())));
    }
    return options;
}

// A missing body is only found when everything is linked, where no line is known.
std::string errorOf(const LacunaModsDesc& desc, std::string text)
{
    const auto isMissing = [&](const char* function)
    {
        const size_t at = text.find("No function definition (body) found");
        return at != text.npos && text.find(function, at) != text.npos;
    };
    if (isMissing("mask_mod("))
        text = nameOf(desc.mask_name, "mask_mod") + ": error: it defines no '" + kMask + "'";
    else if (isMissing("score_mod("))
        text = nameOf(desc.score_name, "score_mod") + ": error: it defines no '" + kScore + "'";
    while (text.ends_with('\n'))
        text.pop_back();
    return text;
}

LacunaResult compile(const LacunaModsDesc& desc, LacunaMods_T& mods, std::string& sentence)
{
    const shaderc::Compiler compiler;
    const std::string text = modsText(desc);
    for (const KernelSource& kernel : kernelSources())
    {
        const auto files = sourceFiles();
        const auto file = std::find_if(files.begin(), files.end(), [&](const SourceFile& f)
                                       { return f.path == kernel.path; });
        const shaderc::SpvCompilationResult result =
            compiler.CompileGlslToSpv(file->text.data(), file->text.size(), shaderc_compute_shader,
                                      kernel.path, "main", optionsOf(kernel, text));
        if (result.GetCompilationStatus() != shaderc_compilation_status_success)
        {
            sentence = errorOf(desc, result.GetErrorMessage());
            return LACUNA_ERROR_INVALID_ARGUMENT;
        }
        mods.words.emplace_back(result.cbegin(), result.cend());
    }
    for (size_t i = 0; i < mods.words.size(); ++i)
        mods.kernels.push_back(
            {kernelSources()[i].shader, mods.words[i].data(), mods.words[i].size()});
    return LACUNA_SUCCESS;
}

} // namespace

LacunaResult lacunaCompileMods(const LacunaModsDesc* desc, LacunaMods* mods)
{
    if (mods)
        *mods = nullptr;
    if (!desc)
        return LACUNA_ERROR_INVALID_ARGUMENT;
    const Reporter report = {*desc};
    if (!mods)
        return report(LACUNA_ERROR_INVALID_ARGUMENT, "mods is NULL");
    if (desc->header_version != LACUNA_VERSION || lacunaGetVersion() != LACUNA_VERSION)
        return report(LACUNA_ERROR_INVALID_ARGUMENT,
                      "header_version is " + std::to_string(desc->header_version) +
                          ", lacuna::jit is " + std::to_string(LACUNA_VERSION) +
                          " and the library " + std::to_string(lacunaGetVersion()));
    if (!desc->mask_mod && !desc->score_mod)
        return report(LACUNA_ERROR_INVALID_ARGUMENT,
                      "mask_mod and score_mod are NULL, expected at least one");
    auto made = std::make_unique<LacunaMods_T>();
    std::string sentence;
    if (const LacunaResult r = compile(*desc, *made, sentence); r != LACUNA_SUCCESS)
        return report(r, sentence);
    *mods = made.release();
    return LACUNA_SUCCESS;
}

LacunaResult lacunaApplyMods(LacunaMods mods, LacunaPlanDesc* desc)
{
    if (!mods || !desc)
        return LACUNA_ERROR_INVALID_ARGUMENT;
    desc->kernels = mods->kernels.data();
    desc->kernel_count = uint32_t(mods->kernels.size());
    return LACUNA_SUCCESS;
}

void lacunaDestroyMods(LacunaMods mods)
{
    delete mods;
}

// mods.cpp - compiles --mask-mod and --score-mod.
//
// SPDX-License-Identifier: Apache-2.0
#include "mods.h"

#include "errors.h"
#include "output.h"

#ifdef LACUNA_HAS_JIT
#include <lacuna/jit.h>
#endif

namespace lacuna::tool
{

void ModFlags::add(CLI::App& command)
{
    command
        .add_option("--mask-mod", mask,
                    "GLSL: bool mask_mod(uint b, uint h, uint q, uint k), the keys that are kept of "
                    "the method's")
        ->type_name("FILE");
    command
        .add_option("--score-mod", score,
                    "GLSL: float score_mod(float score, uint b, uint h, uint q, uint k), other "
                    "logits")
        ->type_name("FILE");
}

#ifdef LACUNA_HAS_JIT

std::shared_ptr<void> ModFlags::apply(LacunaPlanDesc& desc) const
{
    if (!given())
        return {};
    const std::string mask_text = mask.empty() ? "" : readFile(mask),
                      score_text = score.empty() ? "" : readFile(score);
    std::string errors;
    LacunaModsDesc mods_desc = {};
    mods_desc.header_version = LACUNA_VERSION;
    mods_desc.mask_mod = mask.empty() ? nullptr : mask_text.c_str();
    mods_desc.score_mod = score.empty() ? nullptr : score_text.c_str();
    mods_desc.mask_name = mask.c_str();
    mods_desc.score_name = score.c_str();
    mods_desc.message = [](void* user, LacunaResult, const char* text)
    {
        *static_cast<std::string*>(user) = text;
    };
    mods_desc.message_user = &errors;
    LacunaMods mods = nullptr;
    if (lacunaCompileMods(&mods_desc, &mods) != LACUNA_SUCCESS)
        throw InputError(errors);
    lacunaApplyMods(mods, &desc);
    return std::shared_ptr<LacunaMods_T>(mods, lacunaDestroyMods);
}

#else

std::shared_ptr<void> ModFlags::apply(LacunaPlanDesc&) const
{
    if (given())
        throw InputError("--mask-mod and --score-mod need lacuna::jit, which this tool was built "
                         "without");
    return {};
}

#endif

} // namespace lacuna::tool

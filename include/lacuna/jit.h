/* jit.h - your own mask and scores inside the kernels of attention, as GLSL compiled at run time: the optional component
 * lacuna::jit, which links shaderc.
 *
 * SPDX-License-Identifier: Apache-2.0
 *
 *   LacunaModsDesc desc = {LACUNA_VERSION};
 *   desc.score_mod = "float score_mod(float score, uint b, uint h, uint q, uint k)\n"
 *                    "{ return score - exp2(-float(h + 1)) * abs(float(q) - float(k)); }\n";
 *   lacunaCompileMods(&desc, &mods);
 *   lacunaApplyMods(mods, &plan_desc);            any method: its list says which keys are looked at
 *   lacunaCreatePlan(context, &plan_desc, &plan);
 */
#ifndef LACUNA_JIT_H
#define LACUNA_JIT_H

#include "lacuna.h"

#ifdef __cplusplus
extern "C"
{
#endif

/* Functions in GLSL 4.60; at least one. b, h, q and k are the batch, the query head, the query and the key, counted as
 * the caller's tensors are, whatever order the method visits them in. Both are called for pairs that the method keeps,
 * in any order and more than once, so they may not write anywhere.
 *
 *   bool mask_mod(uint b, uint h, uint q, uint k)                 false: the query does not keep the key
 *   float score_mod(float score, uint b, uint h, uint q, uint k)  a logit in place of `score`, which is scaled, and
 *                                                                 capped where the plan has a soft_cap
 *
 * A score of -inf, of NaN or below -6e29 drops the pair; scores above 6e29 count as that. A query that keeps no key
 * gets 0 and an LSE of -inf. */
typedef struct LacunaModsDesc
{
    uint32_t header_version; /* LACUNA_VERSION */
    const char* mask_mod;    /* GLSL text, or NULL */
    const char* score_mod;   /* GLSL text, or NULL */
    const char* mask_name;   /* of the file, for messages; NULL: "mask_mod" */
    const char* score_name;  /* likewise; NULL: "score_mod" */
    LacunaMessageCallback message; /* may be NULL */
    void* message_user;
} LacunaModsDesc;

typedef struct LacunaMods_T* LacunaMods;

/* Compiles every kernel of the library with these functions; needs no device. Slow, a second or so: do it once.
 *
 * Returns  LACUNA_ERROR_INVALID_ARGUMENT when the text does not compile; the message then holds the compiler's lines,
 *          "NAME:LINE: error: ...", counted in your text
 */
LACUNA_API LacunaResult lacunaCompileMods(const LacunaModsDesc* desc, LacunaMods* mods);

/* Points desc->kernels at them; they must live until the plan is made. */
LACUNA_API LacunaResult lacunaApplyMods(LacunaMods mods, LacunaPlanDesc* desc);

/* NULL is ignored. */
LACUNA_API void lacunaDestroyMods(LacunaMods mods);

#ifdef __cplusplus
}
#endif

#endif

/* SPDX-License-Identifier: Apache-2.0
 * The smallest C program on lacuna::jit: compiles a mask, which needs no device. */
#include <lacuna/jit.h>

#include <stdio.h>

static void print(void* user, LacunaResult result, const char* text)
{
    (void)user;
    printf("%d %s\n", (int)result, text);
}

int main(void)
{
    LacunaModsDesc desc = {LACUNA_VERSION};
    LacunaMods mods = NULL;
    desc.mask_mod = "bool mask_mod(uint b, uint h, uint q, uint k) { return k <= q; }\n";
    desc.message = print;
    if (lacunaCompileMods(&desc, &mods) != LACUNA_SUCCESS)
        return 1;
    lacunaDestroyMods(mods);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0
 * The smallest C program that links Lacuna: does the library that was found match the header that was found? */
#include <lacuna/lacuna.h>

#include <stdio.h>

int main(void)
{
    printf("header %u, library %u\n", (unsigned)LACUNA_VERSION, (unsigned)lacunaGetVersion());
    return lacunaGetVersion() == LACUNA_VERSION ? 0 : 1;
}

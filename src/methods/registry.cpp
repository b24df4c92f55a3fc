// registry.cpp - the list of methods, from methods.inc.
//
// SPDX-License-Identifier: Apache-2.0

#include "method.h"

#include <cstring>

namespace lacuna
{

#define LACUNA_METHOD(object) extern const Method object;
#include "methods.inc"
#undef LACUNA_METHOD

std::span<const Method* const> allMethods()
{
    static const Method* const methods[] = {
#define LACUNA_METHOD(object) &object,
#include "methods.inc"
#undef LACUNA_METHOD
    };
    return methods;
}

const Method* findMethod(const char* name)
{
    for (const Method* method : allMethods())
        if (std::strcmp(method->name, name) == 0)
            return method;
    return nullptr;
}

} // namespace lacuna

// flat_group.h - the width of a folded dispatch, see lib/flat_group.glsl; included by C++ and GLSL.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef LACUNA_SHARED_FLAT_GROUP_H
#define LACUNA_SHARED_FLAT_GROUP_H

#include "types.h"

LACUNA_SHARED_BEGIN

const uint kGroupsPerRow = 32768;

LACUNA_SHARED_END

#endif

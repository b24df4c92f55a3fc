// flat_group.glsl - the index of a workgroup in a dispatch of any number of them.
//
// SPDX-License-Identifier: Apache-2.0
//
// Every device allows 65,535 workgroups per dimension. recordPlan() folds longer dispatches into
// rows of kGroupsPerRow, and gives the index of the first workgroup in the push constants.
#ifndef LACUNA_LIB_FLAT_GROUP_GLSL
#define LACUNA_LIB_FLAT_GROUP_GLSL

#include "shared/flat_group.h"

uint flatGroup()
{
    return gl_WorkGroupID.y * kGroupsPerRow + gl_WorkGroupID.x;
}

#endif

// matrices.h - which elements of a cooperative matrix a lane holds: what a probe writes, and what
// the coopmat kernels are told of it; included by C++ and GLSL.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef LACUNA_SHARED_MATRICES_H
#define LACUNA_SHARED_MATRICES_H

#include "types.h"

LACUNA_SHARED_BEGIN

// What probe.comp writes: kProbeHeader words, that are kProbeMark, the matrices' m, n and k, the
// size of a subgroup, and how many components a lane has of each matrix. Then for each matrix,
// component (of kMaxComponents) and lane, the element: row << 16 | column.
const uint kProbeMark = 0x4c50524fu;
const uint kProbeHeader = 8;
const uint kMaxComponents = 64;

// Its matrices.
const uint kProbeSums = 0; // m x n, an accumulator
const uint kProbeA = 1;    // m x k
const uint kProbeB = 2;    // k x n

struct ProbePush
{
    uvec2 result;
};

// How tiles of P, accumulators, become the operand of a product: all components of one tile after
// the other, one component of all tiles after the other, or through shared memory.
const uint kThroughMemory = 0;
const uint kTileByTile = 1;
const uint kInTurns = 2;

LACUNA_SHARED_END

#endif

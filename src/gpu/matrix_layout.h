// matrix_layout.h - which shape of cooperative matrix the kernels prefer, and which of its elements
// a lane holds: no specification says that, each driver has its own way, and a probe tells.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "caps.h"
#include "pipelines.h"

#include <span>
#include <string>
#include <vector>

namespace lacuna
{

// What the kernels can address: whole uvec4 of channels, and counts that divide each other.
bool isUsable(const MatrixShape& shape);
bool isFlexible(const MatrixProducts& products, const MatrixShape& shape); // a multiple
bool isOffered(const MatrixProducts& products, const MatrixShape& shape);  // that, or listed
MatrixShape preferredShape(const Caps& caps); // m == 0: none is usable
// A CPU emulates products, and reads and writes a sum for each: the deeper, the faster. `depth` is a
// multiple of the depth to be, D or the keys of a step.
MatrixShape deepened(const Caps& caps, uint32_t depth, MatrixShape shape);
uint32_t matrixSubgroupSize(const Caps& caps); // pinned

const char* chainName(uint32_t chain); // "tile by tile"

uint64_t probeBytes(const Caps& caps); // 0: there is nothing to probe
PipelineKey probePipeline(const Caps& caps);

// What probe.comp wrote on this device, as regular layouts, the better one first; none where a
// kernel could not use it. False: it is no probe of this device, and `sentence` says why.
bool readProbe(const Caps& caps, std::span<const uint32_t> words,
               std::vector<MatrixLayout>& layouts, std::string& sentence);

} // namespace lacuna

// harness_mask.h - masks of reference() as tables that tests can compare with published ones.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "harness.h"

#include <string>
#include <utility>
#include <vector>

namespace lacuna::test
{

using OptionValues = std::vector<std::pair<std::string, std::string>>;

// A mask of one head, [tokens, tokens].
struct Mask
{
    size_t tokens;
    std::vector<uint8_t> kept;
    bool at(size_t query, size_t key) const { return kept[query * tokens + key]; }
    double density() const;
};

// Of the only head.
Mask maskOf(const std::string& method, const OptionValues& options, const VideoGrid& grid);
// The keys of one query of the only head, for grids whose mask is too large.
std::vector<uint8_t> rowOf(const std::string& method, const OptionValues& options,
                           const VideoGrid& grid, uint32_t query);

// The mask of a method by its definition, uint8 [B * Hq, Nq, Nk]; a static one needs no inputs.
std::vector<uint8_t> definitionOf(const Case& c, const Inputs& inputs = {});

// The mask of a case, which must be the same on the device and by definition.
std::vector<uint8_t> selectedMask(const Case& c, const Inputs& inputs);

// "10 11 ": a word for each query of the first head, with "1" for a key that it keeps.
std::string pictureOf(const Case& c);

// Cases of one batch for the scalar kernel: fp32 over a video, and fp16 with two query heads that
// share their keys.
Case videoCase(const std::string& method, const OptionValues& options, const LacunaVideoGrid& grid,
               uint32_t heads, uint32_t head_dim);
Case packedCase(const std::string& method, const OptionValues& options, uint32_t q_len,
                uint32_t k_len, uint32_t head_dim);

// On every kernel, in one piece and with rows in as many parts as possible, twice: that the device
// keeps the definition's mask and that attention under it is right, with the same bits again. The
// inputs are rounded to fp16 first, which matrix cores do anyway.
void checkOnEveryKernel(Case c, Inputs inputs);

// One row of text per block of queries: "110" keeps key blocks 0 and 1. Fails when a block is kept
// in part.
std::vector<std::string> blocksOf(const Mask& mask, size_t block);

} // namespace lacuna::test

// harness_attend.h - what the tests of ATTEND share: tiers with tuning, hostile lists, and a bound
// on the error from a model of the same precision.
//
// SPDX-License-Identifier: Apache-2.0
//
// The bound is what rounding costs: a model of the same precision on the CPU makes an error, and
// the kernel may make twice that. Lists come through the method `key_spans`, so nothing but ATTEND
// runs.
#pragma once

#include "harness.h"

namespace lacuna::test
{

// A tier with its tuning.
struct Kernel
{
    LacunaTier tier;
    std::vector<LacunaOption> tuning;

    std::string text() const;
};

struct Shape
{
    uint32_t batch = 1, q_heads = 2, kv_heads = 1, q_len = 65, k_len = 65, head_dim = 64;
    LacunaDtype dtype = LACUNA_DTYPE_F16;
    LacunaDtype out_dtype = LACUNA_DTYPE_F16;
};

// The kernel must outlive the case.
Case makeCase(const Kernel& kernel, const Shape& shape, const std::string& method = "dense");

// False, and counted, where the device cannot run the kernel: the plan says why.
bool canRun(const Kernel& kernel, const Case& c);

// Runs the case twice: the error is within the bound, and the bits are the same. Returns the
// output.
Output runTwice(const Kernel& kernel, const Case& c, const Inputs& inputs,
                const std::vector<uint8_t>& mask, const GivenList& list = {});

// Rows of every hostile kind, of `block` queries each; the last kUnusedKeys keys are in no row.
constexpr uint32_t kUnusedKeys = 9;
GivenList hostileList(const Problem& problem, uint32_t block);

// uint8 [B * Hq, Nq, Nk] of such a list.
std::vector<uint8_t> tokenMask(const Problem& problem, const GivenList& list, uint32_t block);

// NaN into the last kUnusedKeys keys or values of every head: what is skipped must not even be
// read.
void spoilUnused(const Problem& problem, std::vector<float>& tensor);

// Runs a case of method key_spans with rows of `block` queries over a hostile list and spoiled keys:
// with normal logits, with an amplitude of 60, and with ties only.
void runHostile(const Kernel& kernel, const Case& c, uint32_t block);

// The layout of most models, with a hole behind every token.
LacunaStrides tokenMajor(uint32_t heads, uint32_t tokens, uint32_t head_dim);

} // namespace lacuna::test

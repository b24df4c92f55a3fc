// harness.h - what the tests share: one device, inputs from seeds, running a plan, error measures,
// counted skips.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "plan/make_problem.h"
#include "reference/reference.h"

#include <lacuna/host.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <string>
#include <vector>

namespace lacuna::test
{

// The device under test, with validation; made on first use. Its validation messages fail the
// program at the end.
host::Device& device();

// Prints why a case does not run here; the number of skipped cases is printed at the end.
void skip(const std::string& what, const std::string& why);

// False when `--case=TEXT` is given and `id` does not contain it. Put `id` into INFO, so that a
// failure names it.
bool isWanted(const std::string& id);

// Splitmix64: the same numbers everywhere.
class Rng
{
public:
    explicit Rng(uint64_t seed) : state_(seed) {}
    uint64_t next();
    double uniform(); // 0 <= x < 1
    float normal();   // mean 0, variance 1
    int below(int limit) { return int(uniform() * limit); }

private:
    uint64_t state_;
};

// A plan description that owns its options.
struct Case
{
    std::string method = "dense";
    std::vector<std::pair<std::string, std::string>> options;
    LacunaPlanDesc desc = {}; // method and options are filled in by description()

    LacunaPlanDesc description(std::vector<LacunaOption>& storage) const;
    Request request() const; // REQUIREs that it is valid
    std::string id() const;  // "block_topk/b1h3q200k77d64/f16/keep_ratio=0.1"
};

// Dense [B, H, N, D] on the host, rounded to the dtype of the case.
struct Inputs
{
    std::vector<float> q, k, v;
};
Inputs normalInputs(const Case& c, uint64_t seed);
void roundTo(LacunaDtype dtype, std::vector<float>& values);

// What one recording of the case left behind.
struct Output
{
    std::vector<float> out; // [B * Hq, Nq, D]
    std::vector<float> lse; // [B * Hq, Nq]
    host::Attention::Kept kept;
};
// The spans of each (b * Hq + h, row), for method `key_spans`.
using GivenList = std::vector<std::vector<host::Attention::Span>>;
// out and lse lie between guards of NaN, which CHECKs prove untouched, as are the holes between
// strided rows.
Output runOnDevice(const Case& c, const Inputs& inputs, const GivenList& list = {});
host::Attention::Kept selectOnDevice(const Case& c, const Inputs& inputs);

// Checks out and lse against attention in double precision under `mask` (uint8 [B * Hq, Nq, Nk],
// empty = dense).
void checkAttention(const Case& c, const Inputs& inputs, const std::vector<uint8_t>& mask,
                    const Output& output);

} // namespace lacuna::test

// bench_cases.h - the cases of `lacuna bench attend`: what is measured, checked before it is timed.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "measure.h"
#include "peer.h"

#include <nlohmann/json.hpp>

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace lacuna::tool
{

struct BenchFlags
{
    int device = -1;
    std::vector<std::string> shapes = {"1x1x2048x64", "1x4x2048x64", "1x1x2048x128"};
    std::vector<std::string> tiers = {"auto"};
    std::vector<double> densities = {0.25, 0.1};
    std::vector<std::string> methods, peers;
    std::string grid;
    uint32_t block = 64, key_block = 0; // 0: as block
    uint32_t repeat = 9;
    uint64_t seed = 1;
    double reference_budget = 2e8;
    bool skew = false;
    std::string precision = "f16", format = "md", output;
    LacunaSums sums = LACUNA_SUMS_F32;
};

// One line of the table.
struct BenchCase
{
    std::string tier;
    bool is_dense = false;
    std::unique_ptr<Measurement> measurement;
    std::unique_ptr<Peer> peer; // instead of the measurement
    std::vector<double> ms;
    bool is_timed_by_pass = false;
    std::map<std::string, std::vector<double>> pass_ms;
    nlohmann::json report;
};

BenchCase makeDense(host::Device& device, const BenchFlags& flags, LacunaPlanDesc desc,
                    const Qkv& qkv, const std::string& tier);
// Random blocks of flags.block tokens. Skewed: one row keeps all keys, the others share the rest.
BenchCase makeRandom(host::Device& device, const BenchFlags& flags, LacunaPlanDesc desc,
                     const Qkv& qkv, const std::string& tier, double density, bool is_skewed);
// text: "NAME OPTION=VALUE ..."
BenchCase makeMethod(host::Device& device, const BenchFlags& flags, LacunaPlanDesc desc,
                     const Qkv& qkv, const std::string& tier, const std::string& text);
BenchCase makePeer(const BenchFlags& flags, const std::string& text, const LacunaPlanDesc& desc);

} // namespace lacuna::tool

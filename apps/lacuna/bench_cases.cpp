// bench_cases.cpp - plans, random lists and peers, each run once and compared with double
// precision.
//
// SPDX-License-Identifier: Apache-2.0
#include "bench_cases.h"

#include "accuracy.h"
#include "command.h"

#include <fmt/format.h>

#include <random>
#include <sstream>
#include <utility>

namespace lacuna::tool
{
namespace
{

using Json = nlohmann::json;

// Blocks that row `row` keeps of `rows`, on average `keep`. Skewed: the one in the middle keeps all
// `blocks`, the others share the rest.
uint32_t keptBlocks(uint32_t row, uint32_t rows, uint32_t blocks, uint32_t keep, bool is_skewed)
{
    if (!is_skewed || rows == 1)
        return keep;
    const uint32_t middle = rows / 2, others = rows - 1;
    if (row == middle)
        return blocks;
    const uint64_t rest = uint64_t(keep) * rows - blocks, i = row - (row > middle);
    return uint32_t(rest * (i + 1) / others - rest * i / others);
}

// Key blocks of each row and head, drawn at random; adjacent ones are one span.
host::Attention::Kept randomList(const LacunaPlanDesc& desc, uint32_t row_block, uint32_t key_block,
                                 double density, bool is_skewed, uint64_t seed)
{
    const auto borders = [&](uint32_t tokens, uint32_t block)
    {
        std::vector<uint32_t> result;
        for (uint64_t token = 0; token < tokens; token += block)
            result.push_back(uint32_t(token));
        result.push_back(tokens);
        return result;
    };
    const auto identity = [](uint32_t tokens)
    {
        std::vector<uint32_t> result(tokens);
        for (uint32_t i = 0; i < tokens; ++i)
            result[i] = i;
        return result;
    };
    host::Attention::Kept list;
    list.heads = desc.batch * desc.q_heads;
    list.row_borders = borders(desc.q_len, row_block);
    list.key_borders = borders(desc.k_len, key_block);
    list.q_order = identity(desc.q_len);
    list.k_order = identity(desc.k_len);

    const uint32_t blocks = uint32_t(list.key_borders.size() - 1);
    const uint32_t average = std::max(1u, uint32_t(density * blocks + 0.5));
    const uint32_t rows = uint32_t(list.row_borders.size() - 1);
    std::mt19937_64 random(seed);
    std::vector<uint32_t> drawn(blocks);
    for (uint64_t row = 0; row < uint64_t(list.heads) * rows; ++row)
    {
        const uint32_t keep = keptBlocks(uint32_t(row % rows), rows, blocks, average, is_skewed);
        for (uint32_t i = 0; i < blocks; ++i)
            drawn[i] = i;
        for (uint32_t i = 0; i < keep; ++i)
            std::swap(drawn[i], drawn[i + random() % (blocks - i)]);
        std::sort(drawn.begin(), drawn.begin() + keep);

        std::vector<host::Attention::Span> spans;
        for (uint32_t i = 0; i < keep; ++i)
        {
            const uint32_t begin = list.key_borders[drawn[i]], end = list.key_borders[drawn[i] + 1];
            if (!spans.empty() && spans.back().end == begin)
                spans.back().end = end;
            else
                spans.push_back({begin, end});
        }
        list.spans.push_back(std::move(spans));
    }
    return list;
}

// A plan in parts has no list of all heads: then one of another plan, in one part.
host::Attention::Kept keptBy(host::Device& device, const Measurement& measurement,
                             LacunaPlanDesc desc)
{
    if (measurement.attention().info().part_count == 1)
        return measurement.kept();
    desc.max_workspace_bytes = UINT64_MAX;
    const host::Attention whole(device, desc);
    return measurement.kept(0, &whole);
}

// What is measured, after one run that has been checked.
BenchCase makeCase(host::Device& device, const BenchFlags& flags, const LacunaPlanDesc& desc,
                   const Qkv& qkv, const std::string& tier, const std::string& mask,
                   std::unique_ptr<Measurement> measurement)
{
    BenchCase made;
    made.tier = tier;
    made.is_dense = mask == "dense";
    made.measurement = std::move(measurement);

    const Measurement& m = *made.measurement;
    const Json explain = Json::parse(m.attention().explain());
    made.measurement->run(); // lavapipe and others finish compiling here
    const host::Attention::Kept kept = keptBy(device, m, desc);
    const Accuracy accuracy =
        measureAccuracy(desc, qkv, kept, m.out(), m.lse(), flags.reference_budget);
    made.report = {{"tier", explain["tier"]},
                   {"tile", explain["tile"]},
                   {"mask", mask},
                   {"density", kept.density()},
                   {"error_max", accuracy.kernel.max()},
                   {"error_rel_l1", accuracy.kernel.relativeL1()},
                   {"lse_error_max", accuracy.lse_max},
                   {"queries_compared", accuracy.queries},
                   {"passes", explain["passes"]}};
    return made;
}

} // namespace

BenchCase makeDense(host::Device& device, const BenchFlags& flags, LacunaPlanDesc desc,
                    const Qkv& qkv, const std::string& tier)
{
    desc.tier = DeviceFlags{.tier = tier}.tierValue();
    desc.method = "dense";
    return makeCase(device, flags, desc, qkv, tier, "dense",
                    std::make_unique<Measurement>(device, desc, qkv));
}

BenchCase makeRandom(host::Device& device, const BenchFlags& flags, LacunaPlanDesc desc,
                     const Qkv& qkv, const std::string& tier, double density, bool is_skewed)
{
    const uint32_t key_block = flags.key_block ? flags.key_block : flags.block;
    const std::string block = std::to_string(flags.block);
    const std::string blocks =
        key_block == flags.block ? block : block + "x" + std::to_string(key_block);
    const LacunaOption option = {"block", block.c_str()};
    desc.tier = DeviceFlags{.tier = tier}.tierValue();
    desc.method = "key_spans";
    desc.options = &option;
    desc.option_count = 1;
    auto measurement = std::make_unique<Measurement>(
        device, desc, qkv,
        randomList(desc, flags.block, key_block, density, is_skewed, flags.seed));
    return makeCase(device, flags, desc, qkv, tier,
                    "random blocks of " + blocks + (is_skewed ? ", one row keeps all" : ""),
                    std::move(measurement));
}

BenchCase makeMethod(host::Device& device, const BenchFlags& flags, LacunaPlanDesc desc,
                     const Qkv& qkv, const std::string& tier, const std::string& text)
{
    MethodFlags method;
    std::istringstream words(text);
    words >> method.method;
    for (std::string setting; words >> setting;)
        method.settings.push_back(setting);
    method.grid = flags.grid;
    method.apply(desc);
    desc.tier = DeviceFlags{.tier = tier}.tierValue();
    BenchCase made = makeCase(device, flags, desc, qkv, tier, text,
                              std::make_unique<Measurement>(device, desc, qkv));
    made.is_timed_by_pass = true;
    return made;
}

BenchCase makePeer(const BenchFlags& flags, const std::string& text, const LacunaPlanDesc& desc)
{
    BenchCase made;
    made.peer = std::make_unique<Peer>(text, desc, flags.precision);
    made.report = {{"tier", made.peer->name()},
                   {"tile", made.peer->description()},
                   {"mask", "dense"},
                   {"density", 1.0}};
    return made;
}

} // namespace lacuna::tool

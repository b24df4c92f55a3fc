// self_test.cpp - known-answer tests of the attention kernels against the double-precision
// reference.
//
// SPDX-License-Identifier: Apache-2.0
//
// Drivers have compiled cooperative matrices wrongly before; a tier is used only after it gave
// right answers here.
#include "self_test.h"
#include "cache.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <random>
#include <span>
#include <sstream>

namespace lacuna::host
{
namespace
{

struct Case
{
    const char* method;
    uint32_t q_heads, kv_heads, q_len, k_len, head_dim;
    LacunaVideoGrid grid;
    LacunaDtype dtype;
};

// Ragged lengths, two head dims, grouped heads: where fragments, tails and strides go wrong.
constexpr Case kQuick[] = {
    {"dense", 2, 1, 77, 77, 64, {}, LACUNA_DTYPE_F16},
    {"dense", 1, 1, 33, 100, 128, {}, LACUNA_DTYPE_F16},
};
constexpr Case kThorough[] = {
    {"dense", 1, 1, 1, 1, 8, {}, LACUNA_DTYPE_F16},
    {"dense", 2, 2, 129, 65, 40, {}, LACUNA_DTYPE_F16},
    {"dense", 1, 1, 512, 512, 64, {}, LACUNA_DTYPE_F16},
    {"dense", 1, 1, 100, 300, 64, {}, LACUNA_DTYPE_F32},
    {"dense", 1, 1, 130, 130, 128, {}, LACUNA_DTYPE_F32},
    {"dense", 1, 1, 70, 90, 256, {}, LACUNA_DTYPE_F16},
    {"sliding_tile", 2, 1, 0, 0, 64, {5, 9, 7, 3, 5}, LACUNA_DTYPE_F16},
};

std::vector<float> normals(std::mt19937& random, uint64_t count, LacunaDtype dtype)
{
    std::vector<float> values(count);
    const auto uniform = [&]
    {
        return (double(random()) + 0.5) * 0x1p-32;
    };
    for (float& value :
         values) // Box-Muller: std::normal_distribution differs between standard libraries
    {
        value =
            float(std::sqrt(-2 * std::log(uniform())) * std::cos(6.283185307179586 * uniform()));
        if (dtype == LACUNA_DTYPE_F16)
            value = fromHalf(toHalf(value));
    }
    return values;
}

LacunaPlanDesc planOf(const Case& c, LacunaTier tier)
{
    LacunaPlanDesc desc = {};
    desc.method = c.method;
    desc.batch = 1;
    desc.q_heads = c.q_heads;
    desc.kv_heads = c.kv_heads;
    desc.grid = c.grid;
    const uint32_t tokens =
        c.grid.frames * c.grid.height * c.grid.width + c.grid.text_before + c.grid.text_after;
    desc.q_len = tokens ? tokens : c.q_len;
    desc.k_len = tokens ? tokens : c.k_len;
    desc.head_dim = c.head_dim;
    desc.dtype = c.dtype;
    desc.out_dtype = LACUNA_DTYPE_F32;
    desc.tier = tier;
    return desc;
}

std::string describe(const LacunaPlanDesc& desc)
{
    char text[160];
    std::snprintf(text, sizeof(text), "%s H=%u/%u N=%ux%u D=%u %s", desc.method, desc.q_heads,
                  desc.kv_heads, desc.q_len, desc.k_len, desc.head_dim,
                  desc.dtype == LACUNA_DTYPE_F16 ? "f16" : "f32");
    return text;
}

// What rounding may cost, from the largest |v|. Scalar: logits of |s| <= 12 in fp32 are off by some
// 1e-6, and a weight by twice that. The others: their operands, weights included, are fp16 besides:
// half an ulp, 2^-11, each.
double outputBound(const LacunaPlanDesc& desc, LacunaTier tier, const std::vector<float>& v)
{
    double largest = 0;
    for (const float value : v)
        largest = std::max(largest, double(std::fabs(value)));
    double relative = 2e-5;
    if (tier != LACUNA_TIER_SCALAR)
        relative += 0x1p-11;
    if (tier == LACUNA_TIER_COOPMAT &&
        desc.dtype == LACUNA_DTYPE_F32) // q, k and v are rounded as well
        relative += 0x1p-8;
    return relative * largest;
}

double maxError(const std::vector<float>& got, const std::vector<double>& wanted)
{
    double error = 0;
    for (size_t i = 0; i < got.size(); ++i)
    {
        const double difference = std::fabs(double(got[i]) - wanted[i]);
        error = difference <= error ? error : difference; // NaN sticks
    }
    return error;
}

struct Sentence
{
    std::string text;
    static void receive(void* user, LacunaResult, const char* sentence)
    {
        static_cast<Sentence*>(user)->text = sentence;
    }
};

void reference(const LacunaPlanDesc& desc, const std::vector<float>& q, const std::vector<float>& k,
               const std::vector<float>& v, std::vector<double>& out, std::vector<double>& lse)
{
    Sentence sentence;
    std::vector<uint8_t> mask(uint64_t(desc.q_heads) * desc.q_len * desc.k_len);
    out.resize(uint64_t(desc.q_heads) * desc.q_len * desc.head_dim);
    lse.resize(uint64_t(desc.q_heads) * desc.q_len);
    LacunaResult result = lacunaReferenceMask(&desc, q.data(), k.data(), v.data(), 0, desc.q_len,
                                              mask.data(), Sentence::receive, &sentence);
    if (result >= 0)
        result = lacunaReferenceAttention(&desc, q.data(), k.data(), v.data(), 0, desc.q_len,
                                          mask.data(), out.data(), lse.data(), Sentence::receive,
                                          &sentence);
    if (result < 0)
        throw Error(result, sentence.text);
}

SelfTestRow runCase(Device& device, const Case& c, LacunaTier tier,
                    std::span<const LacunaOption> tuning = {})
{
    LacunaPlanDesc desc = planOf(c, tier);
    desc.tuning = tuning.data();
    desc.tuning_count = uint32_t(tuning.size());
    SelfTestRow row;
    row.tier = tierName(tier);
    row.shape = describe(desc);
    std::mt19937 random(1 + c.q_len * 7 + c.head_dim);
    const auto q = normals(random, uint64_t(desc.q_heads) * desc.q_len * desc.head_dim, desc.dtype);
    const auto k =
        normals(random, uint64_t(desc.kv_heads) * desc.k_len * desc.head_dim, desc.dtype);
    const auto v =
        normals(random, uint64_t(desc.kv_heads) * desc.k_len * desc.head_dim, desc.dtype);
    row.bound = outputBound(desc, tier, v);
    row.lse_bound = tier == LACUNA_TIER_COOPMAT && desc.dtype == LACUNA_DTYPE_F32 ? 2e-2 : 2e-5;
    try
    {
        const Result result = attend(device, desc, q, k, v);
        std::vector<double> out, lse;
        reference(desc, q, k, v, out, lse);
        row.error = maxError(result.out, out);
        row.lse_error = maxError(result.lse, lse);
    }
    catch (const Error& error)
    {
        if (error.result() != LACUNA_ERROR_UNSUPPORTED)
            throw;
        row.skipped = error.what();
    }
    return row;
}

// How the tier fails the quick self-test; empty: it passes.
std::string faultOf(Device& device, LacunaTier tier, std::span<const LacunaOption> tuning)
{
    for (const Case& c : kQuick)
    {
        const SelfTestRow row = runCase(device, c, tier, tuning);
        if (row.passed())
            continue;
        char text[320];
        std::snprintf(text, sizeof(text),
                      "it failed the known-answer self-test: %s is off by %.2g (at most %.2g), its "
                      "LSE by %.2g (at most %.2g)",
                      row.shape.c_str(), row.error, row.bound, row.lse_error, row.lse_bound);
        return text;
    }
    return {};
}

constexpr const char* kRegisters = "registers";
constexpr const char* kBroadcast = "broadcast";

// One line a failure: "coopmat<TAB>how".
std::string formatOutcome(const SelfTestOutcome& outcome)
{
    std::string text;
    for (const auto& [tier, reason] : outcome.refusals)
        text += std::string(tierName(tier)) + "\t" + reason + "\n";
    if (!outcome.registers_refusal.empty())
        text += std::string(kRegisters) + "\t" + outcome.registers_refusal + "\n";
    if (!outcome.broadcast_refusal.empty())
        text += std::string(kBroadcast) + "\t" + outcome.broadcast_refusal + "\n";
    return text;
}

SelfTestOutcome parseOutcome(const std::string& text)
{
    SelfTestOutcome outcome;
    std::istringstream lines(text);
    for (std::string what, how; std::getline(lines, what, '\t') && std::getline(lines, how);)
    {
        if (const auto tier = tierNamed(what))
            outcome.refusals.push_back({*tier, how});
        if (what == kRegisters)
            outcome.registers_refusal = how;
        if (what == kBroadcast)
            outcome.broadcast_refusal = how;
    }
    return outcome;
}

} // namespace

bool SelfTestRow::passed() const
{
    return !skipped.empty() || (error <= bound && lse_error <= lse_bound); // NaN fails
}

std::vector<LacunaTier> testedTiers(const Device& device)
{
    std::vector<LacunaTier> tiers = {LACUNA_TIER_SCALAR, LACUNA_TIER_COOPMAT};
    if (!device.info().is_cpu)
        tiers.push_back(LACUNA_TIER_COOPMAT2);
    return tiers;
}

std::vector<SelfTestRow> selfTest(Device& device, LacunaTier tier, bool thorough)
{
    std::vector<SelfTestRow> rows;
    for (const Case& c : kQuick)
        rows.push_back(runCase(device, c, tier));
    if (thorough)
        for (const Case& c : kThorough)
            rows.push_back(runCase(device, c, tier));
    return rows;
}

SelfTestOutcome testTiers(Device& device, const std::string& cache_key, const Notice& notice)
{
    const std::string name = "selftest-" + cache_key;
    const std::string tested =
        text([&](size_t* size, char* json)
             { return lacunaDescribeContext(device.context(), size, json); }) +
        "\n";
    if (const auto known = readCache(name))
    {
        const std::string file(reinterpret_cast<const char*>(known->data()), known->size());
        if (file.starts_with(tested))
            return parseOutcome(file.substr(tested.size()));
    }

    if (notice)
        notice("the first run on " + device.info().name + " with " + device.info().driver +
               " and these shaders: testing every tier, for up to a minute");
    constexpr LacunaOption kShared[] = {{"softmax", "shared"}};
    constexpr LacunaOption kWholeTiles[] = {{"softmax", "shared"}, {"rescale", "tile"}};
    SelfTestOutcome outcome;
    for (const LacunaTier tier : testedTiers(device))
    {
        const std::string fault = faultOf(device, tier, {});
        if (fault.empty())
            continue;
        if (tier == LACUNA_TIER_COOPMAT && faultOf(device, tier, kShared).empty())
            outcome.registers_refusal = fault;
        else if (tier == LACUNA_TIER_COOPMAT && faultOf(device, tier, kWholeTiles).empty())
            outcome.registers_refusal = outcome.broadcast_refusal = fault;
        else
            outcome.refusals.push_back({tier, fault});
    }
    const std::string file = tested + formatOutcome(outcome);
    writeCache(name, std::as_bytes(std::span(file)));
    return outcome;
}

} // namespace lacuna::host

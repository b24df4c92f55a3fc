// test_jit.cpp - the caller's own masks and scores in the kernels, against the same rules in double
// precision; and GLSL that does not compile.
// ctest: label=vk timeout=600
//
// SPDX-License-Identifier: Apache-2.0
#include "harness_mask.h"

#include <lacuna/jit.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>

using namespace lacuna;
using namespace lacuna::test;

namespace
{

constexpr double kInfinity = std::numeric_limits<double>::infinity();

struct DestroyMods
{
    void operator()(LacunaMods mods) const { lacunaDestroyMods(mods); }
};
using Mods = std::unique_ptr<LacunaMods_T, DestroyMods>;

// What the callback heard.
struct Heard
{
    LacunaResult result = LACUNA_SUCCESS;
    std::string text;

    static void receive(void* user, LacunaResult result, const char* text)
    {
        *static_cast<Heard*>(user) = {result, text};
    }
};

Mods compile(const char* mask, const char* score, Heard* heard = nullptr)
{
    Heard own;
    LacunaModsDesc desc = {};
    desc.header_version = LACUNA_VERSION;
    desc.mask_mod = mask;
    desc.score_mod = score;
    desc.mask_name = "mask.glsl";
    desc.score_name = "score.glsl";
    desc.message = Heard::receive;
    desc.message_user = heard ? heard : &own;
    LacunaMods mods = nullptr;
    const LacunaResult result = lacunaCompileMods(&desc, &mods);
    CHECK((result == LACUNA_SUCCESS) == (mods != nullptr));
    if (!heard)
    {
        INFO(own.text);
        REQUIRE(result == LACUNA_SUCCESS);
    }
    return Mods(mods);
}

// A rule in GLSL and in C++.
struct Rule
{
    const char* name;
    const char* mask; // may be null
    const char* score;
    std::function<bool(uint32_t b, uint32_t h, uint32_t q, uint32_t k)> keeps;
    std::function<double(double score, uint32_t b, uint32_t h, uint32_t q, uint32_t k)> scores;
};

bool keepsAll(uint32_t, uint32_t, uint32_t, uint32_t)
{
    return true;
}

double sameScore(double score, uint32_t, uint32_t, uint32_t, uint32_t)
{
    return score;
}

const Rule kRules[] = {
    {"causal", "bool mask_mod(uint b, uint h, uint q, uint k) { return k <= q; }", nullptr,
     [](auto, auto, auto q, auto k) { return k <= q; }, sameScore},
    {"documents of 37", "bool mask_mod(uint b, uint h, uint q, uint k) { return q / 37 == k / 37; }",
     nullptr, [](auto, auto, auto q, auto k) { return q / 37 == k / 37; }, sameScore},
    {"heads and batches",
     "bool mask_mod(uint b, uint h, uint q, uint k) { return (q + k + h + 2 * b) % 3 != 0; }",
     nullptr, [](auto b, auto h, auto q, auto k) { return (q + k + h + 2 * b) % 3 != 0; },
     sameScore},
    {"alibi", nullptr,
     "float score_mod(float score, uint b, uint h, uint q, uint k)\n"
     "{ return score - exp2(-4.0 * float(h + 1)) * abs(float(q) - float(k)); }",
     keepsAll,
     [](double score, auto, auto h, auto q, auto k)
     { return score - std::exp2(-4.0 * (h + 1)) * std::abs(double(q) - double(k)); }},
    {"soft cap", nullptr,
     "float score_mod(float score, uint b, uint h, uint q, uint k)\n"
     "{ return 3.0 * tanh(score / 3.0); }",
     keepsAll, [](double score, auto, auto, auto, auto) { return 3 * std::tanh(score / 3); }},
    {"causal alibi", "bool mask_mod(uint b, uint h, uint q, uint k) { return k <= q; }",
     "float slope(uint h) { return 0.25 / float(1 + h); }\n"
     "float score_mod(float score, uint b, uint h, uint q, uint k)\n"
     "{ return score + slope(h) * (float(k) - float(q)); }",
     [](auto, auto, auto q, auto k) { return k <= q; },
     [](double score, auto, auto h, auto q, auto k)
     { return score + 0.25 / (1 + h) * (double(k) - double(q)); }},
    {"infinite and NaN", nullptr,
     "float score_mod(float score, uint b, uint h, uint q, uint k)\n"
     "{\n"
     "    const float zero = abs(score) * 0.0;\n"
     "    return k % 5 == 1 ? -1.0 / zero : k % 5 == 2 ? uintBitsToFloat(0x7fc00000u)\n"
     "         : k % 5 == 3 ? uintBitsToFloat(0xff800000u) : score;\n"
     "}",
     [](auto, auto, auto, auto k) { return k % 5 == 0 || k % 5 == 4; }, sameScore},
    {"two keys of infinite score", nullptr,
     "float score_mod(float score, uint b, uint h, uint q, uint k)\n"
     "{ return k == 3 || k == 40 ? uintBitsToFloat(0x7f800000u) : score; }",
     [](auto, auto, auto, auto k) { return k == 3 || k == 40; },
     [](double, auto, auto, auto, auto) { return 0.0; }},
    {"nothing kept by some", "bool mask_mod(uint b, uint h, uint q, uint k) { return q % 7 < 3; }",
     "float score_mod(float score, uint b, uint h, uint q, uint k)\n"
     "{ return q % 7 == 0 ? uintBitsToFloat(0xff800000u) : score; }",
     [](auto, auto, auto q, auto) { return q % 7 == 1 || q % 7 == 2; }, sameScore},
};

struct Expected
{
    std::vector<double> out, lse;
};

// `mask` is the method's; scale and soft cap as the plan has them.
Expected expectedOf(const Case& c, const Inputs& in, const Rule& rule,
                    const std::vector<uint8_t>& mask)
{
    const Problem p = c.request().problem;
    Expected expected;
    for (uint32_t row = 0; row < p.heads() * p.q_len; ++row)
    {
        const uint32_t slice = row / p.q_len, query = row % p.q_len;
        const uint32_t batch = slice / p.q_heads, head = slice % p.q_heads;
        const size_t keys = size_t(batch * p.kv_heads + p.keyHead(head)) * p.k_len;
        std::vector<double> out(p.head_dim);
        double largest = -kInfinity, sum = 0;
        for (uint32_t key = 0; key < p.k_len; ++key)
        {
            if (!mask[size_t(row) * p.k_len + key] || !rule.keeps(batch, head, query, key))
                continue;
            double score = 0;
            for (uint32_t d = 0; d < p.head_dim; ++d)
                score += double(in.q[size_t(row) * p.head_dim + d]) *
                         in.k[(keys + key) * p.head_dim + d];
            score *= p.scale;
            if (p.soft_cap > 0)
                score = p.soft_cap * std::tanh(score / p.soft_cap);
            score = rule.scores(score, batch, head, query, key);
            const double new_largest = std::max(largest, score);
            const double shrink = std::exp(largest - new_largest);
            const double weight = std::exp(score - new_largest);
            largest = new_largest;
            sum = sum * shrink + weight;
            for (uint32_t d = 0; d < p.head_dim; ++d)
                out[d] = out[d] * shrink + weight * in.v[(keys + key) * p.head_dim + d];
        }
        for (const double value : out)
            expected.out.push_back(sum > 0 ? value / sum : 0);
        expected.lse.push_back(sum > 0 ? largest + std::log(sum) : -kInfinity);
    }
    return expected;
}

// fp16 operands and results cost 2^-11 each of the largest value.
void checkAgainst(const Expected& expected, const Output& output, bool has_lse)
{
    double error = 0, lse_error = 0;
    const auto difference = [](double a, double b)
    { return a == b ? 0 : std::isnan(a - b) ? kInfinity : std::abs(a - b); };
    for (size_t i = 0; i < expected.out.size(); ++i)
        error = std::max(error, difference(output.out[i], expected.out[i]));
    for (size_t i = 0; has_lse && i < expected.lse.size(); ++i)
        lse_error = std::max(lse_error, difference(output.lse[i], expected.lse[i]));
    INFO("error ", error, ", of LSE ", lse_error);
    CHECK(error <= 4e-3);
    CHECK(lse_error <= 2e-5);
}

Case caseOf(const std::string& method, const OptionValues& options, const LacunaVideoGrid& grid)
{
    Case c;
    c.method = method;
    c.options = options;
    c.desc.batch = 2;
    c.desc.q_heads = 2;
    c.desc.kv_heads = 1;
    c.desc.q_len = grid.text_before + grid.frames * grid.height * grid.width + grid.text_after;
    c.desc.head_dim = 40;
    c.desc.dtype = LACUNA_DTYPE_F16;
    c.desc.tier = LACUNA_TIER_SCALAR;
    if (grid.height > 1)
        c.desc.grid = grid;
    return c;
}

// Runs the rule in every kernel, twice.
void checkRule(Case c, const Rule& rule, LacunaTier tier, const char* work_keys = "0")
{
    const Mods mods = compile(rule.mask, rule.score);
    REQUIRE(lacunaApplyMods(mods.get(), &c.desc) == LACUNA_SUCCESS);
    c.desc.tier = tier;
    const LacunaOption tuning = {"work_keys", work_keys};
    c.desc.tuning = &tuning;
    c.desc.tuning_count = 1;
    const std::string id = std::string(rule.name) + " " + c.id() +
                           (tier == LACUNA_TIER_SCALAR ? "/scalar" : "/coopmat") +
                           "/work_keys=" + work_keys;
    INFO(id);
    if (!isWanted(id))
        return;
    const Inputs inputs = normalInputs(c, 31);
    try
    {
        const Output first = runOnDevice(c, inputs), second = runOnDevice(c, inputs);
        const std::vector<uint8_t> mask = first.kept.tokenMask();
        checkAgainst(expectedOf(c, inputs, rule, mask), first,
                     std::strcmp(rule.name, "two keys of infinite score") != 0);
        CHECK(first.out == second.out);
        CHECK(first.lse == second.lse);
        c.desc.max_workspace_bytes = 1; // parts, where there is a workspace
        const Output parts = runOnDevice(c, inputs);
        CHECK(first.out == parts.out);
        CHECK(first.lse == parts.lse);
    }
    catch (const Error& error)
    {
        REQUIRE(error.result() == LACUNA_ERROR_UNSUPPORTED);
        skip(id, error.what());
    }
}

} // namespace

TEST_CASE("own masks and scores agree with double precision")
{
    const Case dense = caseOf("dense", {}, {1, 1, 133, 0, 0});
    for (const Rule& rule : kRules)
        for (const LacunaTier tier : {LACUNA_TIER_SCALAR, LACUNA_TIER_COOPMAT})
            checkRule(dense, rule, tier);
}

TEST_CASE("own functions are given the caller's tokens, whatever the order of the method")
{
    const LacunaVideoGrid grid = {3, 6, 8, 5, 2};
    const Case cases[] = {
        caseOf("sliding_tile", {{"tile", "2x3x4"}, {"window", "3x3x1"}}, grid),
        caseOf("neighborhood", {{"window", "3x3x5"}}, grid),
        caseOf("svg1", {{"heads", "spatial,temporal"}}, grid),
        caseOf("paro", {}, grid),
        caseOf("block_topk", {{"keep_ratio", "0.5"}}, grid),
        caseOf("vorta", {}, grid),
        caseOf("causal", {{"window", "50"}, {"sinks", "3"}}, {1, 1, 150, 0, 0}),
    };
    for (const Case& c : cases)
        for (const LacunaTier tier : {LACUNA_TIER_SCALAR, LACUNA_TIER_COOPMAT})
            checkRule(c, kRules[5], tier);
}

TEST_CASE("own functions are given the batches and heads of all parts of a plan")
{
    Case c = caseOf("sliding_tile", {{"tile", "2x3x4"}, {"window", "3x3x1"}}, {3, 6, 8, 5, 2});
    c.desc.q_heads = 4;
    c.desc.kv_heads = 2;
    for (const Rule& rule : {kRules[2], kRules[3]})
        for (const LacunaTier tier : {LACUNA_TIER_SCALAR, LACUNA_TIER_COOPMAT})
            checkRule(c, rule, tier);
}

TEST_CASE("own functions in rows that are split, with a soft cap of the plan")
{
    Case c = caseOf("dense", {}, {1, 1, 301, 0, 0});
    c.desc.soft_cap = 2;
    checkRule(c, kRules[2], LACUNA_TIER_SCALAR, "64");
    checkRule(c, kRules[3], LACUNA_TIER_COOPMAT, "64");
}

TEST_CASE("own functions in the kernel with sums in fp16")
{
    Case c = caseOf("dense", {}, {1, 1, 133, 0, 0});
    c.desc.sums = LACUNA_SUMS_F16;
    Inputs inputs = normalInputs(c, 32);
    std::fill(inputs.q.begin(), inputs.q.end(), 0.f); // so that logits are exact
    const std::vector<uint8_t> mask = definitionOf(c, inputs);
    const Rule& rule = kRules[5];
    const Mods mods = compile(rule.mask, rule.score);
    REQUIRE(lacunaApplyMods(mods.get(), &c.desc) == LACUNA_SUCCESS);
    try
    {
        checkAgainst(expectedOf(c, inputs, rule, mask), runOnDevice(c, inputs), true);
    }
    catch (const Error& error)
    {
        REQUIRE(error.result() == LACUNA_ERROR_UNSUPPORTED);
        skip(c.id(), error.what());
    }
}

TEST_CASE("a plan tells that its kernel is not the library's own")
{
    Case c = caseOf("dense", {}, {1, 1, 16, 0, 0});
    const Mods mods = compile(kRules[0].mask, nullptr);
    std::vector<LacunaOption> storage;
    LacunaPlanDesc desc = c.description(storage);
    CHECK(host::Attention(device(), desc).explain().find("\"has_own_kernel\": false") !=
          std::string::npos);
    REQUIRE(lacunaApplyMods(mods.get(), &desc) == LACUNA_SUCCESS);
    CHECK(host::Attention(device(), desc).explain().find("\"has_own_kernel\": true") !=
          std::string::npos);

    const LacunaKernelCode other = {"attend_other", desc.kernels[0].words,
                                    desc.kernels[0].word_count};
    desc.kernels = &other;
    desc.kernel_count = 1;
    LacunaPlan plan = nullptr;
    CHECK(lacunaCreatePlan(device().context(), &desc, &plan) == LACUNA_ERROR_UNSUPPORTED);
    CHECK(plan == nullptr);
    desc.kernels = nullptr;
    CHECK(lacunaCreatePlan(device().context(), &desc, &plan) == LACUNA_ERROR_INVALID_ARGUMENT);
}

TEST_CASE("what does not compile is told with the caller's lines")
{
    const auto heardOf = [](const char* mask, const char* score)
    {
        Heard heard;
        CHECK(compile(mask, score, &heard) == nullptr);
        CHECK(heard.result == LACUNA_ERROR_INVALID_ARGUMENT);
        return heard.text;
    };
    const auto contains = [](const std::string& text, const char* part)
    {
        INFO(text);
        CHECK(text.starts_with("lacunaCompileMods: "));
        CHECK(text.find(part) != std::string::npos);
    };
    const char* const good = "bool mask_mod(uint b, uint h, uint q, uint k)\n{ return true; }\n";
    contains(heardOf("bool mask_mod(uint b, uint h, uint q, uint k)\n{\n    return wrong;\n}", nullptr),
             "mask.glsl:3: error: 'wrong' : undeclared identifier");
    contains(heardOf(good, "float score_mod(float score, uint b, uint h, uint q, uint k)\n"
                           "{ return score + ; }"),
             "score.glsl:2: error:");
    contains(heardOf("bool mask(uint q) { return true; }", nullptr),
             "mask.glsl: error: it defines no 'bool mask_mod(uint b, uint h, uint q, uint k)'");
    contains(heardOf("", nullptr), "it defines no 'bool mask_mod(");
    contains(heardOf(good, "float score_mod(float score) { return score; }"),
             "score.glsl: error: it defines no 'float score_mod(");
    contains(heardOf("uint mask_mod(uint b, uint h, uint q, uint k) { return 1; }", nullptr),
             "mask.glsl:1: error:");
    contains(heardOf("#include \"attend/none.glsl\"\n", nullptr), "there is no such file");
    contains(heardOf(nullptr, nullptr), "mask_mod and score_mod are NULL, expected at least one");

    CHECK(lacunaCompileMods(nullptr, nullptr) == LACUNA_ERROR_INVALID_ARGUMENT);
    LacunaModsDesc desc = {};
    desc.mask_mod = good;
    Heard heard;
    desc.message = Heard::receive;
    desc.message_user = &heard;
    LacunaMods mods = nullptr;
    CHECK(lacunaCompileMods(&desc, &mods) == LACUNA_ERROR_INVALID_ARGUMENT);
    contains(heard.text, "header_version is 0");
    desc.header_version = LACUNA_VERSION;
    CHECK(lacunaCompileMods(&desc, nullptr) == LACUNA_ERROR_INVALID_ARGUMENT);
    contains(heard.text, "mods is NULL");
    LacunaPlanDesc plan = {};
    CHECK(lacunaApplyMods(nullptr, &plan) == LACUNA_ERROR_INVALID_ARGUMENT);
    lacunaDestroyMods(nullptr);
}

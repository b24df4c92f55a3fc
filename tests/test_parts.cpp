// test_parts.cpp - plans that go through their heads in parts give what one part gives, in less
// memory. ctest: label=vk timeout=900 app
//
// SPDX-License-Identifier: Apache-2.0
#include "harness_attend.h"
#include "harness_mask.h"
#include "run_tool.h"

#include <nlohmann/json.hpp>

#include <cstring>

using namespace lacuna;
using namespace lacuna::test;
using Json = nlohmann::json;

namespace
{

// Two batches, and two query heads for each of two key heads: the smallest parts are four.
constexpr uint32_t kSmallestParts = 4;

Case makeCase(const char* method, OptionValues options)
{
    static const Kernel any = {LACUNA_TIER_AUTO, {}};
    Case c = makeCase(
        any, {.batch = 2, .q_heads = 4, .kv_heads = 2, .q_len = 253, .k_len = 253, .head_dim = 32},
        method);
    c.options = std::move(options);
    c.desc.grid = {5, 6, 8, 6, 7};
    return c;
}

std::vector<Case> staticCases()
{
    std::vector<Case> cases = {
        makeCase("sliding_tile", {{"tile", "2x3x4"}}),
        makeCase("sliding_tile", {{"tile", "2x3x4"}, {"window", "3x3x3*2,1x2x2,3x1x1"}}),
        makeCase("paro",
                 {{"block", "16"}, {"heads", "hwt,twh*3"}, {"map", "band,110/011/101*2,band"}}),
        makeCase("neighborhood", {}),
        makeCase("documents", {{"lengths", "100,0,153"}, {"causal", "bottom_right"}}),
        makeCase("dense", {}),
    };
    static const float sinks[] = {0.5f, -1, 2, 0};
    cases[1].desc.sink_logits = sinks;
    // Tokens outside of heads, with holes: parts begin inside of the tensors.
    cases[2].desc.q_strides = cases[2].desc.out_strides = tokenMajor(4, 253, 32);
    cases[2].desc.k_strides = cases[2].desc.v_strides = tokenMajor(2, 253, 32);
    return cases;
}

std::vector<Case> dynamicCases()
{
    std::vector<Case> cases = {
        makeCase("block_topk", {{"tile", "2x3x4"}}),
        makeCase("jenga", {{"block", "16"}, {"keep_ratio", "0.2"}}),
        makeCase("rainfusion2", {{"block", "16"}, {"window", "2"}}),
        makeCase("svg1",
                 {{"heads", "online,full,temporal,online"}, {"align", "16"}, {"rows", "5"}}),
        // In the second part of each batch no head has a coreset; each has tiles, and so one order.
        makeCase("vorta",
                 {{"heads", "coreset,sliding,full,sliding"}, {"tile", "2x3x4"}, {"window", "1x1x1"}}),
    };
    cases[0].desc.grid = {};
    cases[0].options = {{"block", "16"}};
    cases[1].desc.dtype = LACUNA_DTYPE_F32;
    return cases;
}

LacunaPlanInfo infoOf(const Case& c)
{
    std::vector<LacunaOption> storage;
    return host::Attention(device(), c.description(storage)).info();
}

bool same(const Output& a, const Output& b)
{
    return std::memcmp(a.out.data(), b.out.data(), a.out.size() * sizeof(float)) == 0 &&
           std::memcmp(a.lse.data(), b.lse.data(), a.lse.size() * sizeof(float)) == 0;
}

// In one part, in about half of the memory and in the smallest parts, twice each.
void checkParts(Case c, const Inputs& inputs, const std::vector<uint8_t>& mask,
                const GivenList& list = {})
{
    c.desc.max_workspace_bytes = UINT64_MAX;
    const Output whole = runOnDevice(c, inputs, list);
    checkAttention(c, inputs, mask, whole);
    const LacunaPlanInfo whole_info = infoOf(c);
    CHECK(whole_info.part_count == 1);
    for (const uint64_t limit : {whole_info.workspace_bytes * 5 / 8, uint64_t(1)})
    {
        c.desc.max_workspace_bytes = limit;
        const LacunaPlanInfo info = infoOf(c);
        INFO(info.part_count, " parts in ", info.workspace_bytes, " of ",
             whole_info.workspace_bytes, " bytes");
        CHECK(info.max_density == whole_info.max_density);
        if (whole_info.workspace_bytes <= limit)
            CHECK(info.part_count == 1);
        else if (limit == 1)
            CHECK(info.part_count == kSmallestParts);
        else
            CHECK((info.workspace_bytes <= limit || info.part_count == kSmallestParts));
        const Output first = runOnDevice(c, inputs, list);
        checkAttention(c, inputs, mask, first);
        CHECK(same(first, runOnDevice(c, inputs, list)));
        CHECK(same(first, whole));
    }
}

void checkOnEveryTier(Case c, Inputs inputs, const GivenList& list = {})
{
    for (std::vector<float>* tensor : {&inputs.q, &inputs.k, &inputs.v})
    {
        roundTo(LACUNA_DTYPE_F16, *tensor);
        roundTo(c.desc.dtype, *tensor);
    }
    const std::vector<uint8_t> mask =
        list.empty() ? definitionOf(c, inputs) : tokenMask(c.request().problem, list, 16);
    for (const Kernel& kernel : {Kernel{LACUNA_TIER_SCALAR, {}}, Kernel{LACUNA_TIER_COOPMAT, {}},
                                 Kernel{LACUNA_TIER_SCALAR, {{"work_keys", "8"}}}})
    {
        c.desc.tier = kernel.tier;
        c.desc.tuning = kernel.tuning.data();
        c.desc.tuning_count = uint32_t(kernel.tuning.size());
        const std::string id = kernel.text() + " " + c.id();
        INFO(id);
        if (isWanted(id) && canRun(kernel, c))
            checkParts(c, inputs, mask, list);
    }
}

// The sentence that a call fails with.
template <typename Call>
std::string refusal(const Call& call)
{
    try
    {
        call();
    }
    catch (const Error& error)
    {
        CHECK(error.result() == LACUNA_ERROR_UNSUPPORTED);
        return error.what();
    }
    return {};
}

} // namespace

TEST_CASE("parts: methods that decide by the shape")
{
    for (const Case& c : staticCases())
        checkOnEveryTier(c, normalInputs(c, 61));
}

TEST_CASE("parts: methods that decide on the device")
{
    for (const Case& c : dynamicCases())
        checkOnEveryTier(c, normalInputs(c, 62));
}

TEST_CASE("parts: the caller's own list")
{
    Case c = makeCase("key_spans", {{"block", "16"}});
    c.desc.grid = {};
    checkOnEveryTier(c, normalInputs(c, 63), hostileList(c.request().problem, 16));
}

TEST_CASE("parts: slices of any size give the same bits")
{
    for (const Case& dynamic : dynamicCases())
    {
        Case c = dynamic;
        c.desc.tier = LACUNA_TIER_SCALAR;
        c.desc.max_workspace_bytes = 1;
        INFO(c.id());
        if (!isWanted(c.id()))
            continue;
        const Problem p = c.request().problem;
        const Inputs in = normalInputs(c, 64);
        std::vector<LacunaOption> storage;
        const host::Attention attention(device(), c.description(storage));
        CHECK(attention.info().part_count == kSmallestParts);
        const auto upload = [&](const std::vector<float>& values)
        {
            const std::vector<std::byte> bytes = host::packFloats(values, p.dtype);
            host::Buffer buffer = device().createBuffer(bytes.size());
            device().upload(buffer, bytes);
            return buffer;
        };
        const host::Buffer q = upload(in.q), k = upload(in.k), v = upload(in.v), out = upload(in.q);
        LacunaAttentionBuffers buffers = {};
        buffers.q = q.memory();
        buffers.k = k.memory();
        buffers.v = v.memory();
        buffers.out = out.memory();
        const auto result = [&](const auto& record)
        {
            device().run(
                [&](host::Commands& commands)
                {
                    commands.fill(out, 0, out.size(), 0xffffffff);
                    commands.barrier();
                    record(commands);
                });
            std::vector<std::byte> bytes(out.size());
            device().download(out, bytes);
            return bytes;
        };
        const auto whole =
            result([&](host::Commands& commands) { attention.record(commands, buffers); });
        for (const double ms : {1e-9, 0.5, 1e9})
            CHECK(result([&](host::Commands& commands)
                         { attention.runSliced(commands, buffers, ms); }) == whole);
    }
}

TEST_CASE("parts: what needs all lists at once is refused, and told what it takes")
{
    Case c = makeCase("block_topk", {{"tile", "2x3x4"}});
    c.desc.tier = LACUNA_TIER_SCALAR;
    c.desc.max_workspace_bytes = UINT64_MAX;
    const uint64_t whole_bytes = infoOf(c).workspace_bytes;
    c.desc.max_workspace_bytes = whole_bytes;
    CHECK(infoOf(c).part_count == 1);
    c.desc.max_workspace_bytes = whole_bytes - 1;
    CHECK(infoOf(c).part_count == 2);
    c.desc.max_workspace_bytes = 7;

    const Inputs in = normalInputs(c, 65);
    std::vector<LacunaOption> storage;
    const host::Attention attention(device(), c.description(storage));
    const host::Buffer buffer = device().createBuffer(in.q.size() * 2);
    const LacunaMemory any = buffer.memory();
    const std::string sentence =
        "the plan goes through its heads in 4 parts, whose lists are never there together: "
        "max_workspace_bytes is 7, expected at least " +
        std::to_string(whole_bytes);
    device().run(
        [&](host::Commands& commands)
        {
            CHECK(refusal([&] { attention.recordSelect(commands, any, any); }) ==
                  "lacunaCmdSelect: " + sentence);
            CHECK(refusal([&] { attention.recordReuse(commands, any, any, any, any); }) ==
                  "lacunaCmdReuse: " + sentence);
        });
    CHECK(refusal([&] { attention.kept(); }) == "lacunaGetPlanList: " + sentence);
}

TEST_CASE("parts: the explanation counts them")
{
    Case c = dynamicCases().back(); // vorta
    c.desc.tier = LACUNA_TIER_SCALAR;
    c.desc.max_workspace_bytes = 1;
    std::vector<LacunaOption> storage;
    const host::Attention attention(device(), c.description(storage));
    const Json explained = Json::parse(attention.explain());
    CHECK(explained["parts"] == kSmallestParts);
    CHECK(explained["max_workspace_bytes"] == 1);
    CHECK(explained["workspace_bytes"] == attention.info().workspace_bytes);
    CHECK(explained["workspace_bytes"] < explained["whole_workspace_bytes"]);
    CHECK(explained["work"].get<std::string>().starts_with(
        "4 parts of at most 2 heads one after the other, "));
    uint32_t passes = 0;
    for (const Json& pass : explained["passes"])
    {
        CHECK(pass["parts"] == (pass["name"] == "coreset of the keys" ? 2 : 4));
        passes += pass["parts"].get<uint32_t>();
    }
    CHECK(passes == attention.info().pass_count);
}

TEST_CASE("parts: the tool checks what they give, and says how many there are")
{
    const Folder folder("test_parts_tool");
    const Ran ran = runTool(folder.path, "attend --method block_topk --set tile=2x3x4 --grid 5x6x8 "
                                         "--random 1x3x240x16 --max-workspace 1 --max-error 1e-3");
    INFO(ran.err);
    CHECK(ran.status == 0);
    CHECK(ran.out.find("parts      3 of the heads, one after the other in ") != std::string::npos);
    CHECK(ran.out.find("selection  0 of ") != std::string::npos);
}

TEST_CASE("parts: tens of thousands of heads make a thousand parts")
{
    Case c = makeCase("sliding_tile", {{"tile", "2x2x2"}});
    c.desc.grid = {2, 2, 3, 0, 0};
    c.desc.q_len = c.desc.k_len = 12;
    c.desc.head_dim = 8;
    c.desc.q_heads = c.desc.kv_heads = 10001;
    c.desc.max_workspace_bytes = 1;
    const LacunaPlanInfo info = infoOf(c);
    CHECK(info.part_count > 900);
    CHECK(info.part_count <= 1026);
}

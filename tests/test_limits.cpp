// test_limits.cpp - small shared memory, long sequences, many heads, and memory known beforehand.
// ctest: label=vk timeout=600
//
// SPDX-License-Identifier: Apache-2.0
#include "harness_attend.h"
#include "harness_mask.h"

#include "gpu/caps.h"
#include "passes/attend.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <cstring>
#include <functional>
#include <span>

using namespace lacuna;
using namespace lacuna::test;

namespace
{

const Kernel kScalar = {LACUNA_TIER_SCALAR, {}};
const Kernel kMatrix = {LACUNA_TIER_COOPMAT, {}};

// A GPU with one matrix shape.
Caps gpuWith(const MatrixShape& shape, uint32_t subgroup_size, uint32_t shared_bytes)
{
    Caps caps;
    caps.subgroup_size = caps.min_subgroup_size = caps.max_subgroup_size = subgroup_size;
    caps.has_one_subgroup_size = caps.can_pin_subgroup_size = true;
    caps.has_subgroup_shuffle = caps.has_subgroup_vote = true;
    caps.max_shared_bytes = shared_bytes;
    caps.max_threads = 1024;
    std::fill_n(caps.max_groups, 3, 65535u);
    caps.parallel_groups = 64;
    caps.has_f16_storage = caps.has_f16_arithmetic = caps.has_memory_model = true;
    caps.matrix_shapes = {shape};
    return caps;
}

Problem problemOf(uint32_t head_dim)
{
    Problem p;
    p.head_dim = head_dim;
    p.q_len = p.k_len = 4096;
    return p;
}

// Least shared memory that any tile of the shape takes.
bool fitsAtAll(const Caps& caps, const Problem& p, const MatrixShape& shape)
{
    const std::string keys = std::to_string(std::max({shape.n, shape.k, 16u}));
    const LacunaOption smallest[] = {
        {"strips", "1"}, {"slices", "1"}, {"tiles", "1"}, {"keys", keys.c_str()}};
    AttendChoice choice;
    std::string sentence;
    return chooseAttend(caps, p, LACUNA_TIER_COOPMAT, smallest, {}, choice, sentence) ==
           LACUNA_SUCCESS;
}

// The harness's device, with a description that is changed before use.
Context contextWith(Messages& messages, const std::function<void(LacunaContextDesc&)>& change)
{
    const host::Handles& h = device().handles();
    LacunaDeviceRequirements needs = {};
    REQUIRE(lacunaGetDeviceRequirements(h.get_instance_proc_addr, h.instance, h.physical_device,
                                        &needs, nullptr) == LACUNA_SUCCESS);
    VkDeviceCreateInfo info = {VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO};
    info.pNext = &needs.features;
    info.enabledExtensionCount = needs.extension_count;
    info.ppEnabledExtensionNames = needs.extensions;
    LacunaContextDesc desc = {};
    desc.header_version = LACUNA_VERSION;
    desc.get_instance_proc_addr = h.get_instance_proc_addr;
    desc.instance = h.instance;
    desc.physical_device = h.physical_device;
    desc.device = h.device;
    desc.device_info = &info;
    desc.message = Messages::receive;
    desc.message_user = &messages;
    change(desc);
    LacunaContext context = nullptr;
    messages.check(lacunaCreateContext(&desc, &context));
    return Context(context);
}

// One workgroup may use so much shared memory.
Context contextWith(Messages& messages, uint32_t shared_bytes)
{
    return contextWith(messages,
                       [&](LacunaContextDesc& desc) { desc.max_shared_bytes = shared_bytes; });
}

std::string describe(const Context& context)
{
    return text([&](size_t* size, char* to)
                { return lacunaDescribeContext(context.get(), size, to); });
}

// How `c` is explained, or the sentence with which it fails.
std::string explain(const Context& context, Messages& messages, const Case& c)
{
    std::vector<LacunaOption> storage;
    const LacunaPlanDesc desc = c.description(storage);
    LacunaPlan made = nullptr;
    try
    {
        messages.check(lacunaCreatePlan(context.get(), &desc, &made));
    }
    catch (const Error& error)
    {
        return error.what();
    }
    const Plan plan(made);
    return text([&](size_t* size, char* to) { return lacunaExplainPlan(made, size, to); });
}

struct Made
{
    LacunaPlanInfo info = {};
    double seconds = 0;
};

Made makePlan(const Case& c)
{
    std::vector<LacunaOption> storage;
    const LacunaPlanDesc desc = c.description(storage);
    const auto begin = std::chrono::steady_clock::now();
    const Plan plan = createPlan(device().context(), desc);
    const std::chrono::duration<double> time = std::chrono::steady_clock::now() - begin;
    Made made;
    made.seconds = time.count();
    REQUIRE(lacunaGetPlanInfo(plan.get(), &made.info) == LACUNA_SUCCESS);
    return made;
}

// A method at 75,600 tokens, the size of Wan at 480p and 81 frames, with about a tenth of the
// pairs.
Case wanCase(const Kernel& kernel, const char* method, const OptionValues& options,
             const LacunaVideoGrid& grid)
{
    Case c = makeCase(
        kernel, {.q_heads = 40, .kv_heads = 40, .q_len = 75600, .k_len = 75600, .head_dim = 128},
        method);
    c.options = options;
    c.desc.grid = grid;
    return c;
}

void checkWorkspace(const Case& c)
{
    if (!isWanted(c.id()))
        return;
    const Made made = makePlan(c);
    INFO(c.id(), ": ", made.info.workspace_bytes, " bytes, ", made.info.constants_bytes,
         " of constants, ", made.info.part_count, " parts, density ", made.info.max_density, ", ",
         made.seconds, " s");
    CHECK(made.info.workspace_bytes <= 256'000'000);
    CHECK(made.info.constants_bytes <= 64'000'000);
    CHECK(made.seconds < 20);
}

// The result at a few queries, on the device and by definition.
void checkSomeQueries(const Case& c, uint64_t seed)
{
    INFO(c.id());
    const Request request = c.request();
    const Problem& p = request.problem;
    const Inputs in = normalInputs(c, seed);
    const Output output = runOnDevice(c, in);
    for (const uint32_t query : {0u, p.q_len / 3, p.q_len / 2 + 17, p.q_len - 1})
    {
        std::vector<uint8_t> mask(size_t(p.heads()) * p.k_len);
        std::vector<double> out(size_t(p.heads()) * p.head_dim), lse(p.heads());
        request.method->reference(p, request.options, {in.q.data(), in.k.data()}, query, 1,
                                  mask.data());
        attendReference(p, in.q.data(), in.k.data(), in.v.data(), query, 1, mask.data(), out.data(),
                        lse.data());
        for (uint32_t head = 0; head < p.heads(); ++head)
        {
            const size_t row = size_t(head) * p.q_len + query;
            CHECK(std::abs(output.lse[row] - lse[head]) <= 1e-5);
            for (uint32_t d = 0; d < p.head_dim; ++d)
                CHECK(std::abs(output.out[row * p.head_dim + d] - out[head * p.head_dim + d]) <=
                      2e-5);
        }
    }
}

} // namespace

TEST_CASE("limits: a smaller tile before a slower tier, with 16, 32, 48 and 64 KiB")
{
    struct Gpu
    {
        MatrixShape shape;
        uint32_t subgroup_size;
    };
    const Gpu gpus[] = {{{16, 16, 16}, 32}, {{16, 16, 16}, 64}, {{16, 8, 16}, 32},
                        {{8, 16, 16}, 16},  {{8, 8, 16}, 8},    {{8, 8, 8}, 8}};
    for (const Gpu& gpu : gpus)
        for (const uint32_t kib : {16u, 32u, 48u, 64u})
            for (const uint32_t head_dim : {64u, 128u, 256u})
            {
                const Caps caps = gpuWith(gpu.shape, gpu.subgroup_size, kib * 1024);
                const Problem p = problemOf(head_dim);
                AttendChoice choice;
                std::string sentence;
                INFO(gpu.shape.m, "x", gpu.shape.n, "x", gpu.shape.k, " ", kib,
                     " KiB, D=", head_dim);
                REQUIRE(chooseAttend(caps, p, LACUNA_TIER_AUTO, {}, {}, choice, sentence) ==
                        LACUNA_SUCCESS);
                INFO(choice.tile.text);
                CHECK(choice.tile.shared_bytes <= caps.max_shared_bytes);
                CHECK((choice.variant->tier == LACUNA_TIER_COOPMAT) ==
                      fitsAtAll(caps, p, gpu.shape));
                if (choice.variant->tier == LACUNA_TIER_SCALAR)
                {
                    const std::string reason = choice.refusals.back().reason;
                    CHECK(reason.find("bytes of shared memory, the device has 16384") !=
                          std::string::npos);
                }
            }
    AttendChoice scalar;
    std::string sentence;
    CHECK(chooseAttend(gpuWith({16, 16, 16}, 32, 1024), problemOf(256), LACUNA_TIER_SCALAR, {}, {},
                       scalar, sentence) == LACUNA_SUCCESS);
}

TEST_CASE("limits: this device with less shared memory chooses smaller tiles, and computes right")
{
    Messages messages;
    uint32_t before = 0;
    for (const uint32_t kib : {16u, 24u, 32u})
    {
        const Context context = contextWith(messages, kib * 1024);
        for (const uint32_t head_dim : {64u, 128u, 256u})
        {
            Case c = makeCase({LACUNA_TIER_COOPMAT, {}}, {.head_dim = head_dim});
            std::vector<LacunaOption> storage;
            const LacunaPlanDesc desc = c.description(storage);
            LacunaPlan made = nullptr;
            const LacunaResult result = lacunaCreatePlan(context.get(), &desc, &made);
            const Plan plan(made);
            if (result == LACUNA_ERROR_UNSUPPORTED)
            {
                skip(c.id(), std::to_string(kib) + " KiB are too few, or there are no matrices");
                continue;
            }
            REQUIRE(result == LACUNA_SUCCESS);
            ++before;
        }
    }
    if (before == 0)
        return;
    host::Device small({.self_test = false, .tuned = false, .max_shared_bytes = 16 * 1024});
    for (const host::SelfTestRow& row : host::selfTest(small, LACUNA_TIER_COOPMAT, true))
    {
        INFO(row.tier, " ", row.shape, " error ", row.error, " LSE ", row.lse_error);
        if (!row.skipped.empty())
            skip(row.tier + " " + row.shape, row.skipped);
        CHECK(row.passed());
    }
}

TEST_CASE("limits: where loads with stride 0 are refused, coopmat rescales by whole tiles")
{
    Messages messages;
    const Context context = contextWith(messages, [](LacunaContextDesc& desc)
                                        { desc.broadcast_refusal = "repeats the wrong number"; });
    CHECK(describe(context).find("\"broadcast_refusal\": \"repeats the wrong number\"") !=
          std::string::npos);
    if (!canRun(kMatrix, makeCase(kMatrix, {})))
        return;
    CHECK(explain(context, messages, makeCase(kMatrix, {})).find("O rescaled by whole tiles") !=
          std::string::npos);
}

TEST_CASE("limits: coopmat has its softmax in registers with a probe, unless that is refused")
{
    const size_t bytes = lacunaGetProbeSize(device().context());
    if (bytes == 0)
        return skip("the probe", "there are no matrices");
    const host::Buffer results = device().createBuffer(bytes, host::Memory::Readback);
    device().run(
        [&](host::Commands& commands) {
            device().check(
                lacunaCmdProbe(commands.handle(), device().context(), results.address()));
        });
    std::vector<uint32_t> probe(bytes / sizeof(uint32_t));
    device().download(results, std::as_writable_bytes(std::span(probe)));

    Messages messages;
    const auto has = [](const std::string& text, const char* part)
    {
        return text.find(part) != std::string::npos;
    };
    const Case plain = makeCase(kMatrix, {});
    const Kernel registers = {LACUNA_TIER_COOPMAT, {{"softmax", "registers"}}};
    const Case forced = makeCase(registers, {});

    const Context without = contextWith(messages, [](LacunaContextDesc&) {});
    CHECK(has(describe(without), "the application brought no probe of the matrices"));
    CHECK(has(explain(without, messages, plain), "softmax through shared memory"));
    CHECK(has(explain(without, messages, forced),
              "softmax is registers, expected shared: the application brought no probe"));

    const auto bring = [&](LacunaContextDesc& desc)
    {
        desc.probe = probe.data();
        desc.probe_bytes = bytes;
    };
    const Context with = contextWith(messages, bring);
    CHECK(has(describe(with), "\"registers_refusal\": \"\""));
    CHECK(has(explain(with, messages, forced), "softmax in registers"));

    const Context refused = contextWith(messages,
                                        [&](LacunaContextDesc& desc)
                                        {
                                            bring(desc);
                                            desc.registers_refusal = "wrong on Tuesdays";
                                        });
    CHECK(has(describe(refused), "\"registers_refusal\": \"wrong on Tuesdays\""));
    CHECK(has(explain(refused, messages, plain), "softmax through shared memory"));
    CHECK(has(explain(refused, messages, forced),
              "softmax is registers, expected shared: wrong on Tuesdays"));
}

TEST_CASE("limits: more shared memory than there is")
{
    Messages messages;
    try
    {
        contextWith(messages, ~0u);
        FAIL("it was accepted");
    }
    catch (const Error& error)
    {
        CHECK(error.result() == LACUNA_ERROR_INVALID_ARGUMENT);
        CHECK(std::string(error.what())
                  .starts_with(
                      "lacunaCreateContext: max_shared_bytes is 4294967295, the device has "));
    }
}

TEST_CASE("limits: more heads than a dispatch has workgroups, where blocks are selected")
{
    // Text beside the video: a row that keeps all keys, and orders of their own.
    Case c = makeCase(
        kScalar,
        {.batch = 2, .q_heads = 33000, .kv_heads = 11000, .q_len = 5, .k_len = 5, .head_dim = 8},
        "block_topk");
    c.desc.grid = {1, 2, 2, 0, 1};
    c.options = {{"tile", "1x1x2"}, {"keep_ratio", "0.5"}};
    if (!isWanted(c.id()))
        return;
    const Request request = c.request();
    const Problem& p = request.problem;
    const Inputs in = normalInputs(c, 41);
    std::vector<uint8_t> mask(size_t(p.heads()) * p.q_len * p.k_len);
    request.method->reference(p, request.options, {in.q.data(), in.k.data()}, 0, p.q_len,
                              mask.data());
    runTwice(kScalar, c, in, mask);
}

TEST_CASE("limits: workspace of 75,600 tokens, 40 heads and 128 channels is known, and small")
{
    const std::pair<const char*, OptionValues> sequences[] = {
        {"causal", {{"window", "8000"}}},
        {"block_topk", {{"block", "128"}, {"keep_ratio", "0.1"}}},
        {"block_topk", {{"block", "64"}, {"keep_ratio", "0.1"}}},
        {"streaming", {{"radius", "60"}}},
        {"key_spans", {}},
    };
    const std::pair<const char*, OptionValues> videos[] = {
        {"block_topk", {{"tile", "4x4x4"}, {"keep_ratio", "0.1"}}},
        {"axial", {{"radius", "1"}}},
        {"svg1", {{"density", "0.1"}}},
        {"svg1", {{"density", "0.1"}, {"heads", "spatial*20,temporal*20"}}},
        {"sliding_tile", {{"window", "3x7x7"}}},
        {"radial", {{"decay", "0.05"}}},
        {"paro", {{"density", "0.1"}, {"heads", "hwt*15,thw*10,wth*15"}}},
        {"jenga", {{"keep_ratio", "0.1"}, {"top_p", "0"}}},
        {"rainfusion2", {{"keep_ratio", "0.1"}}},
        {"vorta", {{"heads", "coreset*20,sliding*20"}, {"merge", "0.9"}, {"window", "3x7x7"}}},
    };
    for (const Kernel& kernel : {kScalar, kMatrix})
    {
        if (!canRun(kernel, makeCase(kernel, {.head_dim = 128})))
            continue;
        for (const auto& [method, options] : sequences)
            checkWorkspace(wanCase(kernel, method, options, {}));
        for (const auto& [method, options] : videos)
            checkWorkspace(wanCase(kernel, method, options, {21, 45, 80, 0, 0}));
    }
}

TEST_CASE("limits: a million tokens")
{
    constexpr uint32_t kTokens = 1u << 20;
    Case c = makeCase(kScalar,
                      {.q_heads = 1,
                       .q_len = kTokens,
                       .k_len = kTokens,
                       .head_dim = 8,
                       .dtype = LACUNA_DTYPE_F32,
                       .out_dtype = LACUNA_DTYPE_F32},
                      "streaming");
    if (isWanted(c.id()))
        checkSomeQueries(c, 42);
    c.method = "sliding_tile"; // with an order of its own: K and V are copied
    c.desc.grid = {16, 256, 256, 0, 0};
    c.options = {{"window", "1x3x3"}};
    if (isWanted(c.id()))
        checkSomeQueries(c, 43);

    // The copies of 128 channels have more workgroups than one dimension of a dispatch.
    c.desc.head_dim = 128;
    const Made made = makePlan(c);
    INFO(made.seconds, " s");
    CHECK(made.info.part_count == 1); // the smallest one
    CHECK(made.info.workspace_bytes < (uint64_t(5) << 30) / 4);
    CHECK(made.seconds < 20);
}

// test_limits.cpp - kernels within what a device has: shared memory, trusted loads, probed layouts.
// ctest: label=vk timeout=600
//
// SPDX-License-Identifier: Apache-2.0
#include "harness_attend.h"

#include "gpu/caps.h"
#include "passes/attend.h"

#include <algorithm>
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
    caps.products.listed = {shape};
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

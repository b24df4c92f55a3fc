// test_misuse.cpp - every public entry called wrongly: the code, and the sentence that names the value.
//
// SPDX-License-Identifier: Apache-2.0
// ctest: label=vk timeout=300
#include "harness.h"

#include <cmath>
#include <functional>
#include <limits>

using namespace lacuna;
using namespace lacuna::test;

namespace
{

// The last thing that a callback heard.
struct Heard
{
    LacunaResult result = LACUNA_SUCCESS;
    std::string sentence;

    static void receive(void* user, LacunaResult result, const char* sentence)
    {
        *static_cast<Heard*>(user) = {result, sentence};
    }
};

// A context on the harness's device that tells `heard`.
struct OwnContext
{
    Heard heard;
    Context context;

    OwnContext()
    {
        LacunaContextDesc desc = description();
        LacunaContext made = nullptr;
        REQUIRE(lacunaCreateContext(&desc, &made) == LACUNA_SUCCESS);
        context.reset(made);
    }
    LacunaContextDesc description()
    {
        const host::Handles& h = device().handles();
        LacunaContextDesc desc = {};
        desc.header_version = LACUNA_VERSION;
        desc.get_instance_proc_addr = h.get_instance_proc_addr;
        desc.instance = h.instance;
        desc.physical_device = h.physical_device;
        desc.device = h.device;
        desc.message = Heard::receive;
        desc.message_user = &heard;
        return desc;
    }
};

LacunaPlanDesc goodPlan()
{
    LacunaPlanDesc desc = {};
    desc.method = "dense";
    desc.batch = 1;
    desc.q_heads = 2;
    desc.q_len = 16;
    desc.head_dim = 16;
    desc.dtype = LACUNA_DTYPE_F32;
    return desc;
}

struct WrongPlan
{
    const char* expected; // in the sentence
    std::function<void(LacunaPlanDesc&)> spoil;
};

const LacunaOption kUnknownOption[] = {{"keep", "1"}};
const LacunaOption kNullOption[] = {{nullptr, "1"}};
const LacunaOption kNullValue[] = {{"keep_ratio", nullptr}};
const LacunaOption kRatioTooLarge[] = {{"keep_ratio", "1.5"}};
const LacunaOption kRatioNaN[] = {{"keep_ratio", "nan"}};
const LacunaOption kRatioText[] = {{"keep_ratio", "much"}};
const LacunaOption kRatioTail[] = {{"keep_ratio", "0.5x"}};
const LacunaOption kRatioTwice[] = {{"keep_ratio", "0.5"}, {"keep_ratio", "0.5"}};
const LacunaOption kBadTile[] = {{"tile", "4x4"}};
const LacunaOption kZeroTile[] = {{"tile", "0x4x4"}};
const LacunaOption kHugeTile[] = {{"tile", "4x4x99999999999999999999"}};
const LacunaOption kThreeHeads[] = {{"heads", "spatial,temporal*2"}};
const LacunaOption kUnknownHead[] = {{"heads", "spatial,temporary"}};
const LacunaOption kNoHead[] = {{"heads", "spatial*0,full"}};
const LacunaOption kEmptyHead[] = {{"heads", "spatial,"}};
const LacunaOption kManyHeads[] = {{"heads", "spatial*65535,full"}};
const LacunaOption kUnknownTuning[] = {{"speed", "9"}};

void setOptions(LacunaPlanDesc& d, const char* method, const LacunaOption* options, uint32_t count = 1)
{
    d.method = method;
    d.options = options;
    d.option_count = count;
}

void makeVideo(LacunaPlanDesc& d)
{
    d.grid = {1, 4, 4, 0, 0};
}

const WrongPlan kWrongPlans[] = {
    {"method is '(null)', expected one of", [](auto& d) { d.method = nullptr; }},
    {"method is 'denze', expected one of dense", [](auto& d) { d.method = "denze"; }},
    {"batch is 0", [](auto& d) { d.batch = 0; }},
    {"q_heads is 0", [](auto& d) { d.q_heads = 0; }},
    {"q_heads is 4294967295", [](auto& d) { d.q_heads = ~0u; }},
    {"q_len is 0", [](auto& d) { d.q_len = 0; }},
    {"q_len is 4294967295", [](auto& d) { d.q_len = ~0u; }},
    {"k_len is 4294967295", [](auto& d) { d.k_len = ~0u; }},
    {"kv_heads is 3, expected a divisor of q_heads (2)", [](auto& d) { d.kv_heads = 3; }},
    {"head_dim is 0", [](auto& d) { d.head_dim = 0; }},
    {"head_dim is 20, expected a multiple of 8 in 8..256", [](auto& d) { d.head_dim = 20; }},
    {"head_dim is 264", [](auto& d) { d.head_dim = 264; }},
    {"dtype is 0", [](auto& d) { d.dtype = LacunaDtype(0); }},
    {"dtype is 7", [](auto& d) { d.dtype = LacunaDtype(7); }},
    {"out_dtype is 7", [](auto& d) { d.out_dtype = LacunaDtype(7); }},
    {"scale is -1", [](auto& d) { d.scale = -1; }},
    {"scale is nan", [](auto& d) { d.scale = std::numeric_limits<float>::quiet_NaN(); }},
    {"scale is inf", [](auto& d) { d.scale = std::numeric_limits<float>::infinity(); }},
    {"tier is 9", [](auto& d) { d.tier = LacunaTier(9); }},
    {"text tokens but no frames", [](auto& d) { d.grid = {0, 0, 0, 4, 0}; }},
    {"grid.height is 0", [](auto& d) { d.grid = {4, 0, 4, 0, 0}; }},
    {"grid has 17 tokens, but q_len is 16", [](auto& d) { d.grid = {1, 4, 4, 1, 0}; }},
    {"grid.frames is 4294967295", [](auto& d) { d.grid = {~0u, ~0u, ~0u, 0, 0}; }},
    {"q_strides.token is 12, expected a multiple of 8", [](auto& d) { d.q_strides = {512, 256, 12}; }},
    {"out_strides overlap", [](auto& d) { d.out_strides = {512, 16, 16}; }},
    {"options is NULL but option_count is 1", [](auto& d) { d.option_count = 1; }},
    {"tuning is NULL but tuning_count is 2", [](auto& d) { d.tuning_count = 2; }},
    {"has no option 'keep'; known: ", [](auto& d) { setOptions(d, "block_topk", kUnknownOption); }},
    {"has no option", [](auto& d) { setOptions(d, "block_topk", kNullOption); }},
    {"option 'keep_ratio'", [](auto& d) { setOptions(d, "block_topk", kNullValue); }},
    {"option 'keep_ratio' of method 'block_topk' is '1.5', expected",
     [](auto& d) { setOptions(d, "block_topk", kRatioTooLarge); }},
    {"is 'nan'", [](auto& d) { setOptions(d, "block_topk", kRatioNaN); }},
    {"is 'much'", [](auto& d) { setOptions(d, "block_topk", kRatioText); }},
    {"is '0.5x'", [](auto& d) { setOptions(d, "block_topk", kRatioTail); }},
    {"is given twice", [](auto& d) { setOptions(d, "block_topk", kRatioTwice, 2); }},
    {"needs a video grid", [](auto& d) { d.method = "sliding_tile"; }},
    {"option 'tile'", [](auto& d) { makeVideo(d), setOptions(d, "sliding_tile", kBadTile); }},
    {"option 'tile'", [](auto& d) { makeVideo(d), setOptions(d, "sliding_tile", kZeroTile); }},
    {"option 'tile'", [](auto& d) { makeVideo(d), setOptions(d, "sliding_tile", kHugeTile); }},
    {"option 'heads' of method 'svg1' is for 3 heads, expected 1 or 2",
     [](auto& d) { makeVideo(d), setOptions(d, "svg1", kThreeHeads); }},
    {"is 'spatial,temporary', expected one of spatial|temporal|full|online for all heads, or one for each",
     [](auto& d) { makeVideo(d), setOptions(d, "svg1", kUnknownHead); }},
    {"is 'spatial*0,full'", [](auto& d) { makeVideo(d), setOptions(d, "svg1", kNoHead); }},
    {"is 'spatial,'", [](auto& d) { makeVideo(d), setOptions(d, "svg1", kEmptyHead); }},
    {"'spatial*65535,full'", [](auto& d) { makeVideo(d), setOptions(d, "svg1", kManyHeads); }},
    {"'speed'", [](auto& d) { d.tuning = kUnknownTuning, d.tuning_count = 1; }},
};

bool contains(const std::string& text, const std::string& part)
{
    return text.find(part) != std::string::npos;
}

// One sentence, for a person: names the function, no line break.
void checkSentence(const Heard& heard, LacunaResult result, const std::string& function, const std::string& part)
{
    INFO("sentence: ", heard.sentence);
    CHECK(heard.result == result);
    CHECK(heard.sentence.starts_with(function + ": "));
    CHECK(contains(heard.sentence, part));
    CHECK(!contains(heard.sentence, "\n"));
}

// A plan with buffers that are right, and the command buffer to record into.
struct Recording
{
    OwnContext own;
    Plan plan;
    std::vector<host::Buffer> memory;
    LacunaAttentionBuffers buffers = {};

    Recording()
    {
        const LacunaPlanDesc desc = goodPlan();
        LacunaPlan made = nullptr;
        REQUIRE(lacunaCreatePlan(own.context.get(), &desc, &made) == LACUNA_SUCCESS);
        plan.reset(made);
        LacunaPlanInfo info = {};
        REQUIRE(lacunaGetPlanInfo(made, &info) == LACUNA_SUCCESS);
        const uint64_t tensor = 2 * 16 * 16 * 4;
        buffers.q = add(tensor);
        buffers.k = add(tensor);
        buffers.v = add(tensor);
        buffers.out = add(tensor);
        buffers.lse = add(2 * 16 * 4);
        buffers.constants = add(info.constants_bytes + 256);
        std::vector<std::byte> constants(info.constants_bytes); // the good recording is executed
        REQUIRE(lacunaWritePlanConstants(made, constants.data()) == LACUNA_SUCCESS);
        device().upload(memory.back(), constants);
        buffers.workspace = add(info.workspace_bytes + 256);
    }
    LacunaMemory add(uint64_t bytes)
    {
        memory.push_back(device().createBuffer(bytes));
        return memory.back().memory();
    }
    LacunaResult record(const LacunaAttentionBuffers* b)
    {
        LacunaResult result = LACUNA_SUCCESS;
        device().run([&](host::Commands& commands)
                     { result = lacunaCmdAttention(commands.handle(), plan.get(), b); });
        return result;
    }
};

struct WrongBuffers
{
    const char* expected;
    std::function<void(LacunaAttentionBuffers&)> spoil;
};

const WrongBuffers kWrongBuffers[] = {
    {"q.address is 0", [](auto& b) { b.q.address = 0; }},
    {"q.address is", [](auto& b) { b.q.address += 8; }},
    {"expected a multiple of 16", [](auto& b) { b.out.address += 4; }},
    {"k.size_bytes is 2047, the plan needs 2048", [](auto& b) { b.k.size_bytes = 2047; }},
    {"v.size_bytes is 0", [](auto& b) { b.v.size_bytes = 0; }},
    {"out.size_bytes is 1", [](auto& b) { b.out.size_bytes = 1; }},
    {"lse.size_bytes is 127, the plan needs 128", [](auto& b) { b.lse.size_bytes = 127; }},
    {"lse.address is", [](auto& b) { b.lse.address += 2; }},
    {"out overlaps q", [](auto& b) { b.out = b.q; }},
    {"out overlaps v", [](auto& b) { b.out = b.v; }},
    {"lse overlaps k", [](auto& b) { b.lse = b.k; }},
};

} // namespace

TEST_CASE("createContext: wrong versions, NULLs and refusals")
{
    OwnContext own;
    LacunaContext context = nullptr;
    LacunaContextDesc desc = own.description();
    CHECK(lacunaCreateContext(&desc, nullptr) == LACUNA_ERROR_INVALID_ARGUMENT);
    checkSentence(own.heard, LACUNA_ERROR_INVALID_ARGUMENT, "lacunaCreateContext", "context is NULL");

    const std::pair<const char*, std::function<void(LacunaContextDesc&)>> wrong[] = {
        {"header_version is 0", [](auto& d) { d.header_version = 0; }},
        {"header_version is 990000", [](auto& d) { d.header_version = 990000; }},
        {"NULL", [](auto& d) { d.get_instance_proc_addr = nullptr; }},
        {"NULL", [](auto& d) { d.instance = VK_NULL_HANDLE; }},
        {"NULL", [](auto& d) { d.physical_device = VK_NULL_HANDLE; }},
        {"NULL", [](auto& d) { d.device = VK_NULL_HANDLE; }},
        {"refusals is NULL", [](auto& d) { d.refusal_count = 1; }},
    };
    for (const auto& [expected, spoil] : wrong)
    {
        desc = own.description();
        spoil(desc);
        CHECK(lacunaCreateContext(&desc, &context) == LACUNA_ERROR_INVALID_ARGUMENT);
        CHECK(context == nullptr);
        checkSentence(own.heard, LACUNA_ERROR_INVALID_ARGUMENT, "lacunaCreateContext", expected);
    }
    const LacunaTierRefusal refusal = {LacunaTier(42), "odd"};
    desc = own.description();
    desc.refusals = &refusal;
    desc.refusal_count = 1;
    CHECK(lacunaCreateContext(&desc, &context) == LACUNA_ERROR_INVALID_ARGUMENT);
    checkSentence(own.heard, LACUNA_ERROR_INVALID_ARGUMENT, "lacunaCreateContext", "refusals[0].tier is 42");
}

TEST_CASE("getDeviceRequirements: NULLs")
{
    const host::Handles& h = device().handles();
    LacunaDeviceRequirements requirements;
    char reason[256];
    CHECK(lacunaGetDeviceRequirements(nullptr, h.instance, h.physical_device, &requirements, reason) ==
          LACUNA_ERROR_INVALID_ARGUMENT);
    CHECK(contains(reason, "NULL"));
    CHECK(lacunaGetDeviceRequirements(h.get_instance_proc_addr, h.instance, h.physical_device, nullptr, nullptr) ==
          LACUNA_ERROR_INVALID_ARGUMENT);
    CHECK(lacunaGetDeviceRequirements(h.get_instance_proc_addr, h.instance, h.physical_device, &requirements,
                                      reason) == LACUNA_SUCCESS);
    CHECK(reason[0] == '\0');
}

TEST_CASE("createPlan: every wrong value is named, and nothing is made")
{
    OwnContext own;
    for (const WrongPlan& wrong : kWrongPlans)
    {
        INFO("expected: ", wrong.expected);
        LacunaPlanDesc desc = goodPlan();
        wrong.spoil(desc);
        LacunaPlan plan = reinterpret_cast<LacunaPlan>(1);
        own.heard = {};
        CHECK(lacunaCreatePlan(own.context.get(), &desc, &plan) == LACUNA_ERROR_INVALID_ARGUMENT);
        CHECK(plan == nullptr);
        checkSentence(own.heard, LACUNA_ERROR_INVALID_ARGUMENT, "lacunaCreatePlan", wrong.expected);
    }
    LacunaPlan plan = nullptr;
    CHECK(lacunaCreatePlan(own.context.get(), nullptr, &plan) == LACUNA_ERROR_INVALID_ARGUMENT);
    checkSentence(own.heard, LACUNA_ERROR_INVALID_ARGUMENT, "lacunaCreatePlan", "desc is NULL");
    const LacunaPlanDesc desc = goodPlan();
    CHECK(lacunaCreatePlan(own.context.get(), &desc, nullptr) == LACUNA_ERROR_INVALID_ARGUMENT);
    checkSentence(own.heard, LACUNA_ERROR_INVALID_ARGUMENT, "lacunaCreatePlan", "plan is NULL");
}

TEST_CASE("createPlan: a refused tier is unsupported, with the caller's reason, and AUTO explains it")
{
    Heard heard;
    OwnContext own;
    LacunaContextDesc desc = own.description();
    const LacunaTierRefusal refusals[] = {{LACUNA_TIER_COOPMAT, "not trusted on Tuesdays"}};
    desc.refusals = refusals;
    desc.refusal_count = 1;
    LacunaContext made = nullptr;
    REQUIRE(lacunaCreateContext(&desc, &made) == LACUNA_SUCCESS);
    const Context context(made);
    LacunaPlanDesc plan_desc = goodPlan();
    plan_desc.tier = LACUNA_TIER_COOPMAT;
    LacunaPlan plan = nullptr;
    CHECK(lacunaCreatePlan(made, &plan_desc, &plan) == LACUNA_ERROR_UNSUPPORTED);
    checkSentence(own.heard, LACUNA_ERROR_UNSUPPORTED, "lacunaCreatePlan", "not trusted on Tuesdays");
    const std::string json = text([&](size_t* size, char* to) { return lacunaDescribeContext(made, size, to); });
    CHECK(contains(json, "not trusted on Tuesdays"));
}

TEST_CASE("probe: wrong arguments are named, and nothing is recorded")
{
    OwnContext own; // without matrices: its description names no feature
    CHECK(lacunaGetProbeSize(nullptr) == 0);
    CHECK(lacunaGetProbeSize(own.context.get()) == 0);
    const auto cmd = reinterpret_cast<VkCommandBuffer>(&own); // never touched
    CHECK(lacunaCmdProbe(cmd, nullptr, 4) == LACUNA_ERROR_INVALID_ARGUMENT);
    CHECK(lacunaCmdProbe(nullptr, own.context.get(), 4) == LACUNA_ERROR_INVALID_ARGUMENT);
    checkSentence(own.heard, LACUNA_ERROR_INVALID_ARGUMENT, "lacunaCmdProbe", "cmd is NULL");
    CHECK(lacunaCmdProbe(cmd, own.context.get(), 6) == LACUNA_ERROR_INVALID_ARGUMENT);
    checkSentence(own.heard, LACUNA_ERROR_INVALID_ARGUMENT, "lacunaCmdProbe", "results is 6");
    CHECK(lacunaCmdProbe(cmd, own.context.get(), 8) == LACUNA_ERROR_UNSUPPORTED);
    checkSentence(own.heard, LACUNA_ERROR_UNSUPPORTED, "lacunaCmdProbe",
                  "the device has no cooperative matrices to probe");

    const uint32_t words[8] = {};
    LacunaContextDesc desc = own.description();
    desc.probe = words;
    desc.probe_bytes = sizeof words;
    LacunaContext made = nullptr;
    CHECK(lacunaCreateContext(&desc, &made) == LACUNA_ERROR_INVALID_ARGUMENT);
    checkSentence(own.heard, LACUNA_ERROR_INVALID_ARGUMENT, "lacunaCreateContext",
                  "probe has 32 bytes, expected 0");
}

TEST_CASE("recording: every wrong buffer is named, and nothing is recorded")
{
    Recording good;
    CHECK(good.record(&good.buffers) == LACUNA_SUCCESS);
    for (const WrongBuffers& wrong : kWrongBuffers)
    {
        INFO("expected: ", wrong.expected);
        LacunaAttentionBuffers buffers = good.buffers;
        wrong.spoil(buffers);
        good.own.heard = {};
        CHECK(good.record(&buffers) == LACUNA_ERROR_INVALID_ARGUMENT);
        checkSentence(good.own.heard, LACUNA_ERROR_INVALID_ARGUMENT, "lacunaCmdAttention", wrong.expected);
    }
    CHECK(good.record(nullptr) == LACUNA_ERROR_INVALID_ARGUMENT);
    checkSentence(good.own.heard, LACUNA_ERROR_INVALID_ARGUMENT, "lacunaCmdAttention", "buffers is NULL");
    CHECK(lacunaCmdAttention(VK_NULL_HANDLE, good.plan.get(), &good.buffers) == LACUNA_ERROR_INVALID_ARGUMENT);
    checkSentence(good.own.heard, LACUNA_ERROR_INVALID_ARGUMENT, "lacunaCmdAttention", "cmd is NULL");
    CHECK(lacunaCmdSelect(VK_NULL_HANDLE, good.plan.get(), &good.buffers) == LACUNA_ERROR_INVALID_ARGUMENT);
    checkSentence(good.own.heard, LACUNA_ERROR_INVALID_ARGUMENT, "lacunaCmdSelect", "cmd is NULL");
    CHECK(lacunaCmdReuse(VK_NULL_HANDLE, good.plan.get(), &good.buffers) == LACUNA_ERROR_INVALID_ARGUMENT);
    checkSentence(good.own.heard, LACUNA_ERROR_INVALID_ARGUMENT, "lacunaCmdReuse", "cmd is NULL");
}

TEST_CASE("queries of a plan: NULLs and texts that are too small")
{
    Recording good;
    const LacunaPlan plan = good.plan.get();
    CHECK(lacunaGetPlanInfo(plan, nullptr) == LACUNA_ERROR_INVALID_ARGUMENT);
    checkSentence(good.own.heard, LACUNA_ERROR_INVALID_ARGUMENT, "lacunaGetPlanInfo", "info is NULL");
    CHECK(lacunaGetPlanList(plan, nullptr) == LACUNA_ERROR_INVALID_ARGUMENT);
    checkSentence(good.own.heard, LACUNA_ERROR_INVALID_ARGUMENT, "lacunaGetPlanList", "list is NULL");
    CHECK(lacunaWritePlanConstants(plan, nullptr) == LACUNA_ERROR_INVALID_ARGUMENT);
    checkSentence(good.own.heard, LACUNA_ERROR_INVALID_ARGUMENT, "lacunaWritePlanConstants", "constants is NULL");
    CHECK(lacunaExplainPlan(plan, nullptr, nullptr) == LACUNA_ERROR_INVALID_ARGUMENT);
    checkSentence(good.own.heard, LACUNA_ERROR_INVALID_ARGUMENT, "lacunaExplainPlan", "size is NULL");
    CHECK(lacunaDescribeContext(good.own.context.get(), nullptr, nullptr) == LACUNA_ERROR_INVALID_ARGUMENT);

    size_t needed = 0;
    CHECK(lacunaExplainPlan(plan, &needed, nullptr) == LACUNA_SUCCESS);
    char small[8] = "unseen";
    size_t size = 4;
    CHECK(lacunaExplainPlan(plan, &size, small) == LACUNA_INCOMPLETE);
    CHECK(size == needed);
    CHECK(std::string(small).size() == 3);
    size = 0;
    CHECK(lacunaExplainPlan(plan, &size, small) == LACUNA_INCOMPLETE);
}

TEST_CASE("the reference: ranges of queries and missing inputs")
{
    Heard heard;
    LacunaPlanDesc desc = goodPlan();
    const std::vector<float> x(2 * 16 * 16);
    std::vector<uint8_t> mask(2 * 16 * 16);
    std::vector<double> out(2 * 16 * 16);
    const auto maskOf = [&](uint32_t first, uint32_t count)
    { return lacunaReferenceMask(&desc, nullptr, nullptr, nullptr, first, count, mask.data(), Heard::receive, &heard); };
    CHECK(maskOf(0, 16) == LACUNA_SUCCESS);
    for (const auto& [first, count] : {std::pair(0u, 0u), {0u, 17u}, {16u, 1u}, {~0u, 2u}})
    {
        CHECK(maskOf(first, count) == LACUNA_ERROR_INVALID_ARGUMENT);
        checkSentence(heard, LACUNA_ERROR_INVALID_ARGUMENT, "lacunaReferenceMask", "queries " + std::to_string(first));
    }
    CHECK(lacunaReferenceAttention(&desc, x.data(), nullptr, x.data(), 0, 1, nullptr, out.data(), nullptr,
                                   Heard::receive, &heard) == LACUNA_ERROR_INVALID_ARGUMENT);
    checkSentence(heard, LACUNA_ERROR_INVALID_ARGUMENT, "lacunaReferenceAttention", "NULL");
    desc.method = "block_topk";
    CHECK(maskOf(0, 16) == LACUNA_ERROR_INVALID_ARGUMENT);
    checkSentence(heard, LACUNA_ERROR_INVALID_ARGUMENT, "lacunaReferenceMask", "q or k is NULL");
    desc.method = "key_spans";
    CHECK(maskOf(0, 16) == LACUNA_ERROR_UNSUPPORTED);
    checkSentence(heard, LACUNA_ERROR_UNSUPPORTED, "lacunaReferenceMask", "'key_spans'");
    CHECK(lacunaReferenceMask(nullptr, nullptr, nullptr, nullptr, 0, 1, mask.data(), nullptr, nullptr) ==
          LACUNA_ERROR_INVALID_ARGUMENT);
}

// ctest: label=vk timeout=300 app
// test_policy.cpp - policies: the file, the heads that a rule means, and the bits that come out.
//
// SPDX-License-Identifier: Apache-2.0
#include "harness.h"
#include "run_tool.h"

#include "lacuna/errors.h"
#include "lacuna/measure.h"
#include "lacuna/method_options.h"
#include "lacuna/registry.h"

using namespace lacuna;
using namespace lacuna::test;
using namespace lacuna::tool;
using Json = nlohmann::json;

namespace
{

Policy policyOf(const std::string& rules)
{
    return Policy::parse(R"({"lacuna_policy": 1, "rules": [)" + rules + "]}", "p.json");
}

// The sentence of whoever refuses `json`; bound to 10 steps, 4 layers and 3 heads.
std::string refusal(const std::string& json)
{
    try
    {
        Policy policy = Policy::parse(json, "p.json");
        policy.bind({10, 4, 3});
    }
    catch (const InputError& error)
    {
        return error.what();
    }
    return "";
}

void checkRefused(const std::string& json, const std::string& place, const std::string& expected)
{
    const std::string sentence = refusal(json);
    CAPTURE(json.substr(0, 200));
    CAPTURE(sentence);
    CHECK(sentence.starts_with("p.json"));
    CHECK(contains(sentence, place));
    CHECK(contains(sentence, expected));
    CHECK(sentence.size() < 500);
}

void checkRule(const std::string& rule, const std::string& place, const std::string& expected)
{
    checkRefused(R"({"lacuna_policy": 1, "rules": [{"method": "dense"}, )" + rule + "]}", place,
                 expected);
}

// Name of the method of each head: "dense streaming dense".
std::string methodsAt(const Policy& policy, uint32_t step, uint32_t layer)
{
    std::string names;
    for (const uint32_t choice : policy.choicesOf(step, layer))
        names += (names.empty() ? "" : " ") + policy.choices()[choice].method;
    return names;
}

} // namespace

TEST_CASE("later rules replace earlier ones; what no rule names is dense")
{
    Policy policy = policyOf(R"(
        {"layers": ["1-2"], "method": "streaming"},
        {"layers": ["2-"], "heads": [0, 2], "method": "block_topk", "density": 0.5},
        {"steps": ["0%-25%"], "method": "dense"},
        {"steps": [9], "layers": [3], "heads": ["1-"], "method": "radial"})");
    policy.bind({10, 4, 3});
    CHECK(methodsAt(policy, 0, 1) == "dense dense dense");
    CHECK(methodsAt(policy, 2, 2) == "dense dense dense"); // 20 % are before 25 %
    CHECK(methodsAt(policy, 3, 0) == "dense dense dense");
    CHECK(methodsAt(policy, 3, 1) == "streaming streaming streaming");
    CHECK(methodsAt(policy, 3, 2) == "block_topk streaming block_topk");
    CHECK(methodsAt(policy, 8, 3) == "block_topk dense block_topk");
    CHECK(methodsAt(policy, 9, 3) == "block_topk radial radial");
    CHECK(policy.denseSteps() == 3);
    CHECK(policy.isDense(5, 0));
    CHECK(!policy.isDense(5, 1));
    CHECK(!policy.isDense());

    policy.addDense(4, 2);
    policy.bind({10, 4, 3});
    CHECK(policy.denseSteps() == 4);
    CHECK(methodsAt(policy, 4, 1) == "dense dense dense");
    CHECK(methodsAt(policy, 4, 2) == "block_topk streaming block_topk");
    policy.addDense(10, 0);
    CHECK(policy.isDense());
}

TEST_CASE("percentages of any number of steps")
{
    for (const uint32_t steps : {1u, 3u, 7u, 40u})
    {
        Policy policy = policyOf(R"({"method": "streaming"},
            {"steps": ["0%-12.5%", "50%-100%"], "method": "dense"})");
        policy.bind({steps, 1, 1});
        for (uint32_t step = 0; step < steps; ++step)
            CHECK(policy.isDense(step) == (step * 8 < steps || step * 2 >= steps));
    }
}

TEST_CASE("density is the option of the method that says how much to keep")
{
    const Policy policy = policyOf(R"({"method": "block_topk", "density": 0.125},
        {"method": "svg1", "density": 0.5, "options": {"heads": "temporal", "sinks": 0}},
        {"method": "block_topk", "options": {"keep_ratio": "0.125"}})");
    REQUIRE(policy.choices().size() == 3); // the third rule says what the first one does
    CHECK(policy.choices()[1].name() == "block_topk keep_ratio=0.125");
    CHECK(policy.choices()[2].name() == "svg1 density=0.5 heads=temporal sinks=0");
}

TEST_CASE("hostile files")
{
    const std::string head = R"({"lacuna_policy": 1, "rules": [)";
    checkRefused("", "p.json", "not JSON");
    checkRefused("{\"lacuna_policy\": 1,", "p.json", "not JSON");
    checkRefused("\xff\xfe", "p.json", "not JSON");
    checkRefused("[]", "p.json", "expected an object");
    checkRefused("{}", "lacuna_policy is missing", "expected 1");
    checkRefused(R"({"lacuna_policy": 2, "rules": []})", "lacuna_policy is 2", "expected 1");
    checkRefused(R"({"lacuna_policy": 1})", "rules is missing", "expected an array");
    checkRefused(R"({"lacuna_policy": 1, "rules": {}})", "rules is {}", "expected an array");
    checkRefused(R"({"lacuna_policy": 1, "rules": [], "stepz": 3})", "\"stepz\"", "steps, layers");
    checkRefused(R"({"lacuna_policy": 1, "rules": [], "rules": []})", "\"rules\"", "twice");
    checkRefused(head + R"({"method": "dense", "method": "dense"}]})", "\"method\"", "twice");
    checkRefused(R"({"lacuna_policy": 1, "rules": [], "steps": 0})", "steps is 0", "1..1048576");
    checkRefused(R"({"lacuna_policy": 1, "rules": [], "steps": 1e3})", "steps is 1000.0",
                 "whole number");
    checkRefused(R"({"lacuna_policy": 1, "rules": [], "layers": 99999999999999999999999})",
                 "layers is ", "whole number");
    checkRefused(R"({"lacuna_policy": 1, "rules": [], "heads": 4})", "heads is 4", "expected 3");
    checkRefused(std::string(100000, '['), "p.json", "nested");
    std::string deep = R"({"a": )";
    for (int i = 0; i < 16; ++i)
        deep += deep;
    checkRefused(deep, "p.json", "nested");
    checkRefused(std::string(5u << 20, ' '), "5242880 bytes", "at most 4194304");
    std::string many = head + "{}";
    for (int i = 0; i < 65536; ++i)
        many += ",{}";
    checkRefused(many + "]}", "rules is [{}", "at most 65536 rules");
}

TEST_CASE("hostile rules")
{
    checkRule("7", "rules[1] is 7", "expected an object");
    checkRule("{}", "rules[1].method is missing", "lacuna methods");
    checkRule(R"({"method": 3})", "rules[1].method is 3", "lacuna methods");
    checkRule(R"({"method": "denze"})", "rules[1].method", "'denze', expected one of dense");
    checkRule(R"({"method": "key_spans"})", "rules[1].method is 'key_spans'", "from a program");
    checkRule(R"({"method": "dense", "order": "zigzag"})", "rules[1] has \"order\"",
              "heads, method");
    checkRule(R"({"method": "dense", "heads": 2})", "rules[1].heads is 2", "expected an array");
    checkRule(R"({"method": "dense", "heads": []})", "rules[1].heads is []", "expected an array");
    checkRule(R"({"method": "dense", "heads": [1, 3]})", "rules[1].heads[1] names 3", "0..2");
    checkRule(R"({"method": "dense", "layers": ["3-4"]})", "rules[1].layers[0] names 4", "0..3");
    checkRule(R"({"method": "dense", "layers": ["4-"]})", "rules[1].layers[0] names 4", "0..3");
    checkRule(R"({"method": "dense", "steps": [10]})", "rules[1].steps[0] names 10", "0..9");
    checkRule(R"({"method": "dense", "steps": [18446744073709551615]})", "rules[1].steps[0]",
              "0..9");
    for (const char* const index :
         {"-1",          "1.0",         "1e400000",       "99999999999999999999999",
          "null",        "[0]",         "\"\"",           "\"1\"",
          "\"-\"",       "\"-2\"",      "\"2-1\"",        "\"1-2-3\"",
          "\" 1-2\"",    "\"1-2 \"",    "\"1.5-2\"",      "\"1e1-20\"",
          "\"0x1-2\"",   "\"0%-2\"",    "\"0-2%\"",       "\"0%-\"",
          "\"0%-101%\"", "\"nan-inf\"", "\"0\\u0000-1\"", "\"5%\""})
    {
        CAPTURE(index);
        const std::string sentence =
            refusal(R"({"lacuna_policy": 1, "rules": [{"method": "dense", "steps": [)" +
                    std::string(index) + "]}]}");
        CHECK(sentence.starts_with("p.json"));
        CHECK((contains(sentence, "rules[0].steps[0]") || contains(sentence, "not JSON")));
    }
    checkRule(R"({"method": "dense", "heads": ["0%-50%"]})", "rules[1].heads[0]", "\"2-5\"");
    const std::string topk = R"({"method": "block_topk", )";
    checkRule(topk + R"("options": [1]})", "rules[1].options is [1]", "expected an object");
    checkRule(topk + R"("options": {"keep": 1}})", "rules[1].options",
              "'keep', expected one of tile");
    checkRule(topk + R"("options": {"keep_ratio": 1.5}})", "options.keep_ratio is 1.5", "0..1");
    checkRule(topk + R"("options": {"keep_ratio": "0.5x"}})", "options.keep_ratio", "0..1");
    checkRule(topk + R"("options": {"keep_ratio": "0.5\u0000"}})", "options.keep_ratio", "0..1");
    checkRule(topk + R"("options": {"keep_ratio": true}})", "keep_ratio is true",
              "a number in 0..1");
    checkRule(topk + R"("options": {"local_radius": 1.5}})", "local_radius is 1.5", "whole number");
    checkRule(topk + R"("options": {"tile": "4x4"}})", "options.tile is \"4x4\"",
              "FRAMESxROWSxCOLUMNS");
    checkRule(topk + R"("options": {"tile": [4, 4, 4]}})", "options.tile is [4,4,4]", "FRAMESx");
    checkRule(topk + R"("density": "0.5"})", "rules[1].density is \"0.5\"", "a number");
    checkRule(topk + R"("density": 2})", "rules[1].density is 2", "0..1");
    checkRule(topk + R"("density": 0.5, "options": {"keep_ratio": 0.5}})", "both given",
              "expected one");
    checkRule(R"({"method": "radial", "density": 0.5})", "rules[1].density", "its own options");
    checkRule(R"({"method": "svg1", "options": {"heads": "spatial,wide"}})", "options.heads",
              "spatial|temporal|full|online for all heads");
    checkRule(R"({"method": "svg1", "options": {"heads": "full*99999999999"}})", "options.heads",
              "as in a,b*3");
    checkRule(R"({"method": "sliding_tile", "options": {"window": "3x3x3,1x1"}})", "options.window",
              "FRAMESxROWSxCOLUMNS, each in 1..1024 for all heads");
    checkRule(R"({"method": "streaming", "options": {"direction": "up"}})", "direction is \"up\"",
              "one of both|back");
}

TEST_CASE("percentages need the number of steps, which the file may give")
{
    const std::string rule = R"({"steps": ["0%-50%"], "method": "streaming"})";
    Policy policy = policyOf(rule);
    CHECK_THROWS_AS(policy.bind({0, 0, 3}), InputError);
    policy =
        Policy::parse(R"({"lacuna_policy": 1, "steps": 4, "rules": [)" + rule + "]}", "p.json");
    policy.bind({0, 0, 3});
    CHECK(policy.sizes().steps == 4);
    CHECK(methodsAt(policy, 1, 7) == "streaming streaming streaming");
    CHECK(methodsAt(policy, 2, 7) == "dense dense dense");
    CHECK_THROWS_AS(policy.bind({5, 0, 3}), InputError);
}

TEST_CASE("lists with an entry for each head are cut to the heads of a run")
{
    CHECK(cutPerHead("a*2,b,c", 4, 1, 2) == "a,b");
    CHECK(cutPerHead("a*2,b,c", 4, 0, 4) == "a*2,b,c");
    CHECK(cutPerHead("a", 4, 2, 2) == "a");
    CHECK(cutPerHead("a,b", 4, 0, 2) ==
          "a,b"); // of another number of heads: the library refuses it
    CHECK(cutPerHead("a*4294967295,b", 4, 0, 2) == "a*4294967295,b");
    for (const Json& method : registry())
        for (const Json& option : method["options"])
        {
            CAPTURE(option["name"].get<std::string>());
            CHECK(!optionFault(option, option["default"]));
            CHECK(optionFault(option, "no such value"));
        }
}

// Policies over 4 query heads and 2 key heads, ragged lengths, two batches: each head has the bits
// that its method gives when it runs alone.
TEST_CASE("the bits of each head's method alone")
{
    const Qkv qkv = []
    {
        Qkv q = randomQkv("2x4x77x32", 3);
        q.k = randomQkv("2x2x77x32", 4).k;
        q.v = randomQkv("2x2x77x32", 4).v;
        return q;
    }();
    Policy policy = policyOf(R"({"heads": [1, 2], "method": "block_topk", "density": 0.3,
         "options": {"tile": "2x2x2"}},
        {"layers": [1], "method": "svg1", "options": {"heads": "spatial,temporal,full,temporal",
         "align": 1, "density": 0.2, "block": 5}},
        {"layers": [1], "heads": [2], "method": "sliding_tile",
         "options": {"tile": "2x2x2", "window": "1x1x1*2,1x3x3,1x1x1"}})");
    policy.bind({1, 2, 4});
    // Parts of 16 keys, or of what the kernel takes at once: rows are split and merged.
    const LacunaOption split = {"work_keys", "16"};
    for (const LacunaDtype dtype : {LACUNA_DTYPE_F16, LACUNA_DTYPE_F32})
        for (const LacunaTier tier : {LACUNA_TIER_SCALAR, LACUNA_TIER_AUTO})
        {
            LacunaPlanDesc shape = {};
            qkv.describe(shape);
            shape.grid = {3, 5, 5, 1, 1};
            shape.dtype = dtype;
            shape.out_dtype = LACUNA_DTYPE_F32;
            shape.tier = tier;
            shape.tuning = &split;
            shape.tuning_count = dtype == LACUNA_DTYPE_F16;
            HeadPlans plans(device(), shape, policy);
            // Layer 0: dense | top-k, which ends and begins inside of a group of heads | dense.
            // Layer 1: svg1 for a group | sliding_tile | svg1.
            const size_t launches[] = {4, 3};
            for (uint32_t layer = 0; layer < 2; ++layer)
            {
                CAPTURE(layer);
                CHECK(&plans.runs(0, layer) == &plans.runs(0, layer));
                REQUIRE(plans.runs(0, layer).size() == launches[layer]);
                Measurement together(device(), shape, qkv, plans.runs(0, layer));
                together.run();
                const std::vector<float> out = together.out();
                for (size_t i = 0; i < launches[layer]; ++i)
                {
                    const HeadRun& run = together.runs()[i];
                    for (uint32_t head = run.first; head < run.first + run.count; ++head)
                    {
                        CAPTURE(head);
                        HeadRun one = run;
                        one.first = head;
                        one.count = one.kv_count = 1;
                        LacunaPlanDesc alone = one.describe(shape);
                        alone.q_strides = alone.k_strides = alone.v_strides =
                            alone.out_strides = {};
                        const PlanOptions options(policy.choices()[run.choice], one, 4);
                        options.apply(alone);
                        Measurement single(device(), alone, qkv.heads(head, 1, head / 2, 1));
                        single.run();
                        CHECK(single.out() == cutHeads(out, 2, 4, head, 1));
                        CHECK(single.lse() ==
                              cutHeads(together.lse(i), 2, run.count, head - run.first, 1));
                    }
                }
            }
            CHECK(plans.runs(0, 0)[1].attention == plans.runs(0, 0)[2].attention);
            CHECK(plans.runs(0, 0)[0].attention == plans.runs(0, 0)[3].attention);
            CHECK(plans.denseRuns().size() == 1);
        }
}

TEST_CASE("an option that only the library can refuse is told with its rule")
{
    Policy policy = policyOf(R"({"method": "dense"}, {"method": "sliding_tile"})");
    policy.bind({1, 1, 2});
    LacunaPlanDesc shape = {};
    shape.batch = 1;
    shape.q_heads = 2;
    shape.q_len = 16;
    shape.head_dim = 16;
    shape.dtype = LACUNA_DTYPE_F16;
    HeadPlans plans(device(), shape, policy);
    std::string sentence;
    try
    {
        plans.runs(0, 0);
    }
    catch (const InputError& error)
    {
        sentence = error.what();
    }
    CHECK(sentence.starts_with("p.json: rules[1]: "));
    CHECK(contains(sentence, "needs a video grid"));
}

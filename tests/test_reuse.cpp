// test_reuse.cpp - ATTEND again, over the keys that an earlier recording kept.
// ctest: label=vk timeout=300
//
// SPDX-License-Identifier: Apache-2.0
#include "harness_mask.h"

using namespace lacuna;
using namespace lacuna::test;

namespace
{

host::Buffer uploaded(const std::vector<float>& values)
{
    host::Buffer buffer = device().createBuffer(values.size() * sizeof(float));
    device().upload(buffer, std::as_bytes(std::span(values)));
    return buffer;
}

std::vector<float> downloaded(const host::Buffer& buffer, size_t count)
{
    std::vector<float> values(count);
    device().download(buffer, std::as_writable_bytes(std::span(values)));
    return values;
}

Inputs halves(const Case& c, uint64_t seed)
{
    Inputs inputs = normalInputs(c, seed);
    for (std::vector<float>* tensor : {&inputs.q, &inputs.k, &inputs.v})
        roundTo(LACUNA_DTYPE_F16, *tensor); // as matrix cores do
    return inputs;
}

// Keeps by the values of `before`, then attends with those of `now`.
Output attendAgain(const Case& c, const Inputs& before, const Inputs& now, bool selects_only)
{
    std::vector<LacunaOption> storage;
    const host::Attention attention(device(), c.description(storage));
    const host::Buffer q = uploaded(before.q), k = uploaded(before.k), v = uploaded(before.v),
                       q_now = uploaded(now.q), k_now = uploaded(now.k), v_now = uploaded(now.v),
                       out = device().createBuffer(now.q.size() * sizeof(float)),
                       lse = device().createBuffer(c.desc.q_heads * c.desc.q_len * sizeof(float));
    device().run(
        [&](host::Commands& commands)
        {
            if (selects_only)
                attention.recordSelect(commands, q.memory(), k.memory(), v.memory());
            else
                attention.record(commands, q.memory(), k.memory(), v.memory(), out.memory(),
                                 lse.memory());
        });
    device().run(
        [&](host::Commands& commands)
        {
            attention.recordReuse(commands, q_now.memory(), k_now.memory(), v_now.memory(),
                                  out.memory(), lse.memory());
        });
    return {downloaded(out, now.q.size()), downloaded(lse, c.desc.q_heads * c.desc.q_len),
            attention.kept()};
}

} // namespace

TEST_CASE("reuse: new values under the keys that were kept before, for methods of every kind")
{
    const struct
    {
        const char* method;
        OptionValues options;
        bool is_static;
    } methods[] = {{"block_topk", {}, false},
                   {"rainfusion2", {{"block", "16"}, {"window", "2"}}, false},
                   {"jenga", {{"block", "16"}, {"keep_ratio", "0"}}, false},
                   {"vorta", {}, false}, // its order of the keys is made on the device
                   {"streaming", {}, true}};
    for (const auto& one : methods)
        for (const LacunaTier tier : {LACUNA_TIER_SCALAR, LACUNA_TIER_COOPMAT})
        {
            Case c;
            c.method = one.method;
            c.options = one.options;
            c.desc.batch = 1;
            c.desc.q_heads = 2;
            c.desc.q_len = 320;
            c.desc.head_dim = 32;
            c.desc.dtype = LACUNA_DTYPE_F32;
            c.desc.tier = tier;
            c.desc.grid = {5, 7, 9, 3, 2};
            const std::string id = c.id();
            INFO(id);
            const Inputs before = halves(c, 1), now = halves(c, 2);
            const std::vector<uint8_t> mask = definitionOf(c, before);
            CHECK((mask == definitionOf(c, now)) == one.is_static);
            try
            {
                for (const bool selects_only : {true, false})
                {
                    const Output output = attendAgain(c, before, now, selects_only);
                    CHECK(output.kept.tokenMask() == mask);
                    checkAttention(c, now, mask, output);
                }
            }
            catch (const Error& error)
            {
                REQUIRE(error.result() == LACUNA_ERROR_UNSUPPORTED);
                skip(id, error.what());
            }
        }
}

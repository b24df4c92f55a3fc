// test_logits.cpp - soft-capped logits and sink logits, on every kernel.
// ctest: label=vk timeout=240
//
// SPDX-License-Identifier: Apache-2.0
#include "harness_mask.h"

#include <cmath>
#include <limits>

using namespace lacuna;
using namespace lacuna::test;

namespace
{

constexpr float kNone = -std::numeric_limits<float>::infinity();

Case smallCase(uint32_t q_len, uint32_t k_len, LacunaDtype dtype)
{
    Case c;
    c.desc.batch = 2;
    c.desc.q_heads = 4;
    c.desc.kv_heads = 2;
    c.desc.q_len = q_len;
    c.desc.k_len = k_len;
    c.desc.head_dim = 64;
    c.desc.dtype = dtype;
    return c;
}

} // namespace

TEST_CASE("soft cap: logits far above and far below it")
{
    for (const float cap : {0.1f, 5.0f, 50.0f})
        for (const float factor : {1.0f, 40.0f})
        {
            Case c = smallCase(70, 333, LACUNA_DTYPE_F16);
            c.desc.soft_cap = cap;
            Inputs inputs = normalInputs(c, 1);
            for (float& q : inputs.q)
                q *= factor;
            roundTo(c.desc.dtype, inputs.q);
            CAPTURE(cap);
            CAPTURE(factor);
            checkOnEveryKernel(c, inputs);
        }
}

TEST_CASE("sink logits: loud, silent and missing ones")
{
    const float sinks[] = {0.5f, 20, -30, kNone};
    for (const LacunaDtype dtype : {LACUNA_DTYPE_F16, LACUNA_DTYPE_F32})
    {
        Case c = smallCase(70, 333, dtype);
        c.desc.sink_logits = sinks;
        checkOnEveryKernel(c, normalInputs(c, 2));
        c.desc.soft_cap = 2;
        checkOnEveryKernel(c, normalInputs(c, 3));
    }
}

TEST_CASE("sink logits: queries without keys hear the sink alone")
{
    const float sinks[] = {0.5f, 20, -30, kNone};
    Case c = smallCase(200, 90, LACUNA_DTYPE_F32);
    c.method = "causal"; // the first 110 queries keep nothing
    c.desc.sink_logits = sinks;
    const Inputs inputs = normalInputs(c, 4);
    checkOnEveryKernel(c, inputs);

    c.desc.tier = LACUNA_TIER_SCALAR;
    const Output output = runOnDevice(c, inputs);
    for (uint32_t head = 0; head < 8; ++head)
    {
        CHECK(output.out[size_t(head) * 200 * 64] == 0);
        const float lse = output.lse[size_t(head) * 200], sink = sinks[head % 4];
        CHECK((lse == sink || std::abs(lse - sink) <= 1e-6f * std::abs(sink)));
    }
}

TEST_CASE("wrong caps and sinks are refused with the value")
{
    const auto sentenceOf = [](const LacunaPlanDesc& desc)
    {
        Request request;
        std::string sentence;
        CHECK(makeRequest(&desc, request, sentence) == LACUNA_ERROR_INVALID_ARGUMENT);
        return sentence;
    };
    LacunaPlanDesc desc = smallCase(1, 1, LACUNA_DTYPE_F16).desc;
    desc.method = "dense";
    desc.soft_cap = -1;
    CHECK(sentenceOf(desc).find("soft_cap is -1") != std::string::npos);
    desc.soft_cap = std::numeric_limits<float>::infinity();
    CHECK(sentenceOf(desc).find("soft_cap is inf") != std::string::npos);
    desc.soft_cap = 0;
    const float sinks[] = {0, std::numeric_limits<float>::infinity(), 0, 0};
    desc.sink_logits = sinks;
    CHECK(sentenceOf(desc).find("sink_logits[1] is inf") != std::string::npos);
}

// test_bfloat16.cpp - bf16 inputs and results: selection and attention of methods that read Q and K
// before ATTEND, and numbers that fp16 cannot hold. ctest: label=vk timeout=240
//
// SPDX-License-Identifier: Apache-2.0
#include "harness_mask.h"

#include <algorithm>
#include <cmath>

using namespace lacuna;
using namespace lacuna::test;

namespace
{

Case bfloatCase(const char* method, const OptionValues& options)
{
    Case c;
    c.method = method;
    c.options = options;
    c.desc.batch = 2;
    c.desc.q_heads = 4;
    c.desc.kv_heads = 2;
    c.desc.q_len = 5 * 7 * 9 + 3;
    c.desc.head_dim = 40;
    c.desc.dtype = LACUNA_DTYPE_BF16;
    c.desc.grid = {5, 7, 9, 0, 3};
    return c;
}

} // namespace

TEST_CASE("bf16: every value survives, ties go to even, NaN stays NaN")
{
    for (uint32_t bits = 0; bits < 65536; ++bits)
    {
        const float value = host::fromBfloat16(uint16_t(bits));
        if (std::isnan(value))
            CHECK(std::isnan(host::fromBfloat16(host::toBfloat16(value))));
        else if (host::toBfloat16(value) != bits)
            FAIL("bf16 ", bits, " becomes ", host::toBfloat16(value));
    }
    CHECK(host::fromBfloat16(host::toBfloat16(1 + 0x1p-8f)) == 1);
    CHECK(host::fromBfloat16(host::toBfloat16(1 + 3 * 0x1p-8f)) == 1 + 0x1p-6f);
    CHECK(std::isinf(host::fromBfloat16(host::toBfloat16(3.4e38f))));
    CHECK(host::fromBfloat16(host::toBfloat16(0x1p-133f)) == 0x1p-133f);

    const std::vector<float> values = {1.5f, -0x1p100f, 0};
    CHECK(host::packFloats(values, LACUNA_DTYPE_BF16).size() == 6);
    for (const LacunaDtype dtype : {LACUNA_DTYPE_BF16, LACUNA_DTYPE_F32})
        CHECK(host::unpackFloats(host::packFloats(values, dtype), dtype) == values);
}

TEST_CASE("bf16: what is pooled, gathered, compared and attended")
{
    for (const Case& c : {bfloatCase("dense", {}), bfloatCase("block_topk", {{"keep_ratio", "0.3"}}),
                          bfloatCase("jenga", {}), bfloatCase("vorta", {{"heads", "coreset"}}),
                          bfloatCase("svg1", {{"heads", "online"}})})
        checkOnEveryKernel(c, normalInputs(c, 8));
}

TEST_CASE("bf16: numbers beyond fp16 are exact in the scalar tier, and the largest fp16 in matrices")
{
    Case c = bfloatCase("dense", {});
    c.desc.out_dtype = LACUNA_DTYPE_F32;
    Inputs inputs = normalInputs(c, 9);
    for (float& v : inputs.v)
        v *= 0x1p20f;
    c.desc.tier = LACUNA_TIER_SCALAR;
    checkAttention(c, inputs, {}, runOnDevice(c, inputs));

    c.desc.tier = LACUNA_TIER_COOPMAT;
    try
    {
        const Output output = runOnDevice(c, inputs);
        for (float& v : inputs.v)
            v = std::clamp(v, -65504.f, 65504.f);
        checkAttention(c, inputs, {}, output);
    }
    catch (const Error& error)
    {
        REQUIRE(error.result() == LACUNA_ERROR_UNSUPPORTED);
        skip(c.id(), error.what());
    }
}

// test_topk.cpp - the hard cases of block_topk: ties, NaN, very many blocks, very many heads.
// ctest: label=vk timeout=120
//
// SPDX-License-Identifier: Apache-2.0
#include "harness.h"

#include <algorithm>
#include <limits>

using namespace lacuna;
using namespace lacuna::test;

namespace
{

using OptionValues = std::vector<std::pair<std::string, std::string>>;

Case topkCase(uint32_t heads, uint32_t q_len, uint32_t k_len, const OptionValues& options)
{
    Case c;
    c.method = "block_topk";
    c.options = options;
    c.desc.batch = 1;
    c.desc.q_heads = heads;
    c.desc.q_len = q_len;
    c.desc.k_len = k_len;
    c.desc.head_dim = 8;
    c.desc.dtype = LACUNA_DTYPE_F16;
    c.desc.tier = LACUNA_TIER_SCALAR;
    return c;
}

// Small whole numbers: block means and scores are exact in fp32, and many are equal.
Inputs wholeNumbers(const Case& c, uint64_t seed)
{
    Inputs inputs = normalInputs(c, seed);
    Rng rng(seed);
    for (std::vector<float>* tensor : {&inputs.q, &inputs.k})
        for (float& value : *tensor)
            value = float(rng.below(3) - 1);
    return inputs;
}

// The device's selection must equal the definition exactly, ties included.
void checkExact(const Case& c, const Inputs& inputs)
{
    const std::string id = c.id();
    INFO(id);
    const Request request = c.request();
    const Problem& p = request.problem;
    std::vector<uint8_t> mask(size_t(p.heads()) * p.q_len * p.k_len);
    request.method->reference(p, request.options, {inputs.q.data(), inputs.k.data()}, 0, p.q_len, mask.data());
    CHECK(selectOnDevice(c, inputs).tokenMask() == mask);
}

} // namespace

TEST_CASE("equal scores are kept from the lowest block on")
{
    for (const char* ratio : {"0.1", "0.5", "0.97"})
        for (const char* radius : {"0", "2"})
        {
            const OptionValues options = {{"block", "4"}, {"keep_ratio", ratio}, {"local_radius", radius}};
            const Case c = topkCase(2, 100, 212, options);
            checkExact(c, wholeNumbers(c, 5));
            Inputs equal = normalInputs(c, 5);
            std::fill(equal.q.begin(), equal.q.end(), 1.0f);
            std::fill(equal.k.begin(), equal.k.end(), -1.0f);
            checkExact(c, equal);
        }
}

TEST_CASE("scores that are NaN come last, negative zero equals zero")
{
    const float nan = std::numeric_limits<float>::quiet_NaN();
    const Case c = topkCase(1, 40, 160, {{"block", "4"}, {"keep_ratio", "0.5"}});
    Inputs inputs = wholeNumbers(c, 6);
    Rng rng(6);
    for (int i = 0; i < 12; ++i)
        inputs.k[size_t(rng.below(160)) * 8] = nan;
    checkExact(c, inputs);

    for (float& value : inputs.k) // all but a few
        value = rng.below(100) == 0 ? 1.0f : nan;
    checkExact(c, inputs);

    for (float& value : inputs.q)
        value = 1;
    for (float& value : inputs.k)
        value = rng.below(2) == 0 ? 0.0f : -0.0f;
    checkExact(c, inputs);
}

TEST_CASE("thousands of blocks, and one")
{
    for (const char* ratio : {"0", "0.013", "0.6", "1"})
    {
        const Case many = topkCase(1, 3, 9001, {{"block", "1"}, {"keep_ratio", ratio}});
        checkExact(many, wholeNumbers(many, 7));
        const Case one = topkCase(1, 9, 5, {{"keep_ratio", ratio}});
        checkExact(one, wholeNumbers(one, 7));
    }
}

TEST_CASE("text beside the video is kept whatever its scores")
{
    Case c = topkCase(2, 331, 331, {{"tile", "2x2x2"}, {"keep_ratio", "0.1"}});
    c.desc.grid = {4, 8, 8, 5, 70};
    checkExact(c, wholeNumbers(c, 8));
}

TEST_CASE("more heads than a dispatch has workgroups")
{
    Case c = topkCase(32770, 4, 4, {{"tile", "2x1x1"}, {"keep_ratio", "0.5"}});
    c.desc.batch = 2;
    c.desc.grid = {2, 2, 1, 0, 0};
    const Inputs inputs = wholeNumbers(c, 9);
    checkExact(c, inputs);
    const Output output = runOnDevice(c, inputs);
    checkAttention(c, inputs, output.kept.tokenMask(), output);
}

// test_reference.cpp - the double-precision reference against numbers worked out by hand, and against itself.
// ctest: label=cpu timeout=60
//
// SPDX-License-Identifier: Apache-2.0
#include "harness.h"

#include <cmath>
#include <limits>

using namespace lacuna;

namespace
{

Problem problemOf(uint32_t heads, uint32_t kv_heads, uint32_t q_len, uint32_t k_len, double scale)
{
    Problem p;
    p.q_heads = heads;
    p.kv_heads = kv_heads;
    p.q_len = q_len;
    p.k_len = k_len;
    p.scale = scale;
    return p;
}

// Token i is `values[i]` in channel 0 and zero elsewhere.
std::vector<float> firstChannel(const std::vector<float>& values)
{
    std::vector<float> tokens(values.size() * 8);
    for (size_t i = 0; i < values.size(); ++i)
        tokens[i * 8] = values[i];
    return tokens;
}

struct Attended
{
    std::vector<double> out, lse;
};

Attended attendAll(const Problem& p, const std::vector<float>& q, const std::vector<float>& k,
                const std::vector<float>& v, const std::vector<uint8_t>& mask = {})
{
    Attended result;
    result.out.resize(size_t(p.heads()) * p.q_len * p.head_dim, -1);
    result.lse.resize(size_t(p.heads()) * p.q_len, -1);
    attendReference(p, q.data(), k.data(), v.data(), 0, p.q_len, mask.empty() ? nullptr : mask.data(),
                    result.out.data(), result.lse.data());
    return result;
}

} // namespace

TEST_CASE("two keys with weights 1/4 and 3/4")
{
    const float ln3 = std::log(3.0f);
    const Problem p = problemOf(1, 1, 1, 2, 0.5);
    const Attended a = attendAll(p, firstChannel({2}), firstChannel({0, ln3}), firstChannel({8, 4}));
    CHECK(a.out[0] == doctest::Approx(8 * 0.25 + 4 * 0.75).epsilon(1e-7));
    CHECK(a.out[1] == 0);
    CHECK(a.lse[0] == doctest::Approx(std::log(4.0)).epsilon(1e-7));
}

TEST_CASE("a query without keys gets 0 and minus infinity; a dropped key is not looked at")
{
    const float nan = std::numeric_limits<float>::quiet_NaN();
    const Problem p = problemOf(1, 1, 2, 2, 1);
    const Attended a = attendAll(p, firstChannel({1, 1}), firstChannel({0, nan}), firstChannel({5, nan}), {0, 0, 1, 0});
    for (int d = 0; d < 8; ++d)
        CHECK(a.out[d] == 0);
    CHECK(a.lse[0] == -std::numeric_limits<double>::infinity());
    CHECK(a.out[8] == 5);
    CHECK(a.lse[1] == 0);
}

TEST_CASE("huge logits neither overflow nor lose the largest")
{
    const Problem p = problemOf(1, 1, 1, 3, 1);
    const Attended a = attendAll(p, firstChannel({1000}), firstChannel({60, -60, 59}), firstChannel({1, 2, 3}));
    CHECK(a.out[0] == 1);
    CHECK(a.lse[0] == 60000);
}

TEST_CASE("heads of a group share their keys")
{
    const Problem p = problemOf(4, 2, 1, 1, 1);
    const Attended a = attendAll(p, firstChannel({1, 1, 1, 1}), firstChannel({3, 7}), firstChannel({30, 70}));
    const double out[4] = {30, 30, 70, 70}, lse[4] = {3, 3, 7, 7};
    for (int h = 0; h < 4; ++h)
    {
        CHECK(a.out[size_t(h) * 8] == out[h]);
        CHECK(a.lse[h] == lse[h]);
    }
}

TEST_CASE("a mask that keeps everything is dense, and a range of queries is a part of all")
{
    test::Case c;
    c.desc.batch = 2;
    c.desc.q_heads = 3;
    c.desc.q_len = 17;
    c.desc.k_len = 29;
    c.desc.head_dim = 24;
    c.desc.dtype = LACUNA_DTYPE_F32;
    const Problem p = c.request().problem;
    const test::Inputs in = test::normalInputs(c, 1);
    const Attended dense = attendAll(p, in.q, in.k, in.v);
    const Attended kept = attendAll(p, in.q, in.k, in.v, std::vector<uint8_t>(size_t(p.heads()) * 17 * 29, 1));
    CHECK(dense.out == kept.out);
    CHECK(dense.lse == kept.lse);

    std::vector<double> part(size_t(p.heads()) * 5 * 24);
    attendReference(p, in.q.data(), in.k.data(), in.v.data(), 7, 5, nullptr, part.data(), nullptr);
    for (size_t h = 0; h < p.heads(); ++h)
        for (size_t i = 0; i < 5 * 24; ++i)
            CHECK(part[h * 5 * 24 + i] == dense.out[(h * 17 + 7) * 24 + i]);
}

TEST_CASE("block_topk reference: the best block, ties to the lower one, NaN last")
{
    test::Case c;
    c.method = "block_topk";
    c.options = {{"block", "1"}, {"keep_ratio", "0.5"}};
    c.desc.batch = c.desc.q_heads = 1;
    c.desc.q_len = 1;
    c.desc.k_len = 4;
    c.desc.head_dim = 8;
    c.desc.dtype = LACUNA_DTYPE_F32;
    const Request request = c.request();
    const std::vector<float> q = firstChannel({2});
    const auto kept = [&](const std::vector<float>& keys)
    {
        std::vector<uint8_t> mask(4);
        const std::vector<float> k = firstChannel(keys);
        request.method->reference(request.problem, request.options, {q.data(), k.data()}, 0, 1, mask.data());
        return mask;
    };
    // One query block has its own place in the middle: key block 2 is always kept.
    const float nan = std::numeric_limits<float>::quiet_NaN();
    CHECK(kept({1, 5, 0, 3}) == std::vector<uint8_t>{0, 1, 1, 0});
    CHECK(kept({1, 1, 1, 1}) == std::vector<uint8_t>{1, 0, 1, 0});
    CHECK(kept({nan, -9, nan, nan}) == std::vector<uint8_t>{0, 1, 1, 0});
    CHECK(kept({nan, nan, 0, nan}) == std::vector<uint8_t>{1, 0, 1, 0});
}

// test_attend.cpp - every tier of ATTEND, with every tile that matters, against hostile lists and
// shapes. ctest: label=vk timeout=600
//
// SPDX-License-Identifier: Apache-2.0
//
// The bound is what rounding costs: a model of the same precision on the CPU makes an error, and
// the kernel may make twice that. Lists come through the method `key_spans`, so nothing but ATTEND
// runs.
#include "harness.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

using namespace lacuna;
using namespace lacuna::test;
using Span = host::Attention::Span;

namespace
{

// A tier with its tuning.
struct Kernel
{
    LacunaTier tier;
    std::vector<LacunaOption> tuning;

    std::string text() const
    {
        std::string text = tier == LACUNA_TIER_SCALAR ? "scalar" : "coopmat";
        for (const LacunaOption& option : tuning)
            text += std::string("/") + option.name + "=" + option.value;
        return text;
    }
};

const Kernel kScalar = {LACUNA_TIER_SCALAR, {}};
const Kernel kCoopmat = {LACUNA_TIER_COOPMAT, {}};

std::vector<Kernel> kernels()
{
    return {
        kScalar,
        {LACUNA_TIER_SCALAR,
         {{"split", "4"}, {"rows_per_lane", "1"}, {"keys", "4"}, {"widen", "off"}}},
        kCoopmat,
        {LACUNA_TIER_COOPMAT, {{"slices", "2"}, {"strips", "2"}, {"keys", "64"}}},
        {LACUNA_TIER_COOPMAT, {{"shape", "16x16x16"}}},
        {LACUNA_TIER_COOPMAT, {{"shape", "16x8x16"}}},
        {LACUNA_TIER_COOPMAT, {{"shape", "8x8x16"}}},
        {LACUNA_TIER_COOPMAT, {{"shape", "8x16x16"}}},
    };
}

struct Shape
{
    uint32_t batch = 1, q_heads = 2, kv_heads = 1, q_len = 65, k_len = 65, head_dim = 64;
    LacunaDtype dtype = LACUNA_DTYPE_F16;
    LacunaDtype out_dtype = LACUNA_DTYPE_F16;
};

Case makeCase(const Kernel& kernel, const Shape& s, const std::string& method = "dense")
{
    Case c;
    c.method = method;
    c.desc.batch = s.batch;
    c.desc.q_heads = s.q_heads;
    c.desc.kv_heads = s.kv_heads;
    c.desc.q_len = s.q_len;
    c.desc.k_len = s.k_len;
    c.desc.head_dim = s.head_dim;
    c.desc.dtype = s.dtype;
    c.desc.out_dtype = s.out_dtype;
    c.desc.tier = kernel.tier;
    c.desc.tuning = kernel.tuning.data();
    c.desc.tuning_count = uint32_t(kernel.tuning.size());
    return c;
}

// False, and counted, where the device cannot run the kernel: the plan says why.
bool canRun(const Kernel& kernel, const Case& c)
{
    try
    {
        std::vector<LacunaOption> storage;
        const host::Attention attention(device(), c.description(storage));
        return true;
    }
    catch (const Error& error)
    {
        if (error.result() != LACUNA_ERROR_UNSUPPORTED)
            throw;
        skip(kernel.text() + " " + c.id(), error.what());
        return false;
    }
}

float half(float value)
{
    return host::fromHalf(host::toHalf(value));
}

struct Row
{
    std::vector<double> out;
    double lse = 0;
    double largest_logit = 0;
};

// One query as the kernel computes it, in the kernel's precision and a plain order of sums.
Row modelRow(const Problem& p, const Inputs& in, const uint8_t* mask, uint32_t head, uint32_t query,
             bool is_matrix)
{
    const uint32_t batch = head / p.q_heads, d = p.head_dim;
    const size_t key_base = size_t(batch * p.kv_heads + p.keyHead(head % p.q_heads)) * p.k_len * d;
    const float* q = &in.q[(size_t(head) * p.q_len + query) * d];
    const auto operand = [&](float value)
    {
        return is_matrix ? half(value) : value;
    };
    std::vector<uint32_t> keys;
    std::vector<float> logits;
    float row_max = -1e30f;
    for (uint32_t key = 0; key < p.k_len; ++key)
        if (!mask || mask[key])
        {
            float sum = 0;
            for (uint32_t i = 0; i < d; ++i)
                sum += operand(q[i]) * operand(in.k[key_base + size_t(key) * d + i]);
            keys.push_back(key);
            logits.push_back(sum * float(p.scale * std::log2(std::exp(1.0))));
            row_max = std::max(row_max, logits.back());
        }

    std::vector<float> out(d);
    float sum = 0;
    Row row;
    for (size_t n = 0; n < keys.size(); ++n)
    {
        const float weight = std::exp2(logits[n] - row_max);
        sum += weight;
        for (uint32_t i = 0; i < d; ++i)
            out[i] += operand(weight) * operand(in.v[key_base + size_t(keys[n]) * d + i]);
        row.largest_logit = std::max(row.largest_logit, double(std::abs(logits[n])));
    }
    for (uint32_t i = 0; i < d; ++i)
    {
        const float value = keys.empty() ? 0 : out[i] / sum;
        row.out.push_back(p.out_dtype == LACUNA_DTYPE_F16 ? half(value) : value);
    }
    row.lse = keys.empty() ? -std::numeric_limits<double>::infinity()
                           : std::log(2.0) * (row_max + std::log2(sum));
    return row;
}

void checkRounding(const Case& c, const Inputs& in, const std::vector<uint8_t>& mask,
                   const Output& output)
{
    const Problem p = c.request().problem;
    std::vector<double> out(output.out.size()), lse(output.lse.size());
    attendReference(p, in.q.data(), in.k.data(), in.v.data(), 0, p.q_len,
                    mask.empty() ? nullptr : mask.data(), out.data(), lse.data());

    double error = 0, model_error = 0, lse_error = 0, model_lse_error = 0, v_max = 0, logit_max = 0;
    for (float v : in.v)
        v_max = std::max(v_max, double(std::abs(v))); // NaN compares false
    for (uint32_t row = 0; row < lse.size(); ++row)
    {
        const uint8_t* kept = mask.empty() ? nullptr : &mask[size_t(row) * p.k_len];
        const Row model =
            modelRow(p, in, kept, row / p.q_len, row % p.q_len, c.desc.tier == LACUNA_TIER_COOPMAT);
        const auto difference = [](double a, double b)
        {
            return a == b              ? 0
                   : std::isnan(a - b) ? std::numeric_limits<double>::infinity()
                                       : std::abs(a - b);
        };
        for (uint32_t i = 0; i < p.head_dim; ++i)
        {
            const size_t at = size_t(row) * p.head_dim + i;
            error = std::max(error, difference(output.out[at], out[at]));
            model_error = std::max(model_error, difference(model.out[i], out[at]));
        }
        lse_error = std::max(lse_error, difference(output.lse[row], lse[row]));
        model_lse_error = std::max(model_lse_error, difference(model.lse, lse[row]));
        logit_max = std::max(logit_max, model.largest_logit);
    }

    // Another order of sums, and exp2 with an error of a few ulps: a logit of size x is off by x
    // ulps.
    const double order = 0x1p-21 + 0x1p-22 * logit_max;
    INFO("error ", error, ", of the model ", model_error, ", of LSE ", lse_error);
    CHECK(error <= 2 * model_error + order * v_max);
    CHECK(lse_error <= std::max(1e-5, 2 * model_lse_error + order));
}

void runTwice(const Kernel& kernel, const Case& c, const Inputs& in,
              const std::vector<uint8_t>& mask, const GivenList& list = {})
{
    const std::string id = kernel.text() + " " + c.id();
    INFO(id);
    const Output output = runOnDevice(c, in, list);
    const Output again = runOnDevice(c, in, list);
    checkRounding(c, in, mask, output);
    CHECK(std::memcmp(output.out.data(), again.out.data(), output.out.size() * sizeof(float)) == 0);
    CHECK(std::memcmp(output.lse.data(), again.lse.data(), output.lse.size() * sizeof(float)) == 0);
}

// Rows of every hostile kind; the last keys are in no row.
constexpr uint32_t kBlock = 24; // queries of one row: no tile size divides it
constexpr uint32_t kUnusedKeys = 9;

std::vector<Span> hostileRow(Rng& rng, uint32_t kind, uint32_t keys)
{
    switch (kind % 6)
    {
    case 0:
        return {};
    case 1:
        return {{uint32_t(rng.below(int(keys))), 0}};
    case 2:
        return {{0, keys}};
    case 3: // every second key
    {
        std::vector<Span> row;
        for (uint32_t key = 1; key < keys; key += 2)
            row.push_back({key, key + 1});
        return row;
    }
    case 4:
        return {{0, 1}, {keys - 1, keys}};
    default: // ragged, begins anywhere
    {
        std::vector<Span> row;
        for (uint32_t key = uint32_t(rng.below(9)); key < keys;)
        {
            const uint32_t end = std::min(keys, key + 1 + uint32_t(rng.below(80)));
            row.push_back({key, end});
            key = end + 1 + uint32_t(rng.below(30));
        }
        return row;
    }
    }
}

GivenList hostileList(const Problem& p)
{
    Rng rng(7);
    GivenList list;
    const uint32_t rows = (p.q_len + kBlock - 1) / kBlock;
    for (uint32_t i = 0; i < p.heads() * rows; ++i)
    {
        std::vector<Span> row = hostileRow(rng, i + i / rows, p.k_len - kUnusedKeys);
        if (row.size() == 1 && row[0].end == 0)
            row[0].end = row[0].begin + 1;
        list.push_back(row);
    }
    return list;
}

std::vector<uint8_t> tokenMask(const Problem& p, const GivenList& list)
{
    const uint32_t rows = (p.q_len + kBlock - 1) / kBlock;
    std::vector<uint8_t> mask(size_t(p.heads()) * p.q_len * p.k_len);
    for (uint32_t head = 0; head < p.heads(); ++head)
        for (uint32_t query = 0; query < p.q_len; ++query)
            for (const Span& span : list[head * rows + query / kBlock])
                std::fill_n(&mask[(size_t(head) * p.q_len + query) * p.k_len + span.begin],
                            span.end - span.begin, 1);
    return mask;
}

// The layout of most models, with a hole behind every token.
LacunaStrides tokenMajor(uint32_t heads, uint32_t tokens, uint32_t head_dim)
{
    const uint64_t token = uint64_t(heads) * head_dim + 8;
    return {token * tokens, head_dim, token};
}

} // namespace

TEST_CASE("attend: hostile lists")
{
    for (const Kernel& kernel : kernels())
    {
        const Shape shape = {.batch = 2, .q_heads = 4, .kv_heads = 2, .q_len = 101, .k_len = 203};
        Case c = makeCase(kernel, shape, "key_spans");
        c.options = {{"block", std::to_string(kBlock)}};
        c.desc.q_strides = c.desc.out_strides =
            tokenMajor(shape.q_heads, shape.q_len, shape.head_dim);
        c.desc.k_strides = c.desc.v_strides =
            tokenMajor(shape.kv_heads, shape.k_len, shape.head_dim);
        if (!isWanted(kernel.text() + c.id()) || !canRun(kernel, c))
            continue;

        const Problem p = c.request().problem;
        const GivenList list = hostileList(p);
        const std::vector<uint8_t> mask = tokenMask(p, list);
        Inputs in = normalInputs(c, 1);
        const auto unused = [&](std::vector<float>& tensor)
        {
            for (uint32_t head = 0; head < p.batch * p.kv_heads; ++head)
                std::fill_n(tensor.begin() +
                                ptrdiff_t((size_t(head + 1) * p.k_len - kUnusedKeys) * p.head_dim),
                            kUnusedKeys * p.head_dim, std::numeric_limits<float>::quiet_NaN());
        };
        unused(in.k);
        unused(in.v);
        runTwice(kernel, c, in, mask, list);

        INFO("logits with an amplitude of 60");
        for (float& q : in.q)
            q *= 60;
        roundTo(p.dtype, in.q);
        runTwice(kernel, c, in, mask, list);

        INFO("ties");
        std::fill(in.q.begin(), in.q.end(), 0.f);
        runTwice(kernel, c, in, mask, list);
    }
}

TEST_CASE("attend: lengths")
{
    struct Lengths
    {
        uint32_t q, k;
    };
    for (const Kernel& kernel : {kScalar, kCoopmat})
        for (const Lengths n : {Lengths{1, 1}, {63, 63}, {64, 64}, {65, 65}, {1, 200}, {130, 7}})
        {
            const Case c =
                makeCase(kernel, {.q_heads = 3, .kv_heads = 3, .q_len = n.q, .k_len = n.k});
            if (isWanted(kernel.text() + c.id()) && canRun(kernel, c))
                runTwice(kernel, c, normalInputs(c, 2), {});
        }
}

TEST_CASE("attend: head dimensions")
{
    for (const Kernel& kernel : {kScalar, kCoopmat})
        for (const uint32_t head_dim : {8u, 24u, 40u, 72u, 128u, 256u})
        {
            const Case c = makeCase(kernel, {.head_dim = head_dim});
            if (isWanted(kernel.text() + c.id()) && canRun(kernel, c))
                runTwice(kernel, c, normalInputs(c, 3), {});
        }
}

TEST_CASE("attend: dtypes")
{
    struct Dtypes
    {
        LacunaDtype in, out;
    };
    for (const Kernel& kernel : {kScalar, kCoopmat})
        for (const Dtypes d : {Dtypes{LACUNA_DTYPE_F32, LACUNA_DTYPE_F32},
                               {LACUNA_DTYPE_F16, LACUNA_DTYPE_F32},
                               {LACUNA_DTYPE_F32, LACUNA_DTYPE_F16}})
        {
            const Case c = makeCase(kernel, {.head_dim = 40, .dtype = d.in, .out_dtype = d.out});
            if (isWanted(kernel.text() + c.id()) && canRun(kernel, c))
                runTwice(kernel, c, normalInputs(c, 4), {});
        }
}

TEST_CASE("attend: impossible tiles are refused with a reason")
{
    struct Wrong
    {
        Kernel kernel;
        const char* part;
    };
    const Wrong wrong[] = {
        {{LACUNA_TIER_SCALAR, {{"split", "3"}}}, "split is 3"},
        {{LACUNA_TIER_SCALAR, {{"speed", "9"}}}, "speed"},
        {{LACUNA_TIER_COOPMAT, {{"shape", "12x8x8"}}}, "12x8x8"},
        {{LACUNA_TIER_COOPMAT, {{"keys", "100"}}}, "100"},
        {{LACUNA_TIER_COOPMAT, {{"keys", "256"}, {"strips", "16"}}}, "shared memory"},
    };
    for (const Wrong& w : wrong)
    {
        if (w.kernel.tier == LACUNA_TIER_COOPMAT && !canRun(kCoopmat, makeCase(kCoopmat, {})))
            continue;
        const Case c = makeCase(w.kernel, {.head_dim = 256});
        std::vector<LacunaOption> storage;
        std::string sentence;
        try
        {
            const host::Attention attention(device(), c.description(storage));
        }
        catch (const Error& error)
        {
            sentence = error.what();
        }
        INFO(w.kernel.text(), ": ", sentence);
        CHECK(sentence.find(w.part) != std::string::npos);
    }
}

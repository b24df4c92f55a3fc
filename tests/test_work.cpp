// test_work.cpp - work items of ATTEND: rows of any length in parts, merged exactly.
// ctest: label=vk timeout=600
//
// SPDX-License-Identifier: Apache-2.0
#include "harness_attend.h"

#include "../shaders/shared/work.h"

#include <algorithm>
#include <cstring>

using namespace lacuna;
using namespace lacuna::test;
using Span = host::Attention::Span;

namespace
{

// Parts as short as the kernel can take them.
const Kernel kScalarParts = {LACUNA_TIER_SCALAR, {{"work_keys", "8"}}};
const Kernel kMatrixParts = {LACUNA_TIER_COOPMAT, {{"work_keys", "32"}}};
const Kernel kScalar = {LACUNA_TIER_SCALAR, {}};
const Kernel kMatrix = {LACUNA_TIER_COOPMAT, {}};

std::string explain(const Case& c)
{
    std::vector<LacunaOption> storage;
    return host::Attention(device(), c.description(storage)).explain();
}

bool sameBits(const Output& a, const Output& b)
{
    return std::memcmp(a.out.data(), b.out.data(), a.out.size() * sizeof(float)) == 0 &&
           std::memcmp(a.lse.data(), b.lse.data(), a.lse.size() * sizeof(float)) == 0;
}

} // namespace

TEST_CASE("work: parts are bounded, of nearly equal length, and fit their memory")
{
    Rng rng(3);
    for (int round = 0; round < 2000; ++round)
    {
        WorkLimits limits = {};
        limits.step = 1u << rng.below(7);
        limits.min_piece = limits.step * uint32_t(1 + rng.below(20));
        limits.target = uint32_t(1 + rng.below(300));
        limits.unit_shift = uint32_t(rng.below(6));
        limits.tile_rows = uint32_t(1 + rng.below(64));
        limits.k_len = uint32_t(1 + rng.below(1 << 14));
        std::vector<uint32_t> keys(size_t(1 + rng.below(50)));
        uint32_t units = 0;
        for (uint32_t& n : keys)
        {
            n = rng.below(4) == 0 ? limits.k_len : uint32_t(rng.below(int(limits.k_len) + 1));
            units += unitsOf(n, limits);
        }
        const uint32_t piece = pieceOf(units, limits);
        uint64_t slots = 0;
        for (const uint32_t n : keys)
        {
            const uint32_t length = partLength(n, piece, limits), parts = partCount(n, length);
            CHECK(uint64_t(parts) * length >= n);
            CHECK(length <= 2 * piece);
            if (parts == 1)
                continue;
            CHECK(parts >= 3);
            CHECK(length <= piece);
            CHECK(length % limits.step == 0);
            CHECK((parts - 1) * length < n);
            slots += parts;
        }
        CHECK(2 * slots <= 3 * uint64_t(limits.target));
    }
    for (uint32_t runs = 1; runs < 9; ++runs)
    {
        std::vector<bool> is_taken(runs * 5);
        for (uint32_t rank = 0; rank < is_taken.size(); ++rank)
            is_taken[placeOf(rank, uint32_t(is_taken.size()), runs)] = true;
        CHECK(std::count(is_taken.begin(), is_taken.end(), true) == int(is_taken.size()));
    }
}

TEST_CASE("work: hostile lists in short parts")
{
    constexpr uint32_t kBlock = 24;
    const Kernel split = {
        LACUNA_TIER_SCALAR,
        {{"split", "4"}, {"rows_per_lane", "1"}, {"widen", "off"}, {"work_keys", "16"}}};
    for (const Kernel& kernel : {kScalarParts, split, kMatrixParts})
    {
        const Shape shape = {.batch = 2, .q_heads = 4, .kv_heads = 2, .q_len = 101, .k_len = 203};
        Case c = makeCase(kernel, shape, "key_spans");
        c.options = {{"block", std::to_string(kBlock)}};
        c.desc.out_strides = tokenMajor(shape.q_heads, shape.q_len, shape.head_dim);
        if (!isWanted(kernel.text() + c.id()) || !canRun(kernel, c))
            continue;
        CHECK(explain(c).find("merge split rows") != std::string::npos);

        const Problem p = c.request().problem;
        const GivenList list = hostileList(p, kBlock);
        Inputs in = normalInputs(c, 11);
        spoilUnused(p, in.k);
        spoilUnused(p, in.v);
        runTwice(kernel, c, in, tokenMask(p, list, kBlock), list);

        INFO("logits with an amplitude of 60");
        for (float& q : in.q)
            q *= 60;
        roundTo(p.dtype, in.q);
        runTwice(kernel, c, in, tokenMask(p, list, kBlock), list);
    }
}

TEST_CASE("work: few queries and many keys")
{
    struct Few
    {
        uint32_t heads, q_len, k_len, head_dim;
        LacunaDtype out;
    };
    for (const Kernel& kernel : {kScalar, kScalarParts, kMatrix, kMatrixParts})
        for (const Few& few :
             {Few{1, 1, 3001, 64, LACUNA_DTYPE_F16}, {3, 5, 1030, 40, LACUNA_DTYPE_F32}})
        {
            const Case c = makeCase(kernel, {.q_heads = few.heads,
                                             .kv_heads = few.heads,
                                             .q_len = few.q_len,
                                             .k_len = few.k_len,
                                             .head_dim = few.head_dim,
                                             .out_dtype = few.out});
            if (!isWanted(kernel.text() + c.id()) || !canRun(kernel, c))
                continue;
            CHECK(explain(c).find("merge split rows") != std::string::npos);
            runTwice(kernel, c, normalInputs(c, 12), {});
        }
}

TEST_CASE("work: one row with all keys, the others with two blocks")
{
    constexpr uint32_t kBlock = 64, kKeys = 4096;
    for (const Kernel& kernel : {kScalar, kMatrix})
    {
        Case c = makeCase(kernel, {.q_heads = 2, .kv_heads = 2, .q_len = 640, .k_len = kKeys},
                          "key_spans");
        c.options = {{"block", std::to_string(kBlock)}};
        if (!isWanted(kernel.text() + c.id()) || !canRun(kernel, c))
            continue;
        const Problem p = c.request().problem;
        const uint32_t rows = p.q_len / kBlock;
        GivenList list;
        for (uint32_t i = 0; i < p.heads() * rows; ++i)
        {
            const uint32_t first = i * 2 * kBlock;
            list.push_back({{first, first + kBlock}, {first + 3 * kBlock, first + 4 * kBlock}});
        }
        list[rows + 3] = {{0, kKeys}};
        runTwice(kernel, c, normalInputs(c, 13), tokenMask(p, list, kBlock), list);
    }
}

TEST_CASE("work: items of the host and of the device give the same bits")
{
    for (const Kernel& kernel : {kScalarParts, kMatrixParts})
    {
        const Shape shape = {.q_heads = 1, .q_len = 150, .k_len = 777};
        const Case host = makeCase(kernel, shape, "dense");
        Case given = makeCase(kernel, shape, "key_spans");
        given.options = {{"block", "150"}};
        if (!isWanted(kernel.text() + host.id()) || !canRun(kernel, host))
            continue;
        CHECK(explain(host).find("places of work items") == std::string::npos);
        CHECK(explain(given).find("places of work items") != std::string::npos);
        const Inputs in = normalInputs(host, 14);
        CHECK(sameBits(runOnDevice(host, in), runOnDevice(given, in, {{{0, 777}}})));
    }
}

TEST_CASE("work: rows that are alike are not split, and no pass looks for long ones")
{
    const auto work = [](const LacunaVideoGrid& grid)
    {
        const uint32_t tokens = grid.text_before + grid.frames * grid.height * grid.width;
        Case c = makeCase(kScalar, {.q_len = tokens, .k_len = tokens}, "block_topk");
        c.desc.grid = grid;
        c.options = {{"keep_ratio", "0.05"}};
        return explain(c);
    };
    const std::string even = work({1, 24, 24, 0, 0}), text = work({1, 24, 24, 5, 0});
    CHECK(even.find("no row is split") != std::string::npos);
    CHECK(even.find("merge split rows") == std::string::npos);
    CHECK(text.find("items made on the device") != std::string::npos); // text keeps all keys
    CHECK(explain(makeCase(kScalar, {.q_len = 2048, .k_len = 2048})).find(
              " 0 tiles of queries are split") != std::string::npos);
}

TEST_CASE("work: static and dynamic methods in parts, in an order of their own")
{
    for (const Kernel& kernel : {kScalarParts, kMatrixParts})
        for (const char* method : {"sliding_tile", "block_topk"})
        {
            Case c = makeCase(kernel, {.q_heads = 2, .q_len = 253, .k_len = 253}, method);
            c.desc.grid = {5, 6, 8, 6, 7};
            c.options = {{"tile", "2x3x4"}};
            if (!isWanted(kernel.text() + c.id()) || !canRun(kernel, c))
                continue;
            CHECK(explain(c).find("merge split rows") != std::string::npos);
            const Request request = c.request();
            const Problem& p = request.problem;
            const Inputs in = normalInputs(c, 15);
            std::vector<uint8_t> mask(size_t(p.heads()) * p.q_len * p.k_len);
            request.method->reference(p, request.options, {in.q.data(), in.k.data(), in.v.data()}, 0, p.q_len,
                                      mask.data());
            runTwice(kernel, c, in, mask);
        }
}

TEST_CASE("work: more heads than a dispatch has workgroups in one dimension")
{
    const Case c = makeCase(
        kScalar,
        {.batch = 2, .q_heads = 40000, .kv_heads = 40000, .q_len = 1, .k_len = 2, .head_dim = 8});
    if (isWanted(kScalar.text() + c.id()))
        runTwice(kScalar, c, normalInputs(c, 16), {});
}

TEST_CASE("work: memory for parts stays small")
{
    for (const Kernel& kernel : {kScalar, kMatrix})
    {
        // 75,600 tokens, 40 heads, 128 channels; a list without an order of its own, so that no
        // tensor is copied.
        Case c = makeCase(
            kernel,
            {.q_heads = 40, .kv_heads = 40, .q_len = 75600, .k_len = 75600, .head_dim = 128},
            "key_spans");
        if (!canRun(kernel, c))
            continue;
        std::vector<LacunaOption> storage;
        const LacunaPlanDesc desc = c.description(storage);
        const Plan plan = createPlan(device().context(), desc);
        LacunaPlanInfo info = {};
        REQUIRE(lacunaGetPlanInfo(plan.get(), &info) == LACUNA_SUCCESS);
        INFO(kernel.text(), ": ", info.workspace_bytes);
        CHECK(info.workspace_bytes <= 256'000'000);
    }
}

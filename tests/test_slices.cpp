// test_slices.cpp - a plan recorded in slices gives the bits of one piece, however it is cut.
// ctest: label=vk timeout=600
//
// SPDX-License-Identifier: Apache-2.0
#include "harness_attend.h"

#include <algorithm>
#include <cstring>
#include <limits>

using namespace lacuna;
using namespace lacuna::test;

namespace
{

const Kernel kScalar = {LACUNA_TIER_SCALAR, {}};
const Kernel kMatrix = {LACUNA_TIER_COOPMAT, {}};
// Rows in the shortest parts, so that there is something to merge.
const Kernel kScalarParts = {LACUNA_TIER_SCALAR, {{"work_keys", "8"}}};
const Kernel kMatrixParts = {LACUNA_TIER_COOPMAT, {{"work_keys", "32"}}};

host::Buffer upload(const std::vector<float>& values)
{
    std::vector<uint16_t> halves(values.size());
    std::transform(values.begin(), values.end(), halves.begin(), host::toHalf);
    host::Buffer buffer = device().createBuffer(halves.size() * 2);
    device().upload(buffer, std::as_bytes(std::span(halves)));
    return buffer;
}

// One attention whose tensors stay on the device: fp16 in, fp32 out.
struct Job
{
    host::Attention attention;
    host::Buffer q, k, v, out, lse;
    // As host::Attention has them, for recording without it.
    host::Buffer constants, workspace;
    LacunaAttentionBuffers buffers = {};

    Job(const Case& c, const Inputs& in)
    {
        std::vector<LacunaOption> storage;
        attention = host::Attention(device(), c.description(storage));
        const Problem p = c.request().problem;
        q = upload(in.q);
        k = upload(in.k);
        v = upload(in.v);
        out = device().createBuffer(uint64_t(p.heads()) * p.q_len * p.head_dim * 4);
        lse = device().createBuffer(uint64_t(p.heads()) * p.q_len * 4);
        const LacunaPlanInfo& info = attention.info();
        constants = device().createBuffer(info.constants_bytes + 256);
        workspace = device().createBuffer(info.workspace_bytes + 256);
        std::vector<std::byte> tables(info.constants_bytes);
        REQUIRE(lacunaWritePlanConstants(attention.plan(), tables.data()) == LACUNA_SUCCESS);
        device().upload(constants, tables);
        buffers.q = q.memory();
        buffers.k = k.memory();
        buffers.v = v.memory();
        buffers.out = out.memory();
        buffers.lse = lse.memory();
        buffers.constants = constants.memory();
        buffers.workspace = workspace.memory();
    }
    // NaN into all that a run writes.
    void forget()
    {
        device().run(
            [&](host::Commands& commands)
            {
                for (const host::Buffer* buffer : {&out, &lse, &workspace})
                    commands.fill(*buffer, 0, buffer->size() / 4 * 4, 0xffffffff);
            });
    }
    std::vector<std::byte> result() const
    {
        std::vector<std::byte> bytes(out.size() + lse.size());
        device().download(out, std::span(bytes).first(out.size()));
        device().download(lse, std::span(bytes).subspan(out.size()));
        return bytes;
    }
    uint64_t groups() const { return attention.info().group_count; }
    // In so many pieces; `is_submitted` puts each into a submission of its own.
    std::vector<std::byte> runCut(uint64_t pieces, bool is_submitted)
    {
        forget();
        device().run(
            [&](host::Commands& commands)
            {
                for (uint64_t i = 0; i < pieces; ++i)
                {
                    const uint64_t begin = groups() * i / pieces;
                    const uint64_t end = groups() * (i + 1) / pieces;
                    if (begin == end)
                        continue;
                    device().check(lacunaCmdAttentionSlice(commands.handle(), attention.plan(),
                                                           &buffers, begin, end - begin));
                    if (is_submitted)
                        commands.submit();
                }
            });
        return result();
    }
};

std::vector<Case> slicedCases(const Kernel& kernel)
{
    std::vector<Case> cases;
    cases.push_back(makeCase(kernel, {.batch = 2, .q_len = 129, .k_len = 70}));
    for (const char* method : {"sliding_tile", "block_topk", "jenga"})
    {
        cases.push_back(makeCase(kernel, {.q_len = 253, .k_len = 253}, method));
        cases.back().desc.grid = {5, 6, 8, 6, 7};
    }
    cases[1].options = cases[2].options = {{"tile", "2x3x4"}};
    for (Case& c : cases)
        c.desc.out_dtype = LACUNA_DTYPE_F32;
    return cases;
}

Case slowCase()
{
    Case c = makeCase(kScalar, {.q_heads = 4, .kv_heads = 4, .q_len = 1000, .k_len = 1000},
                      "block_topk");
    c.desc.grid = {1, 25, 40, 0, 0};
    c.desc.out_dtype = LACUNA_DTYPE_F32;
    return c;
}

} // namespace

TEST_CASE("slices: 1, 2, 7 and as many as there are give the bits of one piece")
{
    for (const Kernel& kernel : {kScalar, kScalarParts, kMatrix, kMatrixParts})
        for (const Case& c : slicedCases(kernel))
        {
            const std::string id = kernel.text() + " " + c.id();
            if (!isWanted(id) || !canRun(kernel, c))
                continue;
            INFO(id);
            Job job(c, normalInputs(c, 31));
            job.forget();
            device().run([&](host::Commands& commands)
                         { job.attention.record(commands, job.buffers); });
            const std::vector<std::byte> whole = job.result();
            for (const uint64_t k : {uint64_t(1), uint64_t(2), uint64_t(7), job.groups()})
            {
                INFO(k, " slices of ", job.groups(), " groups");
                CHECK(job.runCut(k, true) == whole);
            }
            CHECK(job.runCut(7, false) == whole);
        }
}

TEST_CASE("slices: of a time, learned from the parts of the heads before")
{
    Case c = slowCase();
    c.desc.max_workspace_bytes = 1;
    Job job(c, normalInputs(c, 32));
    const LacunaPlanInfo& info = job.attention.info();
    REQUIRE(info.part_count == 4);
    host::Slices slices;
    device().run([&](host::Commands& commands)
                 { slices = job.attention.runSliced(commands, job.buffers, 1e9); });
    // The passes of the first part, each with a short slice and a long one at most.
    CHECK(slices.count <= 2 * info.pass_count / info.part_count);
    CHECK(slices.count > 1);
}

TEST_CASE("slices: of a time, learned from the slices before")
{
    const Case c = slowCase();
    Job job(c, normalInputs(c, 32));
    device().run([&](host::Commands& commands) { job.attention.record(commands, job.buffers); });
    const std::vector<std::byte> whole = job.result();
    const auto slice = [&](double ms)
    {
        job.forget();
        host::Slices slices;
        device().run([&](host::Commands& commands)
                     { slices = job.attention.runSliced(commands, job.buffers, ms); });
        CHECK(job.result() == whole);
        CHECK(slices.longest_ms <= slices.ms);
        return slices.count;
    };
    const uint64_t first = slice(1e9);
    CHECK(first > job.attention.info().pass_count); // short ones, to measure
    CHECK(slice(1e9) == 1);                         // all is known, and fits
    const uint64_t shortest = slice(1e-9);
    CHECK(shortest == job.groups());
    CHECK(slice(1e9) == 1);
    for (const double ms : {0.0, -1.0, double(std::numeric_limits<double>::quiet_NaN())})
        CHECK_THROWS_AS(slice(ms), Error);
}

TEST_CASE("slices: groups are those of the passes, and wrong ones are named")
{
    Case c = makeCase(kScalar, {.q_len = 253, .k_len = 253}, "block_topk");
    c.desc.grid = {5, 6, 8, 6, 7};
    Job job(c, normalInputs(c, 33));
    const LacunaPlan plan = job.attention.plan();
    uint64_t sum = 0;
    LacunaPassInfo pass = {};
    for (uint32_t i = 0; i < job.attention.info().pass_count; ++i)
    {
        REQUIRE(lacunaGetPlanPass(plan, i, &pass) == LACUNA_SUCCESS);
        CHECK(pass.group_count >= 1);
        CHECK(job.attention.explain().find(std::string("\"") + pass.name + "\"") !=
              std::string::npos);
        sum += pass.group_count;
    }
    CHECK(sum == job.groups());

    const auto sentence = [](LacunaResult result)
    {
        try
        {
            device().check(result);
        }
        catch (const Error& error)
        {
            CHECK(error.result() == LACUNA_ERROR_INVALID_ARGUMENT);
            return std::string(error.what());
        }
        return std::string();
    };
    const std::string last = std::to_string(job.groups() - 1);
    CHECK(sentence(lacunaGetPlanPass(plan, job.attention.info().pass_count, &pass)) ==
          "lacunaGetPlanPass: index is " + std::to_string(job.attention.info().pass_count) +
              ", expected 0.." + std::to_string(job.attention.info().pass_count - 1));
    CHECK(sentence(lacunaGetPlanPass(plan, 0, nullptr)) == "lacunaGetPlanPass: info is NULL");
    device().run(
        [&](host::Commands& commands)
        {
            const auto slice = [&](uint64_t first, uint64_t count)
            {
                return sentence(
                    lacunaCmdAttentionSlice(commands.handle(), plan, &job.buffers, first, count));
            };
            const std::string name = "lacunaCmdAttentionSlice: ";
            CHECK(slice(job.groups(), 1) == name + "first_group is " +
                                                std::to_string(job.groups()) + ", expected 0.." +
                                                last);
            CHECK(slice(1, 0) ==
                  name + "group_count is 0 from first_group 1 on, expected 1.." + last);
            CHECK(slice(1, job.groups()) == name + "group_count is " +
                                                std::to_string(job.groups()) +
                                                " from first_group 1 on, expected 1.." + last);
            CHECK(slice(1, UINT64_MAX) != "");
            CHECK(sentence(lacunaCmdAttentionSlice(VK_NULL_HANDLE, plan, &job.buffers, 0, 1)) ==
                  name + "cmd is NULL");
            CHECK(sentence(lacunaCmdAttentionSlice(commands.handle(), plan, nullptr, 0, 1)) ==
                  name + "buffers is NULL");
        });
}

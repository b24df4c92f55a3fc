// test_huge.cpp - tensors that reach over more than 4 GiB.
// ctest: label=vk timeout=300
//
// SPDX-License-Identifier: Apache-2.0
//
// Address space of 7 GiB, of which only what is used becomes memory where the system allows that.
#include "harness.h"

#include <algorithm>
#include <optional>

using namespace lacuna;
using namespace lacuna::test;

namespace
{

constexpr uint64_t kPlaceBytes = uint64_t(1) << 20; // of a tensor at each end
constexpr uint32_t kParts = 2;                      // heads, or batches of one head
constexpr uint32_t kTokens = 40, kDim = 16;
constexpr uint64_t kPartBytes = uint64_t(kTokens) * kDim * sizeof(float);

// Two pieces of device memory more than 4 GiB apart; the buffers fill what is between.
struct Far
{
    std::vector<host::Buffer> buffers;
    const host::Buffer* ends[2] = {};

    Far()
    {
        for (int i = 0; i < 4; ++i)
            buffers.push_back(device().createBuffer(uint64_t(7) << 28));
        const auto [low, high] = std::minmax_element(buffers.begin(), buffers.end(),
                                                     [](const auto& a, const auto& b)
                                                     { return a.address() < b.address(); });
        ends[0] = &*low;
        ends[1] = &*high;
    }
    uint64_t distance() const { return ends[1]->address() - ends[0]->address(); }
    // Tensor `place`, one part at each end.
    LacunaMemory memory(uint32_t place) const
    {
        return {ends[0]->address() + place * kPlaceBytes, distance() + kPartBytes};
    }
    void write(uint32_t place, const std::vector<float>& values) const
    {
        for (uint32_t part = 0; part < kParts; ++part)
            device().upload(*ends[part],
                            std::as_bytes(std::span(values)).subspan(part * kPartBytes, kPartBytes),
                            place * kPlaceBytes);
    }
    std::vector<float> read(uint32_t place) const
    {
        std::vector<float> values(kParts * kPartBytes / sizeof(float));
        for (uint32_t part = 0; part < kParts; ++part)
            device().download(
                *ends[part],
                std::as_writable_bytes(std::span(values)).subspan(part * kPartBytes, kPartBytes),
                place * kPlaceBytes);
        return values;
    }
};

struct Setting
{
    const char* method;
    LacunaTier tier;
    bool is_batch; // the parts are batches
};

Case makeCase(const Setting& setting)
{
    Case c;
    c.method = setting.method;
    c.desc.batch = setting.is_batch ? kParts : 1;
    c.desc.q_heads = setting.is_batch ? 1 : kParts;
    c.desc.q_len = kTokens;
    c.desc.head_dim = kDim;
    c.desc.dtype = LACUNA_DTYPE_F32;
    c.desc.tier = setting.tier;
    if (c.method == "block_topk")
    {
        c.desc.grid = {2, 4, 5, 0, 0};
        c.options = {{"tile", "1x2x2"}, {"keep_ratio", "0.4"}};
    }
    return c;
}

// As runOnDevice, with the inputs or the output far apart. The other tensors are dense: none may
// lie between the parts of the output.
std::vector<float> runFar(const Far& far, Case c, const Inputs& in, bool is_far_output)
{
    const uint64_t stride = far.distance() / sizeof(float), dense = uint64_t(kTokens) * kDim;
    const LacunaStrides strides = c.desc.batch > 1 ? LacunaStrides{stride, dense, kDim}
                                                   : LacunaStrides{stride * 2, stride, kDim};
    if (is_far_output)
        c.desc.out_strides = strides;
    else
        c.desc.q_strides = c.desc.k_strides = c.desc.v_strides = strides;
    std::vector<LacunaOption> storage;
    const host::Attention attention(device(), c.description(storage));

    const std::vector<float>* tensors[] = {&in.q, &in.k, &in.v};
    host::Buffer buffers[4];
    LacunaMemory memory[4];
    for (uint32_t i = 0; i < 4; ++i)
    {
        const bool is_far = (i == 3) == is_far_output;
        if (!is_far)
            buffers[i] = device().createBuffer(kParts * kPartBytes);
        memory[i] = is_far ? far.memory(i) : buffers[i].memory();
        if (i < 3 && is_far)
            far.write(i, *tensors[i]);
        else if (i < 3)
            device().upload(buffers[i], std::as_bytes(std::span(*tensors[i])));
    }
    device().run([&](host::Commands& commands)
                 { attention.record(commands, memory[0], memory[1], memory[2], memory[3]); });
    if (is_far_output)
        return far.read(3);
    std::vector<float> out(kParts * kPartBytes / sizeof(float));
    device().download(buffers[3], std::as_writable_bytes(std::span(out)));
    return out;
}

} // namespace

TEST_CASE("huge: heads and batches more than 4 GiB apart")
{
    std::optional<Far> far;
    try
    {
        far.emplace();
    }
    catch (const Error& error)
    {
        REQUIRE(error.result() == LACUNA_ERROR_OUT_OF_MEMORY);
        return skip("huge", error.what());
    }
    if (far->distance() <= uint64_t(1) << 32)
        return skip("huge", "the device puts buffers beside each other in another way");
    for (const char* method : {"dense", "block_topk"})
        for (const LacunaTier tier : {LACUNA_TIER_SCALAR, LACUNA_TIER_COOPMAT})
            for (const bool is_batch : {false, true})
            {
                const Case c = makeCase({method, tier, is_batch});
                INFO(c.id());
                try
                {
                    const Inputs in = normalInputs(c, 51);
                    const std::vector<float> expected = runOnDevice(c, in).out;
                    CHECK(runFar(*far, c, in, false) == expected);
                    CHECK(runFar(*far, c, in, true) == expected);
                }
                catch (const Error& error)
                {
                    REQUIRE(error.result() == LACUNA_ERROR_UNSUPPORTED);
                    skip(c.id(), error.what());
                }
            }
}

// test_coreset.cpp - vorta: the coreset that the device chooses, also of tokens that are all alike.
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

Case coresetCase(const LacunaVideoGrid& grid, LacunaDtype dtype, const char* match)
{
    Case c;
    c.method = "vorta";
    c.options = {{"match", match}, {"heads", "coreset,full,sliding,coreset"}, {"tile", "2x3x4"}};
    c.desc.batch = 2;
    c.desc.q_heads = 4;
    c.desc.kv_heads = 2;
    c.desc.q_len = grid.text_before + grid.frames * grid.height * grid.width + grid.text_after;
    c.desc.head_dim = 24;
    c.desc.dtype = dtype;
    c.desc.grid = grid;
    return c;
}

std::vector<uint8_t> referenceMask(const Case& c, const Inputs& inputs)
{
    const Request request = c.request();
    const Problem& p = request.problem;
    std::vector<uint8_t> mask(size_t(p.heads()) * p.q_len * p.k_len);
    request.method->reference(p, request.options, {inputs.q.data(), inputs.k.data()}, 0, p.q_len,
                              mask.data());
    return mask;
}

const LacunaVideoGrid kGrids[] = {
    {5, 7, 9, 0, 0}, {4, 6, 8, 3, 0}, {3, 7, 5, 0, 13}, {1, 9, 11, 2, 5}, {2, 1, 1, 1, 0}};

} // namespace

TEST_CASE("vorta: heads of all branches, shared keys, two batches, compared by Q or by K")
{
    for (const LacunaVideoGrid& grid : kGrids)
        for (const char* match : {"q", "k"})
            for (const LacunaDtype dtype : {LACUNA_DTYPE_F16, LACUNA_DTYPE_F32, LACUNA_DTYPE_BF16})
            {
                const Case c = coresetCase(grid, dtype, match);
                const std::string id = c.id();
                INFO(id);
                if (!isWanted(id))
                    continue;
                const Inputs inputs = normalInputs(c, 5);
                const Output output = runOnDevice(c, inputs);
                const std::vector<uint8_t> mask = referenceMask(c, inputs);
                CHECK(output.kept.tokenMask() == mask);
                CHECK(runOnDevice(c, inputs).out == output.out);
                checkAttention(c, inputs, mask, output);
            }
}

TEST_CASE("vorta: buckets of any size, and any share that is merged")
{
    for (const char* bucket : {"1x1x1", "4x4x4", "1x4x3", "3x2x1"})
        for (const char* merge : {"0", "0.3", "0.9", "1"})
        {
            Case c = coresetCase({5, 7, 9, 1, 2}, LACUNA_DTYPE_F16, "q");
            c.options.push_back({"bucket", bucket});
            c.options.push_back({"merge", merge});
            const std::string id = c.id();
            INFO(id);
            if (!isWanted(id))
                continue;
            const Inputs inputs = normalInputs(c, 6);
            CHECK(selectOnDevice(c, inputs).tokenMask() == referenceMask(c, inputs));
        }
}

TEST_CASE("vorta: of tokens that are alike the earlier ones stay; what is no number loses no token")
{
    const Case c = coresetCase({5, 7, 9, 3, 2}, LACUNA_DTYPE_F16, "k");
    Inputs inputs = normalInputs(c, 7);
    for (const float value : {1.0f, 0.0f, -2.0f})
    {
        std::fill(inputs.k.begin(), inputs.k.end(), value);
        CHECK(selectOnDevice(c, inputs).tokenMask() == referenceMask(c, inputs));
    }
    const host::Attention::Kept equal = selectOnDevice(c, inputs);
    for (const float value :
         {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()})
    {
        for (size_t i = 0; i < inputs.k.size(); i += 37)
            inputs.k[i] = value;
        const host::Attention::Kept kept = selectOnDevice(c, inputs);
        for (uint32_t slice = 0; slice < kept.heads; ++slice)
        {
            const auto begin = kept.k_order.begin() + std::ptrdiff_t(slice) * kept.keys();
            std::vector<uint32_t> tokens(begin, begin + kept.keys());
            std::sort(tokens.begin(), tokens.end());
            CHECK(std::adjacent_find(tokens.begin(), tokens.end()) == tokens.end());
            CHECK(tokens.back() == kept.keys() - 1);
        }
        CHECK(kept.density() == equal.density());
    }
}

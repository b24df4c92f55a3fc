// harness_mask.cpp - masks of reference(), whole or by rows, and as blocks.
//
// SPDX-License-Identifier: Apache-2.0
#include "harness_mask.h"

#include <algorithm>

namespace lacuna::test
{
namespace
{

Request requestOf(const std::string& method, const OptionValues& options, const VideoGrid& grid)
{
    Case c;
    c.method = method;
    c.options = options;
    c.desc.batch = c.desc.q_heads = 1;
    c.desc.q_len = uint32_t(grid.tokens());
    c.desc.head_dim = 8;
    c.desc.dtype = LACUNA_DTYPE_F32;
    c.desc.grid = {grid.size.t, grid.size.h, grid.size.w, grid.text_before, grid.text_after};
    return c.request();
}

} // namespace

double Mask::density() const
{
    return double(std::count(kept.begin(), kept.end(), 1)) / double(kept.size());
}

Mask maskOf(const std::string& method, const OptionValues& options, const VideoGrid& grid)
{
    const Request request = requestOf(method, options, grid);
    Mask mask = {grid.tokens(), std::vector<uint8_t>(grid.tokens() * grid.tokens())};
    request.method->reference(request.problem, request.options, {}, 0, uint32_t(grid.tokens()),
                              mask.kept.data());
    return mask;
}

std::vector<uint8_t> rowOf(const std::string& method, const OptionValues& options,
                           const VideoGrid& grid, uint32_t query)
{
    const Request request = requestOf(method, options, grid);
    std::vector<uint8_t> row(grid.tokens());
    request.method->reference(request.problem, request.options, {}, query, 1, row.data());
    return row;
}

std::vector<uint8_t> definitionOf(const Case& c, const Inputs& inputs)
{
    const Request request = c.request();
    const Problem& p = request.problem;
    std::vector<uint8_t> mask(size_t(p.heads()) * p.q_len * p.k_len);
    request.method->reference(p, request.options, {inputs.q.data(), inputs.k.data(), inputs.v.data()}, 0, p.q_len,
                              mask.data());
    return mask;
}

std::vector<uint8_t> selectedMask(const Case& c, const Inputs& inputs)
{
    const std::string id = c.id();
    INFO(id);
    const std::vector<uint8_t> mask = definitionOf(c, inputs);
    CHECK(selectOnDevice(c, inputs).tokenMask() == mask);
    return mask;
}

void checkOnEveryKernel(Case c, Inputs inputs)
{
    for (std::vector<float>* tensor : {&inputs.q, &inputs.k, &inputs.v})
    {
        roundTo(LACUNA_DTYPE_F16, *tensor);
        roundTo(c.desc.dtype, *tensor);
    }
    const std::vector<uint8_t> mask = definitionOf(c, inputs);
    for (const LacunaTier tier : {LACUNA_TIER_SCALAR, LACUNA_TIER_COOPMAT})
        for (const char* work_keys : {"0", "8"}) // 8: parts of a few keys
        {
            c.desc.tier = tier;
            const LacunaOption tuning = {"work_keys", work_keys};
            c.desc.tuning = &tuning;
            c.desc.tuning_count = 1;
            const std::string id = c.id() + "/work_keys=" + work_keys;
            INFO(id);
            if (!isWanted(id))
                continue;
            try
            {
                const Output first = runOnDevice(c, inputs), second = runOnDevice(c, inputs);
                CHECK(first.kept.tokenMask() == mask);
                checkAttention(c, inputs, mask, first);
                CHECK(first.out == second.out);
                CHECK(first.lse == second.lse);
            }
            catch (const Error& error)
            {
                REQUIRE(error.result() == LACUNA_ERROR_UNSUPPORTED);
                skip(id, error.what());
            }
        }
}

std::string pictureOf(const Case& c)
{
    const std::vector<uint8_t> mask = definitionOf(c);
    std::string picture;
    for (uint32_t query = 0; query < c.desc.q_len; ++query)
    {
        for (uint32_t key = 0; key < c.desc.k_len; ++key)
            picture += mask[query * c.desc.k_len + key] ? '1' : '0';
        picture += ' ';
    }
    return picture;
}

static Case scalarCase(const std::string& method, const OptionValues& options)
{
    Case c;
    c.method = method;
    c.options = options;
    c.desc.batch = 1;
    c.desc.tier = LACUNA_TIER_SCALAR;
    return c;
}

Case videoCase(const std::string& method, const OptionValues& options, const LacunaVideoGrid& grid,
               uint32_t heads, uint32_t head_dim)
{
    Case c = scalarCase(method, options);
    c.desc.q_heads = heads;
    c.desc.q_len = grid.text_before + grid.frames * grid.height * grid.width + grid.text_after;
    c.desc.head_dim = head_dim;
    c.desc.dtype = LACUNA_DTYPE_F32;
    c.desc.grid = grid;
    return c;
}

Case packedCase(const std::string& method, const OptionValues& options, uint32_t q_len,
                uint32_t k_len, uint32_t head_dim)
{
    Case c = scalarCase(method, options);
    c.desc.q_heads = 2;
    c.desc.kv_heads = 1;
    c.desc.q_len = q_len;
    c.desc.k_len = k_len;
    c.desc.head_dim = head_dim;
    c.desc.dtype = LACUNA_DTYPE_F16;
    return c;
}

std::vector<std::string> blocksOf(const Mask& mask, size_t block)
{
    const size_t blocks = mask.tokens / block; // whole ones
    std::vector<std::string> rows(blocks, std::string(blocks, '0'));
    bool is_whole = true;
    for (size_t query = 0; query < blocks * block; ++query)
        for (size_t key = 0; key < blocks * block; ++key)
        {
            const bool kept = mask.at(query / block * block, key / block * block);
            is_whole &= mask.at(query, key) == kept;
            rows[query / block][key / block] = kept ? '1' : '0';
        }
    CHECK(is_whole);
    return rows;
}

} // namespace lacuna::test

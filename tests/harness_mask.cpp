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

// test_method_options.cpp - every static method with options at random, all of them at once.
// ctest: label=vk timeout=300
//
// SPDX-License-Identifier: Apache-2.0
//
// test_methods turns one option at a time; here they meet, and heads differ from each other.
#include "harness_options.h"

#include <algorithm>
#include <cstring>
#include <string>

using namespace lacuna;
using namespace lacuna::test;

namespace
{

Case randomCase(const Method& method, const LacunaVideoGrid& grid, Rng& rng)
{
    Case c;
    c.method = method.name;
    c.desc.batch = 1 + uint32_t(rng.below(2));
    c.desc.q_heads = 1 + 2 * uint32_t(rng.below(2));
    c.desc.q_len = grid.text_before + grid.frames * grid.height * grid.width + grid.text_after;
    c.desc.head_dim = 16;
    c.desc.dtype = LACUNA_DTYPE_F16;
    c.desc.grid = grid;
    for (const OptionDesc& option : method.options)
        c.options.push_back({option.name, randomValue(option, c.desc.q_heads, rng)});
    return c;
}

bool isServed(const Case& c)
{
    std::vector<LacunaOption> storage;
    const LacunaPlanDesc desc = c.description(storage);
    Request request;
    std::string sentence;
    return makeRequest(&desc, request, sentence) == LACUNA_SUCCESS;
}

} // namespace

TEST_CASE("any combination of options keeps what the definition keeps")
{
    const LacunaVideoGrid grids[] = {
        {5, 7, 9, 0, 0}, {4, 5, 8, 3, 0}, {3, 7, 6, 0, 13}, {1, 9, 11, 2, 5}};
    for (const Method* method : allMethods())
    {
        if (std::strcmp(method->kind, "static") != 0)
            continue;
        Rng rng(7);
        int served = 0;
        for (int i = 0; served < 16 && i < 200; ++i)
        {
            const Case c = randomCase(*method, grids[i % 4], rng);
            const std::string id = c.id();
            INFO(id);
            if (!isWanted(id) || !isServed(c))
                continue;
            ++served;
            const Request request = c.request();
            const Problem& p = request.problem;
            std::vector<uint8_t> mask(size_t(p.heads()) * p.q_len * p.k_len);
            request.method->reference(p, request.options, {}, 0, p.q_len, mask.data());
            CHECK(selectOnDevice(c, normalInputs(c, 1)).tokenMask() == mask);
        }
        CAPTURE(served);
        CHECK((served == 16 || !isWanted("all of them"))); // fewer only when --case picks some
    }
}

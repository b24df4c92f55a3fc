// test_memory_cross.cpp - memory_cross: rectangles of any sides, and which slots of a memory stay.
// ctest: label=vk timeout=300
//
// SPDX-License-Identifier: Apache-2.0
#include "harness_mask.h"

#include <algorithm>

using namespace lacuna;
using namespace lacuna::test;

namespace
{

Case crossCase(const OptionValues& options, uint32_t queries, uint32_t keys, uint32_t heads,
               uint32_t head_dim = 32)
{
    Case c;
    c.method = "memory_cross";
    c.options = options;
    c.desc.batch = 1;
    c.desc.q_heads = heads;
    c.desc.q_len = queries;
    c.desc.k_len = keys;
    c.desc.head_dim = head_dim;
    c.desc.dtype = LACUNA_DTYPE_F32;
    c.desc.tier = LACUNA_TIER_SCALAR;
    return c;
}

// Of the first query, and all must be alike: "1" is a kept key.
std::string keysOf(const OptionValues& options, uint32_t keys)
{
    const uint32_t queries = 3;
    const std::vector<uint8_t> mask = definitionOf(crossCase(options, queries, keys, 1));
    for (uint32_t query = 1; query < queries; ++query)
        CHECK(std::equal(mask.begin(), mask.begin() + keys, mask.begin() + query * keys));
    std::string text;
    for (uint32_t key = 0; key < keys; ++key)
        text += mask[key] ? '1' : '0';
    return text;
}

} // namespace

TEST_CASE("memory_cross: the first slots, the last ones, every n-th, and what is current")
{
    CHECK(keysOf({}, 7) == "1111111");
    CHECK(keysOf({{"slots", "6"}, {"recent", "0"}}, 12) == "110000000000");
    CHECK(keysOf({{"slots", "6"}, {"sinks", "2"}, {"recent", "1"}}, 12) == "111100000011");
    CHECK(keysOf({{"slots", "6"}, {"recent", "1"}, {"every", "2"}}, 12) == "110011001111");
    CHECK(keysOf({{"slots", "3"}, {"sinks", "0"}, {"recent", "1"}, {"current", "2"}}, 8) ==
          "00001111");
    CHECK(keysOf({{"slots", "3"}, {"sinks", "0"}, {"recent", "0"}, {"current", "2"}}, 8) ==
          "00000011");
    CHECK(keysOf({{"slots", "3"}, {"recent", "0"}}, 8) == "11100000"); // slots of 3, 3 and 2
}

TEST_CASE("memory_cross: with a grid the slots are the frames, and text is kept both ways")
{
    const VideoGrid grid = {{5, 2, 3}, 2, 1};
    const Mask mask = maskOf("memory_cross", {{"recent", "1"}, {"slots", "9"}}, grid);
    for (size_t query = 0; query < mask.tokens; ++query)
        for (size_t key = 0; key < mask.tokens; ++key)
        {
            const bool is_text = query < 2 || query == 32 || key < 2 || key == 32;
            if (mask.at(query, key) != (is_text || key < 2 + 6 || key >= 2 + 24))
                FAIL_CHECK("query ", query, ", key ", key);
        }
}

TEST_CASE("memory_cross: any number of queries beside any memory, on every kernel")
{
    const OptionValues bank = {
        {"slots", "5"}, {"recent", "1"}, {"every", "3"}, {"current", "9"}};
    const struct
    {
        OptionValues options;
        uint32_t queries, keys, heads, head_dim;
    } cases[] = {{{}, 33, 315, 1, 32},   // a frame asks a memory of latents
                 {{}, 315, 33, 3, 128},  // latents ask a frame
                 {bank, 70, 101, 3, 32}, // slots of 19 and 18
                 {bank, 1, 14, 1, 64}};
    for (const auto& one : cases)
    {
        const Case c = crossCase(one.options, one.queries, one.keys, one.heads, one.head_dim);
        checkOnEveryKernel(c, normalInputs(c, 1));
    }
}

TEST_CASE("memory_cross: a slot without a key is refused, with the numbers")
{
    const Case c = crossCase({{"slots", "8"}, {"current", "3"}}, 4, 10, 1);
    std::vector<LacunaOption> storage;
    const LacunaPlanDesc desc = c.description(storage);
    Request request;
    std::string sentence;
    CHECK(makeRequest(&desc, request, sentence) == LACUNA_ERROR_INVALID_ARGUMENT);
    CHECK(sentence.find("needs a key for each of 8 slots before 3 current ones, not 10") !=
          std::string::npos);
}

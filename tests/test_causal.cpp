// test_causal.cpp - windows of keys that differ from query to query, on every kernel.
// ctest: label=vk timeout=240
//
// SPDX-License-Identifier: Apache-2.0
#include "harness_mask.h"

using namespace lacuna;
using namespace lacuna::test;

namespace
{

struct Shape
{
    uint32_t q_len, k_len, head_dim;
};

Case causalCase(const Shape& shape, const std::vector<std::pair<std::string, std::string>>& options)
{
    return packedCase("causal", options, shape.q_len, shape.k_len, shape.head_dim);
}

} // namespace

TEST_CASE("causal: masks written out, with fewer and with more queries than keys")
{
    CHECK(pictureOf(causalCase({2, 5, 8}, {})) == "11110 11111 ");
    CHECK(pictureOf(causalCase({2, 5, 8}, {{"align", "top_left"}})) == "10000 11000 ");
    CHECK(pictureOf(causalCase({5, 2, 8}, {})) == "00 00 00 10 11 ");
    CHECK(pictureOf(causalCase({5, 2, 8}, {{"align", "top_left"}})) == "10 11 11 11 11 ");
    CHECK(pictureOf(causalCase({4, 4, 8}, {{"window", "2"}})) == "1000 1100 0110 0011 ");
    CHECK(pictureOf(causalCase({5, 5, 8}, {{"window", "1"}, {"sinks", "2"}})) ==
          "10000 11000 11100 11010 11001 ");
    CHECK(pictureOf(causalCase({4, 2, 8}, {{"window", "1"}, {"align", "top_left"}})) ==
          "10 01 00 00 ");
}

TEST_CASE("causal: any window, sinks and place of the queries, on every kernel")
{
    const Shape shapes[] = {
        {1, 1, 64}, {1, 333, 64}, {257, 257, 64}, {70, 300, 40}, {300, 70, 128}};
    for (const Shape& shape : shapes)
        for (const char* window : {"0", "1", "37"})
            for (const char* sinks : {"0", "5", "66"})
                for (const char* align : {"bottom_right", "top_left"})
                {
                    const bool is_double = window[0] == '0' && sinks[0] != '0';
                    if (is_double || (align[0] == 't' && shape.q_len == shape.k_len))
                        continue; // the same mask again
                    const Case c = causalCase(
                        shape,
                        {{"window", window}, {"sinks", sinks}, {"align", align}, {"block", "48"}});
                    checkOnEveryKernel(c, normalInputs(c, 5));
                }
}

TEST_CASE("causal: a key outside of the window is not heard, however loud")
{
    const Case c = causalCase({200, 200, 64}, {{"window", "20"}, {"sinks", "3"}});
    Inputs inputs = normalInputs(c, 6);
    for (size_t i = 0; i < inputs.k.size(); ++i)
        if (i / 64 % 50 == 49) // logits of some tens
            inputs.k[i] = inputs.k[i] > 0 ? 12.0f : -12.0f;
    checkOnEveryKernel(c, inputs);
}

TEST_CASE("causal: rows of any length give the same list")
{
    for (const char* block : {"1", "7", "65536"})
    {
        const Case c =
            causalCase({90, 90, 8}, {{"block", block}, {"window", "11"}, {"sinks", "2"}});
        INFO(block);
        CHECK(selectOnDevice(c, normalInputs(c, 7)).tokenMask() == definitionOf(c));
    }
}

// test_documents.cpp - documents packed behind each other, of any length, on every kernel.
// ctest: label=vk timeout=240
//
// SPDX-License-Identifier: Apache-2.0
#include "harness_mask.h"

#include <algorithm>
#include <limits>
#include <numeric>

using namespace lacuna;
using namespace lacuna::test;

namespace
{

Case documentCase(uint32_t q_len, uint32_t k_len, uint32_t head_dim, const OptionValues& options)
{
    return packedCase("documents", options, q_len, k_len, head_dim);
}

std::string sentenceOf(const Case& c)
{
    std::vector<LacunaOption> storage;
    const LacunaPlanDesc desc = c.description(storage);
    Request request;
    std::string sentence;
    CHECK(makeRequest(&desc, request, sentence) == LACUNA_ERROR_INVALID_ARGUMENT);
    return sentence;
}

// Random lengths that add up, among them empty documents and single tokens.
std::string randomLengths(Rng& rng, uint32_t documents, uint32_t tokens)
{
    std::vector<uint32_t> lengths(documents);
    while (tokens > 0)
    {
        uint32_t& length = lengths[size_t(rng.below(int(documents)))];
        const uint32_t more = std::min(tokens, 1 + uint32_t(rng.below(90)));
        length += more;
        tokens -= more;
    }
    std::string text;
    for (const uint32_t length : lengths)
        text += (text.empty() ? "" : ",") + std::to_string(length);
    return text;
}

} // namespace

TEST_CASE("documents: masks written out")
{
    CHECK(pictureOf(documentCase(4, 4, 8, {})) == "1111 1111 1111 1111 ");
    CHECK(pictureOf(documentCase(4, 4, 8, {{"lengths", "1,2,0*3,1"}})) == "1000 0110 0110 0001 ");
    CHECK(pictureOf(documentCase(4, 4, 8, {{"lengths", "1,3"}, {"causal", "bottom_right"}})) ==
          "1000 0100 0110 0111 ");
    CHECK(pictureOf(documentCase(3, 5, 8, {{"lengths", "2,1"}, {"k_lengths", "1,4"}})) ==
          "10000 10000 01111 ");
    CHECK(pictureOf(documentCase(
              4, 4, 8,
              {{"lengths", "3,1"}, {"k_lengths", "1,3"}, {"causal", "bottom_right"}})) ==
          "0000 0000 1000 0111 ");
    CHECK(pictureOf(documentCase(
              4, 4, 8, {{"lengths", "3,1"}, {"k_lengths", "1,3"}, {"causal", "top_left"}})) ==
          "1000 1000 1000 0100 ");
}

TEST_CASE("documents: any lengths, equal or not in queries and keys, on every kernel")
{
    const OptionValues cases[] = {
        {{"lengths", "300"}},
        {{"lengths", "1*300"}},
        {{"lengths", "0,64,0,0,65,1,170,0"}, {"block", "64"}},
        {{"lengths", "100*3"}, {"causal", "bottom_right"}},
        {{"lengths", "37,200,63"}, {"causal", "top_left"}, {"block", "32"}},
    };
    for (const OptionValues& options : cases)
    {
        const Case c = documentCase(300, 300, 64, options);
        checkOnEveryKernel(c, normalInputs(c, 5));
    }
    const OptionValues cross[] = {
        {{"lengths", "100,0,20"}, {"k_lengths", "3,130,77"}},
        {{"lengths", "70,50"}, {"k_lengths", "0,210"}, {"causal", "bottom_right"}},
        {{"lengths", "1,118,1"}, {"k_lengths", "1,1,208"}, {"causal", "top_left"}},
    };
    for (const OptionValues& options : cross)
    {
        const Case c = documentCase(120, 210, 40, options);
        checkOnEveryKernel(c, normalInputs(c, 6));
    }
}

TEST_CASE("documents: random lengths keep what the definition keeps")
{
    Rng rng(8);
    for (int i = 0; i < 30; ++i)
    {
        const uint32_t documents = 1 + uint32_t(rng.below(12));
        const char* const causal[] = {"no", "bottom_right", "top_left"};
        const Case c = documentCase(250, 190, 8,
                                    {{"lengths", randomLengths(rng, documents, 250)},
                                     {"k_lengths", randomLengths(rng, documents, 190)},
                                     {"causal", causal[i % 3]},
                                     {"block", std::to_string(1 + rng.below(150))}});
        const std::string id = c.id();
        INFO(id);
        if (isWanted(id))
            CHECK(selectOnDevice(c, normalInputs(c, 7)).tokenMask() == definitionOf(c));
    }
}

TEST_CASE("documents: keys of another document in the same row are not heard, however loud")
{
    const Case c = documentCase(160, 160, 64, {{"lengths", "20*8"}});
    Inputs inputs = normalInputs(c, 9);
    for (size_t i = 0; i < inputs.k.size(); ++i)
        if (i / 64 % 20 == 19) // logits of some tens
            inputs.k[i] = inputs.k[i] > 0 ? 12.0f : -12.0f;
    checkOnEveryKernel(c, inputs);
}

TEST_CASE("documents: lists that do not suit the shape, or are none")
{
    const auto with = [](const OptionValues& options)
    { return sentenceOf(documentCase(10, 10, 8, options)); };
    CHECK(with({{"lengths", "3,6"}}) ==
          "method 'documents' has documents of 9 queries together, expected q_len, 10");
    CHECK(with({{"lengths", "1048576*4096"}}) ==
          "method 'documents' has documents of 4294967296 queries together, expected q_len, 10");
    CHECK(with({{"lengths", "5*2"}, {"k_lengths", "5,6"}}) ==
          "method 'documents' has documents of 11 keys together, expected k_len, 10");
    CHECK(with({{"lengths", "5*2"}, {"k_lengths", "10"}}) ==
          "method 'documents' has 2 documents in the queries, expected as many in the keys, not 1");
    for (const char* text : {"", ",", "5,", "5*", "5*0,10", "-1,11", "5.0*2", "5 5", "five", "all,10",
                             "1048577", "1*1048577", "0x5*2"})
    {
        INFO(text);
        CHECK(with({{"lengths", text}}) ==
              std::string("option 'lengths' of method 'documents' is '") + text +
                  "', expected all or whole numbers in 0..1048576, as in 300,200*2");
    }
}

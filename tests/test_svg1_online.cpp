// test_svg1_online.cpp - svg1: what a head is, as its sampled queries say.
// ctest: label=vk timeout=300
//
// SPDX-License-Identifier: Apache-2.0
#include "harness_mask.h"

#include <algorithm>

using namespace lacuna;
using namespace lacuna::test;

namespace
{

Case caseOf(const OptionValues& options, const LacunaVideoGrid& grid, uint32_t heads,
            uint32_t head_dim = 32)
{
    return videoCase("svg1", options, grid, heads, head_dim);
}

// "spatial,temporal": what each head turned out to be.
std::string kindsOf(const Case& c, const Inputs& inputs)
{
    const std::vector<uint8_t> mask = selectedMask(c, inputs);
    std::string kinds;
    for (size_t head = 0; head < c.desc.q_heads; ++head)
        for (const char* kind : {"spatial", "temporal"})
        {
            Case alone = c;
            alone.desc.q_heads = 1;
            alone.options.push_back({"heads", kind});
            const std::vector<uint8_t> expected = definitionOf(alone);
            if (std::equal(expected.begin(), expected.end(),
                           mask.begin() + std::ptrdiff_t(head * expected.size())))
                kinds += (kinds.empty() ? "" : ",") + std::string(kind);
        }
    return kinds;
}

// Makes the tokens begin .. end - 1 of a head look at the keys with their own frame, or with their
// own pixel.
void lookAt(const Case& c, Inputs& inputs, size_t head, bool at_frames, size_t begin, size_t end)
{
    const size_t dim = c.desc.head_dim, pixels = c.desc.grid.height * c.desc.grid.width;
    for (size_t token = begin; token < end; ++token)
    {
        const size_t in_video = token - c.desc.grid.text_before;
        Rng code(100 + (at_frames ? in_video / pixels : 50 + in_video % pixels));
        for (size_t d = 0; d < dim; ++d)
        {
            const size_t at = (head * c.desc.q_len + token) * dim + d;
            inputs.q[at] = inputs.k[at] = 1.5f * code.normal();
        }
    }
}

const OptionValues kNarrow = {{"density", "0.25"}, {"sinks", "0"}, {"align", "1"}, {"block", "8"}};

OptionValues narrow(const OptionValues& more)
{
    OptionValues options = kNarrow;
    options.insert(options.end(), more.begin(), more.end());
    return options;
}

} // namespace

TEST_CASE("svg1 online: a head that looks at frames is spatial, one that looks at pixels temporal")
{
    for (const LacunaVideoGrid& grid : {LacunaVideoGrid{5, 7, 9, 3, 2}, {4, 12, 20, 0, 0}})
    {
        const Case c = caseOf(kNarrow, grid, 3);
        const size_t video = grid.frames * grid.height * grid.width;
        Inputs inputs = normalInputs(c, 1);
        for (const size_t head : {0u, 1u, 2u})
            lookAt(c, inputs, head, head != 1, grid.text_before, grid.text_before + video);
        CHECK(kindsOf(c, inputs) == "spatial,temporal,spatial");
    }
}

TEST_CASE("svg1 online: odd videos, text before, after and none, one head and three")
{
    for (const LacunaVideoGrid& grid :
         {LacunaVideoGrid{5, 7, 9, 0, 0}, {5, 7, 9, 3, 0}, {5, 7, 9, 0, 13}, {4, 12, 20, 7, 5},
          {1, 9, 17, 0, 2}, {6, 1, 1, 1, 0}})
        for (const uint32_t heads : {1u, 3u})
            for (const OptionValues& options :
                 {OptionValues{}, kNarrow,
                  narrow({{"rows", "5"}, {"from", "40"}, {"seed", "7"}}),
                  narrow({{"heads", heads == 1 ? "online" : "full,online,temporal"}})})
            {
                const Case c = caseOf(options, grid, heads);
                selectedMask(c, normalInputs(c, 2));
            }
}

TEST_CASE("svg1 online: samples from the start, as the authors draw them, can miss what a head is")
{
    // Four of five frames look along frames, the first one at pixels.
    const LacunaVideoGrid grid = {5, 7, 9, 2, 0};
    const Case all = caseOf(kNarrow, grid, 1),
               biased = caseOf(narrow({{"from", "63"}}), grid, 1);
    Inputs inputs = normalInputs(all, 3);
    lookAt(all, inputs, 0, true, 2, 2 + 315);
    CHECK(kindsOf(all, inputs) == "spatial");
    Inputs pixels = inputs;
    lookAt(all, pixels, 0, false, 2, 2 + 315);
    // Queries of frame 0 ask for their pixel, the others for their frame: keys have both codes.
    for (size_t i = 0; i < inputs.k.size(); ++i)
        inputs.k[i] += pixels.k[i];
    std::copy_n(pixels.q.begin(), (2 + 63) * 32, inputs.q.begin());
    CHECK(kindsOf(all, inputs) == "spatial");
    CHECK(kindsOf(biased, inputs) == "temporal");
}

TEST_CASE("svg1 online: spatial where both masks cost the same")
{
    const Case c = caseOf(kNarrow, {5, 7, 9, 3, 0}, 2);
    Inputs inputs = normalInputs(c, 4);
    std::fill(inputs.v.begin(), inputs.v.end(), 0.3f); // any average of it is the same
    CHECK(kindsOf(c, inputs) == "spatial,spatial");
    std::fill(inputs.v.begin(), inputs.v.end(), 0.0f);
    CHECK(kindsOf(c, inputs) == "spatial,spatial");
}

TEST_CASE("svg1 online: shared keys, two batches, capped logits and sink logits")
{
    const float sinks[] = {0.5f, -1.0f, 3.0f, 0.0f};
    for (const LacunaDtype dtype : {LACUNA_DTYPE_F16, LACUNA_DTYPE_F32, LACUNA_DTYPE_BF16})
        for (const uint32_t head_dim : {8u, 72u, 256u})
        {
            Case c = caseOf(narrow({{"rows", "16"}}), {4, 5, 6, 2, 3}, 4, head_dim);
            c.desc.batch = 2;
            c.desc.kv_heads = 2;
            c.desc.dtype = dtype;
            c.desc.soft_cap = 2;
            c.desc.sink_logits = sinks;
            selectedMask(c, normalInputs(c, 5));
        }
}

TEST_CASE("svg1 online: attention under the masks it chose, on every kernel")
{
    const Case c = caseOf(narrow({{"heads", "online,full,online"}}), {5, 7, 9, 3, 0}, 3);
    checkOnEveryKernel(c, normalInputs(c, 6));
}

TEST_CASE("svg1 online: what decides by v asks for it, what does not leaves it alone")
{
    for (const char* heads : {"online", "temporal"})
    {
        const Case c = caseOf({{"heads", heads}}, {2, 3, 4, 0, 0}, 1);
        const Inputs inputs = normalInputs(c, 7);
        std::vector<LacunaOption> storage;
        const host::Attention attention(device(), c.description(storage));
        const host::Buffer q = device().createBuffer(inputs.q.size() * 4),
                           k = device().createBuffer(inputs.k.size() * 4);
        std::string sentence;
        device().run(
            [&](host::Commands& commands)
            {
                try
                {
                    attention.recordSelect(commands, q.memory(), k.memory());
                }
                catch (const Error& error)
                {
                    sentence = error.what();
                }
            });
        CHECK((sentence.find("v.address") != std::string::npos) == (*heads == 'o'));

        const LacunaPlanDesc desc = c.description(storage);
        std::vector<uint8_t> mask(24 * 24);
        const auto hear = [](void* user, LacunaResult, const char* text)
        {
            *static_cast<std::string*>(user) = text;
        };
        CHECK(lacunaReferenceMask(&desc, inputs.q.data(), inputs.k.data(), nullptr, 0, 24,
                                  mask.data(), hear, &sentence) == LACUNA_ERROR_INVALID_ARGUMENT);
        CHECK(sentence.find("v is NULL, and method 'svg1' decides by its values") !=
              std::string::npos);
    }
}

// test_layouts.cpp - from a probe of the matrices to what the kernels are made with: known GPUs,
// this device, and probes that are none or show nothing regular.
//
// SPDX-License-Identifier: Apache-2.0
// ctest: label=vk timeout=60 app
#include "harness.h"

#include "../shaders/shared/matrices.h"
#include "gpu/matrix_layout.h"

#include <gpus/layouts.h>

#include <functional>

using namespace lacuna;
using namespace lacuna::test;

namespace
{

// A GPU with 32 lanes and matrices of 16x16x16.
Caps gpu()
{
    Caps caps;
    caps.subgroup_size = caps.min_subgroup_size = caps.max_subgroup_size = 32;
    caps.products.listed = {{16, 16, 16}};
    return caps;
}

std::vector<MatrixLayout> layoutsOf(const std::vector<uint32_t>& words)
{
    std::vector<MatrixLayout> layouts;
    std::string sentence;
    CHECK(readProbe(gpu(), words, layouts, sentence));
    CHECK(sentence == "");
    return layouts;
}

void checkLayout(const MatrixLayout& layout, bool is_turned, uint32_t slots, uint32_t slot_step,
                 uint32_t row_lanes, uint32_t chain)
{
    CHECK(layout.is_turned == is_turned);
    CHECK(layout.components == 8);
    CHECK(layout.slots == slots);
    CHECK(layout.slot_step == slot_step);
    CHECK(layout.row_lanes == row_lanes);
    CHECK(layout.chain == chain);
}

// The word of an element in what a probe wrote.
uint32_t& wordOf(std::vector<uint32_t>& words, uint32_t matrix, uint32_t component, uint32_t lane)
{
    return words[kProbeHeader + (matrix * kMaxComponents + component) * 32 + lane];
}

} // namespace

TEST_CASE("layouts: RDNA3 and RDNA4 hold a column in a lane, NVIDIA a row in four")
{
    const auto rdna3 = layoutsOf(gpus::probeOf("navi31"));
    REQUIRE(rdna3.size() == 2);
    checkLayout(rdna3[0], true, 1, 1, 16, kThroughMemory);
    checkLayout(rdna3[1], false, 8, 1, 15, kThroughMemory);

    const auto rdna4 = layoutsOf(gpus::probeOf("gfx1201"));
    REQUIRE(rdna4.size() == 2);
    checkLayout(rdna4[0], true, 1, 1, 16, kTileByTile);
    checkLayout(rdna4[1], false, 8, 1, 15, kThroughMemory);

    const auto nvidia = layoutsOf(gpus::probeOf("ampere"));
    REQUIRE(nvidia.size() == 1); // its columns are not regular
    checkLayout(nvidia[0], false, 2, 2, 3, kTileByTile);

    CHECK(gpus::probeOf("navi21").empty());
    CHECK(gpus::probeOf("bmg").empty());
}

TEST_CASE("layouts: an operand whose components take turns")
{
    // As RDNA4, with the sums of two products of depth 8 side by side: component i of tile j.
    auto words = gpus::probeOf("gfx1201");
    Caps caps = gpu();
    caps.products.listed = {{8, 16, 16}};
    caps.subgroup_size = caps.min_subgroup_size = caps.max_subgroup_size = 32;
    std::vector<uint32_t> probe(words.size());
    const uint32_t header[] = {kProbeMark, 8, 16, 16, 32, 4, 4, 8};
    std::copy(std::begin(header), std::end(header), probe.begin());
    for (uint32_t lane = 0; lane < 32; ++lane)
    {
        const uint32_t query = lane % 16, half = lane / 16;
        for (uint32_t i = 0; i < 4; ++i)
        {
            wordOf(probe, kProbeSums, i, lane) = (i + 4 * half) << 16 | query;
            wordOf(probe, kProbeA, i, lane) = (lane / 4) << 16 | (lane % 4 * 4 + i);
            for (uint32_t tile = 0; tile < 2; ++tile)
                wordOf(probe, kProbeB, 2 * i + tile, lane) =
                    (tile * 8 + i + 4 * half) << 16 | query;
        }
    }
    std::vector<MatrixLayout> layouts;
    std::string sentence;
    REQUIRE(readProbe(caps, probe, layouts, sentence));
    REQUIRE(!layouts.empty());
    CHECK(layouts[0].is_turned);
    CHECK(layouts[0].row_lanes == 16);
    CHECK(layouts[0].chain == kInTurns);
}

TEST_CASE("layouts: what is not regular is not used")
{
    struct Spoiled
    {
        const char* what;
        std::function<void(std::vector<uint32_t>&)> spoil;
        size_t left; // layouts
    };
    const Spoiled cases[] = {
        {"an element in two places",
         [](auto& w) { wordOf(w, kProbeSums, 0, 0) = wordOf(w, kProbeSums, 1, 0); }, 0},
        {"an element outside", [](auto& w) { wordOf(w, kProbeSums, 3, 7) = 0xffffffff; }, 0},
        {"two elements of a row change lanes, and rows stay regular",
         [](auto& w) { std::swap(wordOf(w, kProbeSums, 0, 0), wordOf(w, kProbeSums, 0, 5)); }, 1},
        {"two elements of different rows and columns change places",
         [](auto& w) { std::swap(wordOf(w, kProbeSums, 0, 0), wordOf(w, kProbeSums, 1, 5)); }, 0},
        {"no components", [](auto& w) { w[5] = 0; }, 0},
        {"more components than a probe writes", [](auto& w) { w[6] = kMaxComponents + 1; }, 0},
        {"components of which some repeat", [](auto& w) { w[5] = 16; }, 0},
        {"another operand", [](auto& w) { wordOf(w, kProbeB, 2, 9) ^= 1; }, 2},
    };
    for (const Spoiled& c : cases)
    {
        INFO(std::string(c.what));
        auto words = gpus::probeOf("gfx1201");
        c.spoil(words);
        const auto layouts = layoutsOf(words);
        CHECK(layouts.size() == c.left);
        for (const MatrixLayout& layout : layouts)
            CHECK(layout.chain == kThroughMemory);
    }
}

TEST_CASE("layouts: a probe of another device is refused")
{
    std::vector<MatrixLayout> layouts;
    for (const uint32_t word : {0u, 1u, 2u, 3u, 4u})
    {
        auto words = gpus::probeOf("ampere");
        words[word] += 8;
        std::string sentence;
        CHECK(!readProbe(gpu(), words, layouts, sentence));
        CHECK(sentence == "probe is not what lacunaCmdProbe wrote on this device");
    }
    auto words = gpus::probeOf("ampere");
    words.pop_back();
    std::string sentence;
    CHECK(!readProbe(gpu(), words, layouts, sentence));
    CHECK(sentence == "probe has 24604 bytes, expected 24608, see lacunaGetProbeSize");
    CHECK(layouts.empty());
}

TEST_CASE("layouts: this device")
{
    const std::string json = text([](size_t* size, char* to)
                                  { return lacunaDescribeContext(device().context(), size, to); });
    if (lacunaGetProbeSize(device().context()) == 0)
        return skip("the probe", "there are no matrices");
    // lavapipe (Mesa 26.1): a lane has a column of the sums, and its row of the operand A.
    if (device().info().is_cpu)
    {
        CHECK(json.find("\"queries\": \"rows\"") != std::string::npos);
        CHECK(json.find("\"weights\": \"tile by tile\"") != std::string::npos);
        CHECK(json.find("\"queries\": \"columns\"") != std::string::npos);
    }
}

// test_orders.cpp - orders that callers ask for by name, tables gathered with them, and lists in an
// order of the caller's own.
// ctest: label=vk timeout=120
//
// SPDX-License-Identifier: Apache-2.0
#include "harness.h"

#include <algorithm>
#include <cmath>
#include <string>

using namespace lacuna;
using namespace lacuna::test;

namespace
{

using Index = std::vector<uint32_t>;

// Odd sides, one frame, sides smaller than the boxes, and text.
const LacunaVideoGrid kGrids[] = {{5, 7, 9, 0, 0},  {4, 12, 20, 3, 0}, {1, 9, 17, 0, 5},
                                  {3, 2, 30, 13, 1}, {7, 30, 1, 2, 2},  {1, 1, 1, 0, 0},
                                  {2, 3, 3, 0, 0},  {21, 15, 26, 0, 0}};

uint32_t tokensOf(const LacunaVideoGrid& grid)
{
    return grid.text_before + grid.frames * grid.height * grid.width + grid.text_after;
}

struct Named
{
    std::string name;
    std::vector<uint32_t> box;

    const uint32_t* sides() const { return box.empty() ? nullptr : box.data(); }
};

std::vector<Named> namedOrders()
{
    std::vector<Named> orders = {{"tile", {2, 3, 4}},  {"tile", {4, 8, 8}}, {"tile", {1, 1, 1}},
                                 {"voxel", {2, 3, 4}}, {"voxel", {1, 8, 8}}};
    for (const char* const name : {"thw", "twh", "hwt", "htw", "wht", "wth", "hilbert", "gilbert",
                                   "sliced_gilbert", "rotated"})
        orders.push_back({name, {}});
    return orders;
}

struct Heard
{
    std::string sentence;

    static void receive(void* user, LacunaResult, const char* sentence)
    {
        static_cast<Heard*>(user)->sentence = sentence;
    }
};

std::string sentenceOf(const char* name, const LacunaVideoGrid* grid, const uint32_t* box)
{
    Heard heard;
    CHECK(lacunaGetTokenOrder(name, grid, box, nullptr, nullptr, Heard::receive, &heard) ==
          LACUNA_ERROR_INVALID_ARGUMENT);
    return heard.sentence;
}

bool contains(const std::string& text, const std::string& part)
{
    return text.find(part) != std::string::npos;
}

template <typename T>
std::vector<T> gatherRows(const std::vector<T>& table, const Index& index)
{
    const size_t width = table.size() / index.size();
    std::vector<T> rows;
    for (const uint32_t row : index)
        rows.insert(rows.end(), table.begin() + ptrdiff_t(row * width),
                    table.begin() + ptrdiff_t((row + 1) * width));
    return rows;
}

// A table like that of rotary positions, [N, 6]: a token's coordinates say what is in its row.
std::vector<float> positionTable(const LacunaVideoGrid& grid)
{
    std::vector<float> table;
    for (uint32_t token = 0; token < tokensOf(grid); ++token)
    {
        const uint32_t video = token - grid.text_before;
        const bool is_text = token < grid.text_before ||
                             video >= grid.frames * grid.height * grid.width;
        const double at[3] = {double(video / (grid.height * grid.width)),
                              double(video / grid.width % grid.height), double(video % grid.width)};
        for (const double angle : at)
        {
            table.push_back(is_text ? 1.0f : float(std::cos(angle)));
            table.push_back(is_text ? 0.0f : float(std::sin(angle)));
        }
    }
    return table;
}

} // namespace

TEST_CASE("orders by name: bijections, their inverses, and tables that go there and back")
{
    for (const LacunaVideoGrid& grid : kGrids)
        for (const Named& named : namedOrders())
        {
            const uint32_t tokens = tokensOf(grid);
            INFO(named.name, " of ", grid.frames, "x", grid.height, "x", grid.width);
            Index order(tokens, ~0u), inverse(tokens, ~0u);
            REQUIRE(lacunaGetTokenOrder(named.name.c_str(), &grid, named.sides(), order.data(),
                                        inverse.data(), nullptr, nullptr) == LACUNA_SUCCESS);
            bool is_inverse = true;
            for (uint32_t i = 0; i < tokens; ++i)
                is_inverse &= order[i] < tokens && inverse[order[i]] == i;
            REQUIRE(is_inverse);
            bool keeps_text = true;
            for (uint32_t i = 0; i < grid.text_before; ++i)
                keeps_text &= order[i] == i;
            for (uint32_t i = tokens - grid.text_after; i < tokens; ++i)
                keeps_text &= order[i] == i;
            CHECK(keeps_text);

            const std::vector<float> table = positionTable(grid);
            const std::vector<float> gathered = gatherRows(table, order);
            CHECK(gatherRows(gathered, inverse) == table);
            CHECK(std::equal(gathered.begin(), gathered.begin() + 6,
                             table.begin() + ptrdiff_t(6 * order[0])));
        }
}

TEST_CASE("orders by name: known ones, and wrong arguments")
{
    const LacunaVideoGrid grid = {2, 2, 4, 1, 0};
    Index order(17);
    REQUIRE(lacunaGetTokenOrder("gilbert", &grid, nullptr, order.data(), nullptr, nullptr,
                                nullptr) == LACUNA_SUCCESS);
    CHECK(order == Index{0, 1, 5, 13, 9, 10, 14, 6, 2, 3, 7, 15, 11, 12, 16, 8, 4});
    const uint32_t box[] = {2, 1, 2};
    REQUIRE(lacunaGetTokenOrder("tile", &grid, box, order.data(), nullptr, nullptr, nullptr) ==
            LACUNA_SUCCESS);
    CHECK(order == Index{0, 1, 2, 9, 10, 3, 4, 11, 12, 5, 6, 13, 14, 7, 8, 15, 16});

    const uint32_t empty[] = {2, 0, 2};
    CHECK(contains(sentenceOf("spiral", &grid, nullptr), "'spiral', expected one of thw"));
    CHECK(contains(sentenceOf(nullptr, &grid, nullptr), "name is NULL"));
    CHECK(contains(sentenceOf("thw", nullptr, nullptr), "grid is NULL"));
    CHECK(contains(sentenceOf("tile", &grid, nullptr), "box is NULL"));
    CHECK(contains(sentenceOf("thw", &grid, box), "box is 2x1x2, expected NULL with 'thw'"));
    CHECK(contains(sentenceOf("voxel", &grid, empty), "box is 2x0x2"));
    const LacunaVideoGrid none = {0, 2, 4, 0, 0}, huge = {1024, 1024, 2, 0, 0};
    CHECK(contains(sentenceOf("thw", &none, nullptr), "grid.frames is 0"));
    CHECK(contains(sentenceOf("thw", &huge, nullptr), "2097152 tokens"));
}

TEST_CASE("key_spans in an order of the caller's own: the list counts places, tensors stay")
{
    const LacunaVideoGrid grid = {3, 5, 7, 2, 1};
    const uint32_t tokens = tokensOf(grid), block = 16, rows = (tokens + block - 1) / block;
    Index order(tokens);
    REQUIRE(lacunaGetTokenOrder("hilbert", &grid, nullptr, order.data(), nullptr, nullptr,
                                nullptr) == LACUNA_SUCCESS);
    Case c;
    c.method = "key_spans";
    c.options = {{"block", std::to_string(block)}};
    c.desc.batch = 2;
    c.desc.q_heads = 2;
    c.desc.kv_heads = 1;
    c.desc.q_len = tokens;
    c.desc.head_dim = 32;
    c.desc.dtype = LACUNA_DTYPE_F16;
    c.desc.order = order.data();

    Rng rng(3);
    GivenList list;
    std::vector<uint8_t> mask(size_t(4) * tokens * tokens);
    for (uint32_t slice = 0; slice < 4; ++slice)
        for (uint32_t row = 0; row < rows; ++row)
        {
            const uint32_t begin = uint32_t(rng.below(int(tokens - 20))), end = begin + 20;
            list.push_back({{begin, end}});
            for (uint32_t i = row * block; i < std::min(tokens, (row + 1) * block); ++i)
                for (uint32_t key = begin; key < end; ++key)
                    mask[(size_t(slice) * tokens + order[i]) * tokens + order[key]] = 1;
        }
    const Inputs inputs = normalInputs(c, 5);
    for (const LacunaTier tier : {LACUNA_TIER_SCALAR, LACUNA_TIER_COOPMAT})
    {
        c.desc.tier = tier;
        try
        {
            const Output first = runOnDevice(c, inputs, list);
            checkAttention(c, inputs, mask, first);
            const Output second = runOnDevice(c, inputs, list);
            CHECK(first.out == second.out);
            CHECK(first.lse == second.lse);
        }
        catch (const Error& error)
        {
            REQUIRE(error.result() == LACUNA_ERROR_UNSUPPORTED);
            skip(c.id(), error.what());
        }
    }

    const auto refusal = [](Case wrong)
    {
        std::vector<LacunaOption> storage;
        const LacunaPlanDesc desc = wrong.description(storage);
        Request request;
        std::string sentence;
        CHECK(makeRequest(&desc, request, sentence) == LACUNA_ERROR_INVALID_ARGUMENT);
        return sentence;
    };
    Case other = c;
    other.method = "dense";
    other.options.clear();
    CHECK(contains(refusal(other), "method 'dense' has its own order"));
    other = c;
    other.desc.k_len = tokens + 1;
    CHECK(contains(refusal(other), "order needs as many keys as queries"));
    order[3] = order[4];
    CHECK(contains(refusal(c), "is there twice"));
    order[3] = tokens;
    CHECK(contains(refusal(c), "order[3] is " + std::to_string(tokens)));
}

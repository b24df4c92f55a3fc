// matrix_layout.cpp - from what a probe wrote to the few numbers that coopmat_lanes.comp is made
// with.
//
// SPDX-License-Identifier: Apache-2.0
#include "matrix_layout.h"

#include "../../shaders/shared/matrices.h"

#include <algorithm>
#include <bit>
#include <optional>

namespace lacuna
{

bool isUsable(const MatrixShape& shape)
{
    const auto fits = [](uint32_t n)
    {
        return n >= 8 && n <= 64 && std::has_single_bit(n);
    };
    return fits(shape.m) && fits(shape.n) && fits(shape.k);
}

namespace
{

bool isListed(const MatrixProducts& products, const MatrixShape& shape)
{
    return std::ranges::find(products.listed, shape) != products.listed.end();
}

} // namespace

bool isFlexible(const MatrixProducts& products, const MatrixShape& shape)
{
    const MatrixShape& g = products.granularity;
    return g.m && g.n && g.k && shape.m % g.m == 0 && shape.n % g.n == 0 && shape.k % g.k == 0;
}

bool isOffered(const MatrixProducts& products, const MatrixShape& shape)
{
    return isListed(products, shape) || isFlexible(products, shape);
}

// Most work per product first; 16 columns feed every known matrix unit, more only lengthen the
// tail.
MatrixShape preferredShape(const Caps& caps)
{
    const MatrixShape order[] = {{16, 16, 16}, {16, 8, 16}, {8, 16, 16},
                                 {8, 8, 16},   {16, 8, 8},  {8, 8, 8}};
    for (const MatrixShape& shape : order)
        if (isListed(caps.products, shape))
            return shape;
    const auto& listed = caps.products.listed;
    const auto usable = std::ranges::find_if(listed, isUsable);
    return usable == listed.end() ? MatrixShape() : *usable;
}

// More than 32 take longer to compile, and gain only where one product has the whole depth: its sum
// is not read.
MatrixShape deepened(const Caps& caps, uint32_t depth, MatrixShape shape)
{
    for (const uint32_t k : {64u, 32u, 16u})
        if (const MatrixShape deep = {shape.m, shape.n, k};
            caps.is_cpu && k > shape.k && (k == 64 ? depth == k : depth % k == 0) &&
            isFlexible(caps.products, deep))
            return deep;
    return shape;
}

// Intel's compilers place one matrix column per lane at their smallest width; elsewhere 32 lanes
// spill least.
uint32_t matrixSubgroupSize(const Caps& caps)
{
    return caps.prefersNarrowSubgroups()
               ? caps.min_subgroup_size
               : std::clamp(32u, caps.min_subgroup_size, caps.max_subgroup_size);
}

const char* chainName(uint32_t chain)
{
    return chain == kTileByTile ? "tile by tile"
           : chain == kInTurns  ? "in turns"
                                : "through memory";
}

namespace
{

// Its k is the depth of O += P V.
MatrixShape probedShape(const Caps& caps)
{
    return deepened(caps, 32, preferredShape(caps));
}

struct Element
{
    uint32_t query, key;
    bool operator==(const Element&) const = default;
};

// One of the probed matrices, by what its rows and columns are.
struct Held
{
    uint32_t components, lanes;
    std::vector<Element> elements; // [components, lanes]
    const Element& at(uint32_t component, uint32_t lane) const
    {
        return elements[component * lanes + lane];
    }
};

Held heldOf(std::span<const uint32_t> words, uint32_t matrix, bool columns_are_queries)
{
    Held held = {words[5 + matrix], words[4], {}};
    for (uint32_t i = 0; i < held.components * held.lanes; ++i)
    {
        const uint32_t word = words[kProbeHeader + matrix * kMaxComponents * held.lanes + i];
        const uint32_t row = word >> 16, column = word & 0xffff;
        held.elements.push_back(columns_are_queries ? Element{column, row} : Element{row, column});
    }
    return held;
}

// Whether component i of a lane belongs to its slot i / step % slots, and a slot to one query that
// no other slot of the lane has.
bool hasSlots(const Held& s, uint32_t slots, uint32_t step)
{
    for (uint32_t lane = 0; lane < s.lanes; ++lane)
        for (uint32_t i = 0; i < s.components; ++i)
            for (uint32_t j = 0; j < i; ++j)
                if ((i / step % slots == j / step % slots) !=
                    (s.at(i, lane).query == s.at(j, lane).query))
                    return false;
    return true;
}

// The bits in which lanes with the same queries differ.
uint32_t rowLanes(const Held& s)
{
    uint32_t bits = 0;
    for (uint32_t bit = 1; bit < s.lanes; bit *= 2)
    {
        bool is_same = true;
        for (uint32_t i = 0; i < s.components * s.lanes && is_same; ++i)
        {
            const uint32_t component = i / s.lanes, lane = i % s.lanes;
            is_same = s.at(component, lane).query == s.at(component, lane ^ bit).query;
        }
        bits |= is_same ? bit : 0;
    }
    return bits;
}

// Whether component `place(tile, i)` of the operand P has the element that component i of that tile
// of S has, in every lane.
template <typename Place>
bool isChained(const Held& s, const Held& p, uint32_t tile_keys, Place place)
{
    for (uint32_t j = 0; j < p.components / s.components; ++j)
        for (uint32_t i = 0; i < s.components; ++i)
            for (uint32_t lane = 0; lane < s.lanes; ++lane)
            {
                const Element& e = s.at(i, lane);
                if (p.at(place(j, i), lane) != Element{e.query, j * tile_keys + e.key})
                    return false;
            }
    return true;
}

uint32_t chainOf(const Held& s, const Held& p, uint32_t tile_keys, uint32_t depth)
{
    const uint32_t tiles = depth / tile_keys;
    if (depth % tile_keys != 0 || p.components != tiles * s.components)
        return kThroughMemory;
    const auto tile_by_tile = [&](uint32_t j, uint32_t i)
    {
        return j * s.components + i;
    };
    const auto in_turns = [&](uint32_t j, uint32_t i)
    {
        return i * tiles + j;
    };
    return isChained(s, p, tile_keys, tile_by_tile) ? kTileByTile
           : isChained(s, p, tile_keys, in_turns)   ? kInTurns
                                                    : kThroughMemory;
}

// Each element of S has to be in one place, and the lanes of a row have to hold the whole row.
std::optional<MatrixLayout> layoutOf(std::span<const uint32_t> words, const MatrixShape& shape,
                                     bool is_turned)
{
    const Held s = heldOf(words, kProbeSums, is_turned);
    const Held p = heldOf(words, is_turned ? kProbeB : kProbeA, is_turned);
    const uint32_t tile_keys = is_turned ? shape.m : shape.n;
    std::vector<bool> is_held(shape.m * shape.n);
    for (const Element& e : s.elements)
    {
        const uint32_t at = e.query * tile_keys + e.key;
        if (e.key >= tile_keys || at >= is_held.size() || is_held[at])
            return {};
        is_held[at] = true;
    }
    if (s.elements.size() != is_held.size() || !std::has_single_bit(s.components))
        return {};

    const uint32_t row_lanes = rowLanes(s);
    for (uint32_t slots = 1; slots <= s.components; slots *= 2)
        for (uint32_t step = 1; step * slots <= s.components; step *= 2)
            if (hasSlots(s, slots, step) &&
                (s.components / slots << std::popcount(row_lanes)) == tile_keys)
                return MatrixLayout{shape,
                                    is_turned,
                                    s.components,
                                    slots,
                                    step,
                                    row_lanes,
                                    chainOf(s, p, tile_keys, shape.k)};
    return {};
}

uint32_t shuffles(const MatrixLayout& layout)
{
    return layout.slots * uint32_t(std::popcount(layout.row_lanes));
}

} // namespace

uint64_t probeBytes(const Caps& caps)
{
    const MatrixShape shape = probedShape(caps);
    const uint32_t lanes = matrixSubgroupSize(caps);
    const bool is_small = std::max({shape.m, shape.n, shape.k}) * shape.m <= kMaxComponents * lanes;
    if (shape.m == 0 || !is_small || !caps.matrix_refusal.empty())
        return 0;
    return (kProbeHeader + 3 * kMaxComponents * lanes) * sizeof(uint32_t);
}

PipelineKey probePipeline(const Caps& caps)
{
    const MatrixShape shape = probedShape(caps);
    const uint32_t lanes = matrixSubgroupSize(caps);
    return {Shader::probe, {lanes, shape.m, shape.n, shape.k}, sizeof(ProbePush), lanes, {}};
}

bool readProbe(const Caps& caps, std::span<const uint32_t> words,
               std::vector<MatrixLayout>& layouts, std::string& sentence)
{
    const MatrixShape shape = probedShape(caps);
    const uint32_t expected[] = {kProbeMark, shape.m, shape.n, shape.k, matrixSubgroupSize(caps)};
    if (words.size_bytes() != probeBytes(caps))
        sentence = "probe has " + std::to_string(words.size_bytes()) + " bytes, expected " +
                   std::to_string(probeBytes(caps)) + ", see lacunaGetProbeSize";
    else if (!std::equal(std::begin(expected), std::end(expected), words.begin()))
        sentence = "probe is not what lacunaCmdProbe wrote on this device";
    if (!sentence.empty())
        return false;
    for (uint32_t matrix = kProbeSums; matrix <= kProbeB; ++matrix)
        if (words[5 + matrix] == 0 || words[5 + matrix] > kMaxComponents)
            return true; // more than a kernel could hold
    for (const bool is_turned : {false, true})
        if (const auto layout = layoutOf(words, shape, is_turned))
            layouts.push_back(*layout);
    std::stable_sort(layouts.begin(), layouts.end(),
                     [](const MatrixLayout& a, const MatrixLayout& b)
                     {
                         const bool a_chains = a.chain != kThroughMemory;
                         const bool b_chains = b.chain != kThroughMemory;
                         return a_chains != b_chains ? a_chains : shuffles(a) < shuffles(b);
                     });
    return true;
}

} // namespace lacuna

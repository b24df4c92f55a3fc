// layouts.cpp - elements of 16x16 matrices in 32 lanes.
//
// SPDX-License-Identifier: Apache-2.0
#include "layouts.h"

#include "../../shaders/shared/matrices.h"

#include <algorithm>
#include <iterator>

namespace lacuna::gpus
{
namespace
{

constexpr uint32_t kSide = 16, kLanes = 32;

struct Element
{
    uint32_t row, column;
};
struct Layout
{
    uint32_t components[3]; // by matrix: kProbeSums, kProbeA, kProbeB
    Element (*element)(uint32_t matrix, uint32_t component, uint32_t lane);
};

// RDNA3 ISA, WMMA: half a wave has the even rows of the sums, the other the odd ones; both have the
// whole operands.
Element rdna3(uint32_t matrix, uint32_t i, uint32_t lane)
{
    const uint32_t place = lane % 16;
    return matrix == kProbeSums ? Element{2 * i + lane / 16, place}
           : matrix == kProbeA  ? Element{place, i}
                                : Element{i, place};
}

// RDNA4 ISA, WMMA: half a wave has 8 rows of the sums, and 8 of the operands' 16 steps.
Element rdna4(uint32_t matrix, uint32_t i, uint32_t lane)
{
    const uint32_t place = lane % 16, step = i + 8 * (lane / 16);
    return matrix == kProbeA ? Element{place, step} : Element{step, place};
}

// PTX ISA, mma.m16n8k16, two of them side by side: 4 lanes have a row, and the row 8 below it.
Element nvidia(uint32_t matrix, uint32_t i, uint32_t lane)
{
    const uint32_t line = lane / 4 + 8 * (i / 2 % 2), pair = lane % 4 * 2 + i % 2;
    return matrix == kProbeB ? Element{pair + 8 * (i / 2 % 2), lane / 4 + 8 * (i / 4)}
                             : Element{line, pair + 8 * (i / 4)};
}

} // namespace

std::vector<uint32_t> probeOf(const std::string& target)
{
    Layout layout = {{8, 8, 8}, nullptr};
    if (target == "navi31" || target == "gfx1151")
        layout = {{8, 16, 16}, rdna3};
    else if (target == "gfx1201")
        layout.element = rdna4;
    else if (target == "turing" || target == "ampere")
        layout.element = nvidia;
    if (!layout.element)
        return {};

    std::vector<uint32_t> words(kProbeHeader + 3 * kMaxComponents * kLanes);
    const uint32_t header[] = {kProbeMark, kSide, kSide, kSide, kLanes};
    std::copy(std::begin(header), std::end(header), words.begin());
    for (const uint32_t matrix : {kProbeSums, kProbeA, kProbeB})
    {
        words[5 + matrix] = layout.components[matrix];
        for (uint32_t i = 0; i < layout.components[matrix]; ++i)
            for (uint32_t lane = 0; lane < kLanes; ++lane)
            {
                const Element e = layout.element(matrix, i, lane);
                words[kProbeHeader + (matrix * kMaxComponents + i) * kLanes + lane] =
                    e.row << 16 | e.column;
            }
    }
    return words;
}

} // namespace lacuna::gpus

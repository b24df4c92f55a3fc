// select.cpp - SELECT: the best-scoring blocks of every row as a bit map, by number or by mass.
//
// SPDX-License-Identifier: Apache-2.0

#include "passes.h"

#include "../../shaders/shared/select.h"

#include <algorithm>

namespace lacuna
{
namespace
{

constexpr uint32_t kThreads = 64;

// What both rules are told about rows and candidates; returns the bit map that they fill.
template <typename Push, typename Params>
Slot describeRows(PlanBuilder& b, const Params& params, Push& push)
{
    push.slices = b.problem().heads();
    push.rows = params.rows;
    push.row_begin = params.row_begin;
    push.row_end = params.row_end;
    push.blocks = params.blocks;
    push.candidate_begin = params.candidate_begin;
    push.candidate_end = params.candidate_end;
    push.words = (params.blocks + 31) / 32;
    push.keep = params.keep;
    return b.workspace(uint64_t(push.slices) * push.rows * push.words * sizeof(uint32_t));
}

} // namespace

Slot selectTopk(PlanBuilder& b, Slot scores, const TopkParams& params)
{
    TopkPush push = {};
    const Slot bits = describeRows(b, params, push);
    push.local_radius = params.local_radius;

    // Where the middle of a row lies among the candidates: the diagonal, also when there are more rows than candidates.
    const uint64_t rows = params.row_end - params.row_begin;
    const uint64_t candidates = params.candidate_end - params.candidate_begin;
    std::vector<uint32_t> own(rows);
    for (uint64_t row = 0; row < rows; ++row)
        own[row] = uint32_t((2 * row + 1) * candidates / (2 * rows));

    b.pass(Shader::topk, "top blocks")
        .read(offsetof(TopkPush, scores), scores)
        .read(offsetof(TopkPush, own), b.constants(own))
        .write(offsetof(TopkPush, bits), bits)
        .spec({kThreads})
        .push(push)
        .groups(push.rows, std::min(push.slices, b.caps().max_groups[1]));
    return bits;
}

Slot selectTopP(PlanBuilder& b, Slot scores, const TopPParams& params)
{
    TopPPush push = {};
    const Slot bits = describeRows(b, params, push);
    push.share = float(params.share);
    push.scale = float(b.problem().scale);
    const Slot always = params.always.empty() ? Slot() : b.constants(params.always);

    b.pass(Shader::top_p, "top mass")
        .read(offsetof(TopPPush, scores), scores)
        .read(offsetof(TopPPush, always), always)
        .write(offsetof(TopPPush, bits), bits)
        .spec({kThreads})
        .push(push)
        .groups(push.rows, std::min(push.slices, b.caps().max_groups[1]));
    return bits;
}

} // namespace lacuna

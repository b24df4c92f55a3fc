// dense.cpp - keep every key: the baseline that all speed-ups and errors are quoted against.
//
// SPDX-License-Identifier: Apache-2.0
//
//   Q, K, V ------------------------------> attend
//   one list row with one span of all keys ---^
//
// Cost     4 * Nq * Nk * D floating-point operations per head.
// Passes   attend
// Limits   none

#include "method.h"

#include "../passes/attend.h"
#include "../passes/passes.h"

#include <cstring>

namespace lacuna
{
namespace
{

std::string unsupportedReason(const Problem&, const Options&)
{
    return {};
}

Built build(PlanBuilder& b, const Problem& p, const Options&)
{
    KeySpans spans;
    spans.rows = 1; // a row of any length: attend cuts it into tiles that suit the device
    spans.append({{0, p.k_len}});

    Built built;
    built.q_order = rasterOrder(p.q_len, p.q_len);
    built.k_order = rasterOrder(p.k_len, p.k_len);
    built.list = staticSpans(b, spans);
    attend(b, {operandQ(p), operandK(p), operandV(p), built.q_order, built.list});
    return built;
}

void reference(const Problem& p, const Options&, const ReferenceInputs&, uint32_t, uint32_t query_count,
               uint8_t* mask)
{
    std::memset(mask, 1, uint64_t(p.heads()) * query_count * p.k_len);
}

} // namespace

extern const Method kDense;
const Method kDense = {
    .name = "dense",
    .title = "every key",
    .paper = "",
    .kind = "static",
    .options = {},
    .unsupportedReason = unsupportedReason,
    .build = build,
    .reference = reference,
};

} // namespace lacuna

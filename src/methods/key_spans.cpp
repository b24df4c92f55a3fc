// key_spans.cpp - keep the keys that the caller lists: for selections made outside Lacuna.
//
// SPDX-License-Identifier: Apache-2.0
//
//   the caller's ranges {first, count} [B, Hq, rows] --+
//   the caller's spans  {begin, end}                 --+--> attend
//
// Idea     row r holds queries r * block .. (r + 1) * block - 1; for head h of batch b its spans are
//          spans[first .. first + count] with {first, count} = ranges[(b * Hq + h) * rows + r]. Queries and keys are
//          counted in LacunaPlanDesc::order, where the caller gives one.
// Cost     what the spans keep.
// Passes   with an order gather v and gather k, attend
// Limits   spans must be ascending, disjoint and within 0..Nk: they are read on the device, where nothing checks them.
//          There is no reference mask, because the list exists on the device only.

#include "method.h"

#include "../passes/attend.h"
#include "../passes/passes.h"

namespace lacuna
{
namespace
{

enum
{
    kBlock
};

const OptionDesc kOptions[] = {
    {"block", OptionType::Int, "64", 1, 65536, "queries of one list row"},
};

std::string unsupportedReason(const Problem&, const Options&)
{
    return {};
}

Built build(PlanBuilder& b, const Problem& p, const Options& options)
{
    const uint32_t block = uint32_t(options.integer(kBlock));

    Built built;
    built.q_order = rasterOrder(p.q_len, block);
    built.k_order = rasterOrder(p.k_len, block);
    built.q_order.perm = built.k_order.perm = p.order;
    built.list.ranges = PlanBuilder::caller(Caller::Ranges);
    built.list.spans = PlanBuilder::caller(Caller::Spans);
    built.list.head_stride = built.q_order.blocks();
    const Operand v = gatherTokens(b, operandV(p), built.k_order, "gather v");
    const Operand k = gatherTokens(b, operandK(p), built.k_order, "gather k");
    attend(b, {operandQ(p), k, v, built.q_order, built.list});
    return built;
}

} // namespace

extern const Method kKeySpans;
const Method kKeySpans = {
    .name = "key_spans",
    .title = "the keys of a list that the caller made",
    .paper = "",
    .kind = "given",
    .options = kOptions,
    .unsupportedReason = unsupportedReason,
    .build = build,
    .reference = nullptr,
};

} // namespace lacuna

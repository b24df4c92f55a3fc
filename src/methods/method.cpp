// method.cpp - the last step that static methods share.
//
// SPDX-License-Identifier: Apache-2.0
#include "method.h"

#include "../passes/attend.h"
#include "../passes/passes.h"

namespace lacuna
{

Built attendSpans(PlanBuilder& b, const KeySpans& spans, const TokenOrder& queries, const TokenOrder& keys,
                  const KeyBounds& bounds)
{
    const Problem& p = b.problem();
    Built built;
    built.q_order = queries;
    built.k_order = keys;
    built.list = staticSpans(b, spans);
    built.max_density =
        double(spans.keptPairs(queries.borders, bounds)) / (double(spans.heads) * p.q_len * p.k_len);
    if (!bounds.empty())
        built.list.bounds = std::make_shared<const KeyBounds>(bounds);
    const Operand v = gatherTokens(b, operandV(p), keys, "gather v");
    const Operand k = gatherTokens(b, operandK(p), keys, "gather k");
    attend(b, {operandQ(p), k, v, built.q_order, built.list});
    return built;
}

} // namespace lacuna

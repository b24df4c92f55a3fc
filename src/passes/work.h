// work.h - ATTEND: work items of bounded length, and what is left to do after them.
//
// SPDX-License-Identifier: Apache-2.0
//
//   list --> items --+--> attend --> out, lse                     (rows that are kept whole)
//                    +--> attend --> partial (O, max, sum) --> merge --> out, lse
//
// A row with far more keys than a fair share is split, see shaders/shared/work.h. A list that the
// host knows is split here, and one whose rows are known to be alike is not split at all; for any
// other one three small passes write the items, as many as the worst case needs, and the empty ones
// end at once.
#pragma once

#include "attend.h"

#include <string>

namespace lacuna
{

struct Work
{
    Slot items; // AttendItem [item_count]
    uint32_t item_count = 0;
    Slot partials;      // f32 [slots, tile rows, D + 4]; not valid when no row can be split
    uint32_t slots = 0; // of the heads that share the items: those of one head
    Slot merges;        // MergeItem [merge_count]
    uint32_t merge_count = 0;
    uint32_t shares = 1; // heads that share items and merges
    std::string text;    // what `explain` shows
};

// Records the passes that make the items, if any. Failures go to b.fail().
Work makeWork(PlanBuilder& b, const AttendInputs& inputs, const AttendTile& tile);

// Records the merge of the partial results, if there can be any. `order`, `order_head` and `sinks`
// as in AttendPush and AttendParams.
void mergeWork(PlanBuilder& b, const Work& work, const AttendTile& tile, Slot order,
               uint32_t order_head, Slot sinks);

} // namespace lacuna

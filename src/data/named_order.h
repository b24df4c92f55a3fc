// named_order.h - the orders of a video by name, for callers that reorder their tokens themselves.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "video_grid.h"

#include <string>
#include <vector>

namespace lacuna
{

// order[position] = token, with the text in its place. Empty, and a sentence, when there is no order
// of that name or when it needs a box of at least one token a side, which the others do not take.
std::vector<uint32_t> namedOrder(const std::string& name, const VideoGrid& grid, const Size3* box,
                                 std::string& sentence);

} // namespace lacuna

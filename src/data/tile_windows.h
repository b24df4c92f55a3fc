// tile_windows.h - a box of tiles around each tile of a video.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "key_spans.h"

namespace lacuna
{

// Per axis with n tiles a window of k tiles is those with |key - c| <= k/2 around c = clamp(tile,
// k/2, n - 1 - k/2), or the whole axis if 2 * (k/2) + 1 >= n. Text queries keep every key, text
// keys are kept by every query. One row per block of `order`, one head.
KeySpans tileWindowSpans(const VideoGrid& grid, const TileOrder& order, const Size3& window);

} // namespace lacuna

// interspatial.cpp - Interspatial attention: the tokens of a frame of a video attend to the
// condition tokens of the same frame.
//
// SPDX-License-Identifier: Apache-2.0
//
//   keys             shared | frame 0 | frame 1 | frame 2        radius 0
//   video frame 0       x   |    x    |         |
//   video frame 1       x   |         |    x    |
//   video frame 2       x   |         |         |    x
//
// Idea     cross attention between two sets of tokens that have the same frames, as a video and the
//          points of a moving body: the map is not square, and a condition speaks about its own
//          frame. Token i of N is of frame floor(i T / N) of T frames, on both sides. A query keeps
//          the keys of the frames at most `radius` away from its own, and the first `shared` keys,
//          which belong to no frame (a camera, a reference image). With a video grid, where queries
//          and keys are the same tokens, the frames are those of the grid: this is the spatial half
//          of the blocks around it; text queries keep every key, text keys are kept by every query.
//          The temporal half is method `axial` with axis=temporal.
// Paper    arXiv 2505.15800, whose abstract describes this operator: cross attention between 2-D
//          tokens of a video and 3-D tokens of a body, beside blocks in space and in time. That a
//          frame sees the condition of its own frame is a reading of it; `radius` widens that, up
//          to everything. Its encoding of the places on both sides belongs to Q and K, and is
//          applied before.
// Cost     (2 radius + 1) / T of dense, and the shared keys.
// Passes   attend; the list is made on the host, one for all heads
// Limits   frames of very different numbers of tokens: both sides are cut evenly.

#include "method.h"

#include <algorithm>
#include <cstdlib>

namespace lacuna
{
namespace
{

enum
{
    kFrames,
    kRadius,
    kShared
};

const OptionDesc kOptions[] = {
    {"frames", OptionType::Int, "1", 1, 1048576,
     "frames of the queries and of the keys; with a grid they are those of the video"},
    {"radius", OptionType::Int, "0", 0, 1048576,
     "keys of frames at most this far from the query's own are kept"},
    {"shared", OptionType::Int, "0", 0, 1048576,
     "keys at the start that every query keeps; with a grid it is the text"},
};

std::string unsupportedReason(const Problem& p, const Options& options)
{
    const int64_t frames = options.integer(kFrames), shared = options.integer(kShared);
    if (!p.grid.empty())
        return {};
    if (frames > p.q_len)
        return "needs a query for each of " + std::to_string(frames) + " frames, not " +
               std::to_string(p.q_len);
    if (frames > int64_t(p.k_len) - shared)
        return "needs a key for each of " + std::to_string(frames) + " frames after " +
               std::to_string(shared) + " shared ones, not " + std::to_string(p.k_len);
    return {};
}

Built build(PlanBuilder& b, const Problem& p, const Options& options)
{
    const uint32_t frames = uint32_t(options.integer(kFrames)),
                   radius = uint32_t(options.integer(kRadius)),
                   shared = uint32_t(options.integer(kShared)),
                   frame_tokens = p.grid.size.h * p.grid.size.w;
    const VideoOrder queries =
        p.grid.empty() ? evenOrder(p.q_len, frames, 0, 0) : videoOrder(p.grid, {}, frame_tokens);
    const VideoOrder keys = p.grid.empty() ? evenOrder(p.k_len, frames, shared, 0) : queries;
    const KeySpans spans =
        blockSpans(queries, keys,
                   [&](uint32_t i, uint32_t j) { return (i > j ? i - j : j - i) <= radius; });
    return attendSpans(b, spans, queries, keys);
}

// The definition, token by token.
bool keeps(const Problem& p, const Options& options, int64_t query, int64_t key)
{
    int64_t queries = p.q_len, keys = p.k_len, frames = options.integer(kFrames);
    if (p.grid.empty())
    {
        key -= options.integer(kShared);
        keys -= options.integer(kShared);
        if (key < 0)
            return true;
    }
    else
    {
        query -= p.grid.text_before;
        key -= p.grid.text_before;
        frames = p.grid.size.t;
        queries = keys = frames * p.grid.size.h * p.grid.size.w;
        if (query < 0 || query >= queries || key < 0 || key >= keys)
            return true;
    }
    return std::abs(query * frames / queries - key * frames / keys) <= options.integer(kRadius);
}

void reference(const Problem& p, const Options& options, const ReferenceInputs&,
               uint32_t first_query, uint32_t query_count, uint8_t* mask)
{
    fillMask(p, first_query, query_count, mask,
             [&](uint32_t query, uint32_t key) { return keeps(p, options, query, key); });
}

} // namespace

extern const Method kInterspatial;
const Method kInterspatial = {
    .name = "interspatial",
    .title = "the condition tokens of the same frame, in cross attention",
    .paper = "arXiv 2505.15800, Interspatial Attention for Efficient 4D Human Video Generation "
             "(its operator)",
    .kind = "static",
    .options = kOptions,
    .unsupportedReason = unsupportedReason,
    .build = build,
    .reference = reference,
};

} // namespace lacuna

// streaming.cpp - attention sinks and a local window: the first frames, and those around each
// frame.
//
// SPDX-License-Identifier: Apache-2.0
//
//   frame of the key     0   1   2   3   4   5   6       sinks 1, radius 1
//   frame 0 keeps       [x   x]
//   frame 4 keeps       [x]         [x   x   x]
//   frame 6 keeps       [x]                 [x   x]     cut off at a border, not moved
//
// Idea     nearby tokens carry most of the attention, and the first ones collect what is left over:
//          softmax weights have to go somewhere, and without those keys the quality collapses. With
//          a grid the blocks are frames, without one they are runs of `block` tokens. Query block i
//          keeps key block j when j < sinks or |j - own(i)| <= radius, where own(i) = floor((2i +
//          1) M / (2 Mq)) is the key block at the same place: i itself when there are as many query
//          blocks Mq as key blocks M. With direction `back`, j > own(i) is dropped, sinks included,
//          as in models that make a video frame by frame. Text queries keep every key, text keys
//          are kept by every query.
// Paper    arXiv 2309.17453. There the sinks are the first 4 tokens, the window is the last ones,
//          the model is causal by token and positions are counted inside the kept keys. Here whole
//          blocks are kept, and positions stay.
// Cost     about (sinks + 2 * radius + 1) / blocks of dense.
// Passes   attend; the list is made on the host, one for all heads
// Limits   no causal mask inside a block: `back` is causal by frame.

#include "method.h"

#include <algorithm>

namespace lacuna
{
namespace
{

enum
{
    kBlock,
    kSinks,
    kRadius,
    kDirection
};

enum
{
    kBoth,
    kBack
};

const OptionDesc kOptions[] = {
    {"block", OptionType::Int, "64", 1, 65536,
     "tokens of one block, without a grid; with one, a block is a frame"},
    {"sinks", OptionType::Int, "1", 0, 1048576, "blocks at the start that every query keeps"},
    {"radius", OptionType::Int, "1", 0, 1048576,
     "blocks at most this far from the query's own are kept"},
    {"direction", OptionType::Choice, "both", 0, 1,
     "back: blocks after the query's own are dropped", "both|back"},
};

std::string unsupportedReason(const Problem&, const Options&)
{
    return {};
}

Built build(PlanBuilder& b, const Problem& p, const Options& options)
{
    // 1. Blocks: frames of the video, or runs of tokens. Raster order stays, so nothing has to be
    // gathered.
    const uint32_t block = uint32_t(options.integer(kBlock)), frame = p.grid.size.h * p.grid.size.w;
    const VideoOrder queries =
        p.grid.empty() ? sequenceOrder(p.q_len, block) : videoOrder(p.grid, {}, frame);
    const VideoOrder keys = p.grid.empty() ? sequenceOrder(p.k_len, block) : queries;

    // 2. The list: which key blocks does each query block keep?
    const uint32_t sinks = uint32_t(options.integer(kSinks)),
                   radius = uint32_t(options.integer(kRadius));
    const bool is_back = options.integer(kDirection) == kBack;
    const KeySpans spans =
        blockSpans(queries, keys,
                   [&](uint32_t i, uint32_t j)
                   {
                       const uint32_t own = uint32_t((2 * uint64_t(i) + 1) * keys.video_blocks /
                                                     (2 * uint64_t(queries.video_blocks)));
                       return j > own ? !is_back && (j < sinks || j - own <= radius)
                                      : j < sinks || own - j <= radius;
                   });

    // 3. Attention over that list.
    return attendSpans(b, spans, queries, keys);
}

// The definition, token by token.
bool keeps(const Problem& p, const Options& options, int64_t query, int64_t key)
{
    int64_t block = options.integer(kBlock), q_tokens = p.q_len, k_tokens = p.k_len;
    if (!p.grid.empty())
    {
        query -= p.grid.text_before;
        key -= p.grid.text_before;
        q_tokens = k_tokens = int64_t(p.grid.size.volume());
        const bool is_text = query < 0 || query >= q_tokens || key < 0 || key >= k_tokens;
        if (is_text)
            return true;
        block = int64_t(p.grid.size.h) * p.grid.size.w;
    }
    const int64_t q_blocks = (q_tokens + block - 1) / block,
                  k_blocks = (k_tokens + block - 1) / block;
    const int64_t own = (2 * (query / block) + 1) * k_blocks / (2 * q_blocks);
    const int64_t key_block = key / block;
    if (options.integer(kDirection) == kBack && key_block > own)
        return false;
    return key_block < options.integer(kSinks) ||
           std::abs(key_block - own) <= options.integer(kRadius);
}

void reference(const Problem& p, const Options& options, const ReferenceInputs&,
               uint32_t first_query, uint32_t query_count, uint8_t* mask)
{
    fillMask(p, first_query, query_count, mask,
             [&](uint32_t query, uint32_t key) { return keeps(p, options, query, key); });
}

} // namespace

extern const Method kStreaming;
const Method kStreaming = {
    .name = "streaming",
    .title = "the first frames, and the frames around each frame",
    .paper = "arXiv 2309.17453, Efficient Streaming Language Models with Attention Sinks (by "
             "frames or blocks)",
    .kind = "static",
    .options = kOptions,
    .unsupportedReason = unsupportedReason,
    .build = build,
    .reference = reference,
};

} // namespace lacuna

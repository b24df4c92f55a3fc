// memory_cross.cpp - cross attention to a memory: its first slots, its last ones, some between, and
// the current frames.
//
// SPDX-License-Identifier: Apache-2.0
//
//   keys         slot 0 | slot 1 | slot 2 | slot 3 | slot 4 | slot 5 | current
//   every query     x   |        |    x   |        |    x   |    x   |    x
//                                                          sinks=1 recent=1 every=2
//
// Idea     the keys are a memory, cut evenly into `slots` slots (a slot is what one frame left
//          there), and behind it `current` keys of the frames that ask. Every query keeps the first
//          `sinks` slots, the last `recent` ones, of the others those whose number is a multiple of
//          `every` (0: none), and the current keys. As it comes it keeps the whole memory, of any
//          size beside any number of queries. With a video grid the slots are its frames; text
//          queries keep every key, text keys are kept by every query.
// Paper    arXiv 2403.17937, modulated cross-attention memory: a memory of constant size (latents)
//          asks the new frame, and a frame asks the memory; both are rectangles without a mask, and
//          the default here. Its V is made by convolutions of the context and its gates: that is a
//          layer before the attention, and an input here. The other options are for memories that
//          grow, which the paper compares with: the first frame, the latest, and every n-th.
// Cost     the share of the keys that is kept.
// Passes   attend; the list is made on the host, one for all heads
// Limits   slots of different sizes; which slots are kept does not depend on what is in them.

#include "method.h"

#include <algorithm>

namespace lacuna
{
namespace
{

enum
{
    kSlots,
    kSinks,
    kRecent,
    kEvery,
    kCurrent
};

const OptionDesc kOptions[] = {
    {"slots", OptionType::Int, "1", 1, 1048576,
     "slots of the memory; with a grid they are the frames of the video"},
    {"sinks", OptionType::Int, "1", 0, 1048576, "slots at the start that every query keeps"},
    {"recent", OptionType::Int, "1048576", 0, 1048576, "slots at the end that every query keeps"},
    {"every", OptionType::Int, "0", 0, 1048576,
     "of the slots between, those whose number is a multiple of this are kept; 0: none"},
    {"current", OptionType::Int, "0", 0, 1048576,
     "keys behind the memory that every query keeps; with a grid it is the text"},
};

std::string unsupportedReason(const Problem& p, const Options& options)
{
    const int64_t slots = options.integer(kSlots), current = options.integer(kCurrent);
    if (p.grid.empty() && slots > int64_t(p.k_len) - current)
        return "needs a key for each of " + std::to_string(slots) + " slots before " +
               std::to_string(current) + " current ones, not " + std::to_string(p.k_len);
    return {};
}

Built build(PlanBuilder& b, const Problem& p, const Options& options)
{
    const Size3& size = p.grid.size;
    const bool has_grid = !p.grid.empty();
    const VideoOrder queries = has_grid ? videoOrder(p.grid, {}, uint32_t(size.volume()))
                                        : evenOrder(p.q_len, 1, 0, 0);
    const VideoOrder keys = has_grid ? videoOrder(p.grid, {}, size.h * size.w)
                                     : evenOrder(p.k_len, uint32_t(options.integer(kSlots)), 0,
                                                 uint32_t(options.integer(kCurrent)));
    const int64_t sinks = options.integer(kSinks), every = options.integer(kEvery),
                  recent = options.integer(kRecent);
    const KeySpans spans = blockSpans(queries, keys,
                                      [&](uint32_t, int64_t slot)
                                      {
                                          return slot < sinks ||
                                                 slot >= int64_t(keys.video_blocks) - recent ||
                                                 (every > 0 && slot % every == 0);
                                      });
    return attendSpans(b, spans, queries, keys);
}

// The definition, token by token.
bool keeps(const Problem& p, const Options& options, int64_t query, int64_t key)
{
    int64_t slots = options.integer(kSlots), keys = p.k_len - options.integer(kCurrent);
    if (!p.grid.empty())
    {
        query -= p.grid.text_before;
        key -= p.grid.text_before;
        slots = p.grid.size.t;
        keys = slots * p.grid.size.h * p.grid.size.w;
        if (query < 0 || query >= keys || key < 0)
            return true;
    }
    if (key >= keys)
        return true;
    const int64_t slot = key * slots / keys, every = options.integer(kEvery);
    return slot < options.integer(kSinks) || slots - slot <= options.integer(kRecent) ||
           (every != 0 && slot % every == 0);
}

void reference(const Problem& p, const Options& options, const ReferenceInputs&,
               uint32_t first_query, uint32_t query_count, uint8_t* mask)
{
    fillMask(p, first_query, query_count, mask,
             [&](uint32_t query, uint32_t key) { return keeps(p, options, query, key); });
}

} // namespace

extern const Method kMemoryCross;
const Method kMemoryCross = {
    .name = "memory_cross",
    .title = "the slots of a memory, or its first, its last and some between, in cross attention",
    .paper = "arXiv 2403.17937, Efficient Video Object Segmentation via Modulated Cross-Attention "
             "Memory (its operator)",
    .kind = "static",
    .options = kOptions,
    .unsupportedReason = unsupportedReason,
    .build = build,
    .reference = reference,
};

} // namespace lacuna

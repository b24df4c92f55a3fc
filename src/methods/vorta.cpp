// vorta.cpp - VORTA: heads that look at everything, at tiles around them, or at the half of the
// keys that stands for the rest.
//
// SPDX-License-Identifier: Apache-2.0
//
//   a bucket of 2 x 3 x 2    frame 0   frame 1    c  its centre
//                              k m       m k      k  the tokens least like it: with c the coreset
//                              m k       k c      m  the tokens most like it, which c stands for
//                              k m       m m
//
// Idea     a router sends each head to one of three branches. `full` keeps every key. `sliding` is
//          Sliding Tile Attention, as method `sliding_tile`. `coreset` cuts the video into buckets
//          and keeps of each one its centre, and of the n - 1 others the max(0, floor(n (1 -
//          merge)) - 1) that are least similar to it (cosine; ties to the earlier token); the
//          centre stands for the others. Tokens are compared by Q, each head by its own, or by K.
//          Text queries keep every key, text keys are kept by every query.
// Paper    arXiv 2505.18809. Its router sees the diffusion time only, and full attention takes the
//          place of a choice that it is less than 0.3 sure of: `heads` takes the outcome, the table
//          of one layer in one step. For Wan the authors compare Q, for HunyuanVideo K. They merge
//          queries too: only those of the coreset are computed, and the others get a copy of what
//          their centre got. Here every query has a result of its own, at twice the work. Their
//          grids are multiples of the bucket; here buckets at the border hold just the tokens that
//          exist.
// Cost     full 1, coreset about 1 - merge, sliding as sliding_tile, of dense; the similarities
//          cost N D multiply-adds, and K and V are copied once for each query head.
// Passes   coreset of the keys, gather V, gather K, attend. The order of the keys is made on the
//          device, the coreset first; the list is made on the host.
// Limits   queries are not merged.

#include "method.h"

#include "../data/tile_windows.h"
#include "../passes/attend.h"
#include "../passes/passes.h"

#include <algorithm>
#include <cmath>

namespace lacuna
{
namespace
{

enum
{
    kHeads,
    kTile,
    kWindow,
    kBucket,
    kMerge,
    kMatch
};

enum
{
    kFull,
    kCoreset,
    kSliding
};

enum
{
    kMatchQ,
    kMatchK
};

const OptionDesc kOptions[] = {
    {"heads", OptionType::PerHead, "coreset", 0, 2, "the branch of each query head",
     "full|coreset|sliding"},
    {"tile", OptionType::Size3, "4x4x4", 1, 64, "sliding: tokens of one tile"},
    {"window", OptionType::Size3, "3x3x3", 1, 1024, "sliding: tiles kept around each tile"},
    {"bucket", OptionType::Size3, "2x3x2", 1, 4, "coreset: tokens of one bucket"},
    {"merge", OptionType::Float, "0.5", 0, 1,
     "coreset: share of a bucket that its centre stands for, about"},
    {"match", OptionType::Choice, "q", 0, 1, "coreset: what tokens are compared by", "q|k"},
};

std::string unsupportedReason(const Problem& p, const Options&)
{
    return p.grid.empty() ? "needs a video grid" : "";
}

Coreset makeCoreset(const Problem& p, const Options& options, const TileOrder& others)
{
    const TileOrder buckets = tileOrder(p.grid, options.size3(kBucket));
    Coreset coreset;
    coreset.buckets = buckets;
    coreset.others = others;
    for (uint32_t i = 0; i < buckets.video_blocks; ++i)
    {
        const Size3 at = buckets.tileAt(i), &size = p.grid.size, &bucket = buckets.tile;
        const Size3 box = {std::min(bucket.t, size.t - at.t * bucket.t),
                           std::min(bucket.h, size.h - at.h * bucket.h),
                           std::min(bucket.w, size.w - at.w * bucket.w)};
        const uint32_t kept = uint32_t(double(box.volume()) * (1 - options.number(kMerge)));
        coreset.centres.push_back((box.t / 2 * box.h + box.h / 2) * box.w + box.w / 2);
        coreset.kept.push_back(kept > 0 ? kept - 1 : 0);
    }
    for (uint32_t head = 0; head < p.q_heads; ++head)
        coreset.has_coreset.push_back(options.choice(kHeads, head) == kCoreset);
    return coreset;
}

// What every video query of a coreset head keeps; text queries keep everything.
KeySpans coresetSpans(const VideoGrid& grid, const TileOrder& rows, uint32_t coreset_tokens)
{
    const uint32_t tokens = uint32_t(grid.tokens());
    std::vector<KeySpan> kept = {{0, grid.text_before + coreset_tokens}};
    if (grid.text_after > 0)
        kept.push_back({tokens - grid.text_after, tokens});
    KeySpans spans;
    spans.rows = rows.blocks();
    for (uint32_t row = 0; row < rows.blocks(); ++row)
    {
        const uint32_t i = row - rows.first_block; // wraps to a large number for text before
        spans.append(i < rows.video_blocks ? kept : std::vector<KeySpan>{{0, tokens}});
    }
    return spans;
}

KeySpans listOf(const Problem& p, const Options& options, const TileOrder& order,
                const Coreset& coreset)
{
    KeySpans branches[3];
    for (const uint32_t kind : options.heads(kHeads))
    {
        if (branches[kind].rows > 0)
            continue;
        if (kind == kSliding)
            branches[kind] = tileWindowSpans(p.grid, order, options.size3(kWindow));
        else if (kind == kCoreset)
            branches[kind] = coresetSpans(p.grid, order, coreset.tokens());
        else
            branches[kind] = blockSpans(order, order, [](uint32_t, uint32_t) { return true; });
    }
    if (options.heads(kHeads).size() == 1)
        return branches[options.heads(kHeads)[0]];
    KeySpans spans;
    spans.rows = order.blocks();
    spans.heads = p.heads();
    for (uint32_t slice = 0; slice < p.heads(); ++slice)
        spans.appendHead(branches[options.choice(kHeads, slice % p.q_heads)]);
    return spans;
}

// Tiles at the border fill a workgroup badly: without sliding heads the video is one tile.
TileOrder orderOf(const Problem& p, const Options& options)
{
    const std::vector<uint32_t>& heads = options.heads(kHeads);
    const bool has_tiles = std::find(heads.begin(), heads.end(), kSliding) != heads.end();
    return tileOrder(p.grid, has_tiles ? options.size3(kTile) : p.grid.size);
}

Built build(PlanBuilder& b, const Problem& p, const Options& options)
{
    const TileOrder order = orderOf(p, options);
    const Coreset coreset = makeCoreset(p, options, order);
    const KeySpans spans = listOf(p, options, order, coreset);
    const std::vector<uint32_t>& has_coreset = coreset.has_coreset;
    if (std::find(has_coreset.begin(), has_coreset.end(), 1u) == has_coreset.end())
        return attendSpans(b, spans, order, order);

    Built built;
    built.q_order = built.k_order = order;
    built.device_k_order = coresetOrder(
        b, options.integer(kMatch) == kMatchQ ? operandQ(p) : operandK(p), coreset);
    built.list = staticSpans(b, spans);
    built.max_density =
        double(spans.keptPairs(order.borders)) / (double(spans.heads) * p.q_len * p.k_len);
    const Operand v = gatherTokens(b, operandV(p), built.device_k_order, "gather v");
    const Operand k = gatherTokens(b, operandK(p), built.device_k_order, "gather k");
    attend(b, {operandQ(p), k, v, built.q_order, built.list});
    return built;
}

// The definition, bucket by bucket.
double cosine(const float* a, const float* b, uint32_t dim)
{
    double product = 0, a_square = 0, b_square = 0;
    for (uint32_t d = 0; d < dim; ++d)
    {
        product += double(a[d]) * b[d];
        a_square += double(a[d]) * a[d];
        b_square += double(b[d]) * b[d];
    }
    return a_square > 0 && b_square > 0 ? product / std::sqrt(a_square * b_square) : 0;
}

struct Box
{
    uint32_t t0, t1, h0, h1, w0, w1;
};

// Marks the coreset of one bucket; `x` has the tokens of a head.
void markBucket(const Problem& p, const Options& options, const Box& box, const float* x,
                std::vector<uint8_t>& is_kept)
{
    std::vector<uint32_t> tokens;
    for (uint32_t t = box.t0; t < box.t1; ++t)
        for (uint32_t h = box.h0; h < box.h1; ++h)
            for (uint32_t w = box.w0; w < box.w1; ++w)
                tokens.push_back(p.grid.text_before + (t * p.grid.size.h + h) * p.grid.size.w + w);
    const uint32_t ct = box.t0 + (box.t1 - box.t0) / 2, ch = box.h0 + (box.h1 - box.h0) / 2,
                   cw = box.w0 + (box.w1 - box.w0) / 2;
    const uint32_t centre = p.grid.text_before + (ct * p.grid.size.h + ch) * p.grid.size.w + cw;
    is_kept[centre] = 1;

    const int64_t margins = int64_t(double(tokens.size()) * (1 - options.number(kMerge))) - 1;
    std::vector<std::pair<double, uint32_t>> others;
    for (const uint32_t token : tokens)
        if (token != centre)
            others.push_back({cosine(x + uint64_t(token) * p.head_dim,
                                     x + uint64_t(centre) * p.head_dim, p.head_dim),
                              token});
    std::sort(others.begin(), others.end());
    for (int64_t i = 0; i < margins; ++i)
        is_kept[others[size_t(i)].second] = 1;
}

std::vector<uint8_t> coresetOf(const Problem& p, const Options& options, const float* x)
{
    const Size3 size = p.grid.size, bucket = options.size3(kBucket);
    std::vector<uint8_t> is_kept(p.k_len, 1);
    std::fill_n(is_kept.begin() + p.grid.text_before, size.volume(), uint8_t(0));
    for (uint32_t t = 0; t < size.t; t += bucket.t)
        for (uint32_t h = 0; h < size.h; h += bucket.h)
            for (uint32_t w = 0; w < size.w; w += bucket.w)
                markBucket(p, options,
                           {t, std::min(t + bucket.t, size.t), h, std::min(h + bucket.h, size.h), w,
                            std::min(w + bucket.w, size.w)},
                           x, is_kept);
    return is_kept;
}

// Sliding Tile Attention on one axis.
bool slides(uint32_t query, uint32_t key, uint32_t length, uint32_t tile, uint32_t window)
{
    const int64_t tiles = (length + tile - 1) / tile, reach = window / 2;
    if (2 * reach + 1 >= tiles)
        return true;
    int64_t middle = query / tile;
    middle = std::max(middle, reach);
    middle = std::min(middle, tiles - 1 - reach);
    return std::abs(int64_t(key / tile) - middle) <= reach;
}

bool slides(const Problem& p, const Options& options, uint32_t q, uint32_t k)
{
    const Size3 size = p.grid.size, tile = options.size3(kTile), window = options.size3(kWindow);
    const uint32_t frame = size.h * size.w;
    return slides(q / frame, k / frame, size.t, tile.t, window.t) &&
           slides(q % frame / size.w, k % frame / size.w, size.h, tile.h, window.h) &&
           slides(q % size.w, k % size.w, size.w, tile.w, window.w);
}

void reference(const Problem& p, const Options& options, const ReferenceInputs& inputs,
               uint32_t first_query, uint32_t query_count, uint8_t* mask)
{
    const uint32_t before = p.grid.text_before, video = uint32_t(p.grid.size.volume());
    const auto isText = [&](uint32_t token) { return token < before || token >= before + video; };
    for (uint32_t slice = 0; slice < p.heads(); ++slice)
    {
        const uint32_t head = slice % p.q_heads, kind = options.choice(kHeads, head);
        std::vector<uint8_t> coreset;
        if (kind == kCoreset && options.integer(kMatch) == kMatchQ)
            coreset = coresetOf(p, options, inputs.q + uint64_t(slice) * p.q_len * p.head_dim);
        else if (kind == kCoreset)
            coreset = coresetOf(p, options,
                                inputs.k + uint64_t(slice / p.q_heads * p.kv_heads +
                                                    p.keyHead(head)) *
                                               p.k_len * p.head_dim);
        for (uint32_t i = 0; i < query_count; ++i)
            for (uint32_t key = 0; key < p.k_len; ++key)
            {
                const uint32_t query = first_query + i;
                uint8_t& kept = mask[(uint64_t(slice) * query_count + i) * p.k_len + key];
                if (kind == kFull || isText(query) || isText(key))
                    kept = 1;
                else
                    kept = kind == kCoreset ? coreset[key]
                                            : slides(p, options, query - before, key - before);
            }
    }
}

} // namespace

extern const Method kVorta;
const Method kVorta = {
    .name = "vorta",
    .title = "everything, tiles around each tile, or the half of the keys that stands for the "
             "rest, as each head is routed",
    .paper = "arXiv 2505.18809, VORTA: Efficient Video Diffusion via Routing Sparse Attention",
    .kind = "dynamic",
    .options = kOptions,
    .unsupportedReason = unsupportedReason,
    .build = build,
    .reference = reference,
};

} // namespace lacuna

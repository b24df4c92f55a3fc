// method.h - all that the author of a method needs: one file in src/methods/, one line in methods.inc.
//
// SPDX-License-Identifier: Apache-2.0
//
// A method answers "which keys does each query keep?" and never contains an attention kernel. It
//   1. builds a TokenOrder (or none), and key blocks;
//   2. makes a list: staticSpans() from KeySpans built on the host, or estimate -> select -> spans on the device;
//   3. ends with attend().
// Beside it stands reference(): the paper's definition, token by token, sharing nothing with build().
#pragma once

#include "../data/key_spans.h"
#include "../data/token_order.h"
#include "../plan/options.h"
#include "../plan/plan_builder.h"
#include "../plan/problem.h"

#include <algorithm>
#include <cstdint>
#include <set>
#include <span>
#include <string>
#include <vector>

namespace lacuna
{

// What build() made, for explain, for lacunaGetPlanList and for the tests.
struct Built
{
    TokenOrder q_order; // borders are the rows of the list
    TokenOrder k_order; // borders are the key blocks
    Slot device_k_order; // uint32 [B * Hq, Nk] in the place of k_order, when it is made on the device
    List list;
    double max_density = 1; // kept pairs / all pairs: exact for a static list, else an upper bound
};

// Dense views of the caller's q, k and v for reference(); null for a static method.
struct ReferenceInputs
{
    const float* q = nullptr; // [B, Hq, Nq, D]
    const float* k = nullptr; // [B, Hkv, Nk, D]
    const float* v = nullptr; // [B, Hkv, Nk, D]; null unless Method::reads_v
};

// The last step of a static method: K and V brought into the order of the keys (V first, see gatherTokens), and attention
// over `spans`, whose rows are the blocks of `queries`. One head of spans serves all heads.
Built attendSpans(PlanBuilder& builder, const KeySpans& spans, const TokenOrder& queries, const TokenOrder& keys,
                  const KeyBounds& bounds = {});

// For a reference() whose rule is the same in every head: mask[.., i, k] = keeps(first_query + i, k), in the caller's
// tokens.
template <typename Rule>
void fillMask(const Problem& p, uint32_t first_query, uint32_t query_count, uint8_t* mask, const Rule& keeps)
{
    const uint64_t head_size = uint64_t(query_count) * p.k_len;
    for (uint32_t i = 0; i < query_count; ++i)
        for (uint32_t key = 0; key < p.k_len; ++key)
            mask[uint64_t(i) * p.k_len + key] = keeps(first_query + i, key);
    for (uint32_t slice = 1; slice < p.heads(); ++slice)
        std::copy_n(mask, head_size, mask + slice * head_size);
}

// Blocks of the tokens of a video, without text.
struct TokenBlocks
{
    uint32_t count;
    std::vector<uint32_t> of_token;
};

// For a reference() that decides by blocks: kept = rule(wanted, q, k) of each head, [count, count], of which only the rows
// of the wanted query blocks are read. Text keeps all, and all keep it.
template <typename Rule>
void fillBlockMask(const Problem& p, const ReferenceInputs& inputs, const TokenBlocks& blocks, uint32_t first_query,
                   uint32_t query_count, uint8_t* mask, const Rule& rule)
{
    const uint32_t tokens = uint32_t(blocks.of_token.size());
    std::set<uint32_t> wanted;
    for (uint32_t i = 0; i < query_count; ++i)
        if (const uint32_t query = first_query + i - p.grid.text_before; query < tokens)
            wanted.insert(blocks.of_token[query]);
    for (uint32_t slice = 0; slice < p.heads(); ++slice)
    {
        const uint64_t kv_slice = slice / p.q_heads * p.kv_heads + p.keyHead(slice % p.q_heads);
        const std::vector<uint8_t> kept = rule(wanted, inputs.q + uint64_t(slice) * p.q_len * p.head_dim,
                                               inputs.k + kv_slice * p.k_len * p.head_dim);
        for (uint32_t i = 0; i < query_count; ++i)
            for (uint32_t k = 0; k < p.k_len; ++k)
            {
                // Text wraps to large numbers.
                const uint32_t query = first_query + i - p.grid.text_before, key = k - p.grid.text_before;
                mask[(uint64_t(slice) * query_count + i) * p.k_len + k] =
                    query >= tokens || key >= tokens ||
                    kept[size_t(blocks.of_token[query]) * blocks.count + blocks.of_token[key]];
            }
    }
}

struct Method
{
    const char* name;
    const char* title; // what it keeps, in one clause
    const char* paper; // "arXiv 2502.04507, Sliding Tile Attention"; "" for none
    const char* kind;  // "static": the list depends on the shape only; "dynamic": on q and k; "given": by the caller
    bool reads_v = false; // dynamic, and it may depend on v too
    std::span<const OptionDesc> options;

    // Empty when the method can serve this problem, else one clause: "needs a video grid". Called before build.
    std::string (*unsupportedReason)(const Problem& problem, const Options& options);

    // Records the stages and ends with attend(). Failures go to builder.fail(). Called again for each part of the heads
    // where they are divided, with the problem and the options of that part.
    Built (*build)(PlanBuilder& builder, const Problem& problem, const Options& options);

    // The definition. mask: uint8 [B * Hq, query_count, Nk] in the caller's token order, zeroed before the call.
    // Null for kind "given".
    void (*reference)(const Problem& problem, const Options& options, const ReferenceInputs& inputs,
                      uint32_t first_query, uint32_t query_count, uint8_t* mask);
};

std::span<const Method* const> allMethods(); // in the order of methods.inc
const Method* findMethod(const char* name);

} // namespace lacuna

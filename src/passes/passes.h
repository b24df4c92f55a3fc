// passes.h - the stages before ATTEND: each function records one stage and returns where its result is.
//
// SPDX-License-Identifier: Apache-2.0
//
//   ORDER -> ESTIMATE -> SELECT -> LIST          (ATTEND: attend.h)
#pragma once

#include "../data/key_spans.h"
#include "../data/token_order.h"
#include "../plan/plan_builder.h"

namespace lacuna
{

// One operand on the device: [B, heads, tokens, D] with strides in elements.
struct Operand
{
    Slot slot;
    LacunaDtype dtype = LACUNA_DTYPE_F16;
    uint32_t heads = 1;
    uint32_t tokens = 1;
    Strides strides;
    Slot order;          // that it was gathered by, uint32 [orders, tokens]; not valid: the caller's
    uint32_t orders = 1; // one for all heads, or one for each head, or for each head of each batch
};
Operand operandQ(const Problem& problem);
Operand operandK(const Problem& problem);
Operand operandV(const Problem& problem);

// ORDER: a dense copy of `operand` with token perm[i] at position i (uint32 [tokens]). An empty order returns `operand`.
// With an order for each query head the copy has all query heads, also where they shared the keys of one head.
// Gather v when the list is done: lacunaCmdSelect stops before that pass.
Operand gatherTokens(PlanBuilder& b, const Operand& operand, const TokenOrder& order, const char* name);

// The same with an order made on the device, uint32 [B * Hq, tokens].
Operand gatherTokens(PlanBuilder& b, const Operand& operand, Slot order, const char* name);

// Of every bucket of a video its centre, and the tokens least similar to it.
struct Coreset
{
    VideoOrder buckets;                // tokens of a bucket side by side, at most 64
    std::vector<uint32_t> centres;     // [buckets], counted in the bucket
    std::vector<uint32_t> kept;        // [buckets], tokens besides the centre
    std::vector<uint32_t> has_coreset; // [Hq], 1: the head has one
    TokenOrder others;                 // the order of the other heads, with the same text

    uint32_t tokens() const; // without text
};
// ORDER: the order of the keys, uint32 [B * Hq, Nk]. For heads with a coreset: text before, the coreset, the tokens that
// it stands for, text after. `compared` is Q or K.
Slot coresetOrder(PlanBuilder& b, const Operand& compared, const Coreset& coreset);

// ESTIMATE: mean of every block, fp32 [B, heads, blocks, D]. The operand is in the caller's order, or in the method's
// when it was gathered (`gathered`). The order is one for all heads.
Slot poolBlocks(PlanBuilder& b, const Operand& operand, const TokenOrder& order, bool gathered, const char* name);

// ESTIMATE: W[b, h, I, J] = q_mean[I] . k_mean[J], fp32 [B, Hq, rows, blocks]. Not scaled: only its order matters.
Slot scoreBlocks(PlanBuilder& b, Slot q_mean, uint32_t rows, Slot k_mean, uint32_t blocks);

// SELECT: bit J of row I is set for the `keep` best blocks among candidate_begin .. candidate_end, forced ones counted
// first, ties to the lower block; plus every block outside the candidates (text). Rows outside row_begin .. row_end
// (text) keep everything. uint32 words [B, Hq, rows, ceil(blocks / 32)].
struct TopkParams
{
    uint32_t rows = 0, blocks = 0;
    uint32_t row_begin = 0, row_end = 0;
    uint32_t candidate_begin = 0, candidate_end = 0;
    uint32_t keep = 1;
    // Candidate j is forced for row i (both counted from their begin) when |j - own(i)| <= radius, where
    // own(i) = floor((2 i + 1) * candidates / (2 * rows)): i itself when there are as many rows as candidates.
    uint32_t local_radius = 0;
};
Slot selectTopk(PlanBuilder& b, Slot scores, const TopkParams& params);

// SELECT: bit J of row I is set for the candidates J of which fewer than `keep` are better, or whose
// better ones hold at most `share` of the mass of the row's softmax; for blocks that `always` names;
// and for text, as above.
struct TopPParams
{
    uint32_t rows = 0, blocks = 0;
    uint32_t row_begin = 0, row_end = 0;
    uint32_t candidate_begin = 0, candidate_end = 0;
    uint32_t keep = 0;
    double share = 0;
    std::vector<uint32_t> always; // bit map [rows, ceil(blocks / 32)] for all heads; empty: none
};
Slot selectTopP(PlanBuilder& b, Slot scores, const TopPParams& params);

// LIST: the list of a bit map, touching blocks merged; `max_blocks` bounds the blocks of one row.
List spansFromBits(PlanBuilder& b, Slot bits, uint32_t rows, const TokenOrder& k_order, uint32_t max_blocks);

// LIST: a list built on the host, in the constants.
List staticSpans(PlanBuilder& b, const KeySpans& spans);

// Some lists for the same queries and keys, and which of them each head gets.
struct Profile
{
    KeySpans lists;                // list i in the place of head i; no row is empty
    std::vector<uint32_t> choices; // [Hq]: a list, or the number of lists: list 0 or 1, as measured
    std::vector<uint32_t> samples; // queries that are measured, as the caller counts them
};
// ESTIMATE and LIST: attention under lists 0 and 1 is compared with dense attention for the sampled queries, and a head
// to be measured gets list 1 where that has the smaller squared error. Queries and keys are in the caller's order. It
// reads v: a method that uses it says so, see Method::reads_v.
List chooseLists(PlanBuilder& b, const Profile& profile, const TokenOrder& queries);

} // namespace lacuna

#version 460
// scalar.comp - ATTEND without any optional feature, a lane holds whole queries; also for CPUs.
//
// SPDX-License-Identifier: Apache-2.0
//
// in     as AttendPush; K and V [B, Hkv, Nk, D] in their type, or in fp32 after widen.comp
// out    result, lse fp32
//
// grid   flat, one workgroup per item and per head that shares the items
// spec   0 kThreads     workgroup size
//        1 kHeadDim     D
//        2 kSplit       lanes that share one query; 1 without LACUNA_SUBGROUP; divides D / 4
//        3 kRows        queries of one lane
//        4 kKeys        keys of one step
//        5 kQueryType   LacunaDtype of Q
//        6 kKeyType     of K and V; of V only, with LACUNA_SUMS 2
//        7 kResultType  of the result
//        8 kHasParts    some items are parts of a split row
//        9 kHasWindows  queries keep only the keys in their windows
//       10 kHasBoxes    queries keep only the keys in their boxes
//       11 kSoftCap     logits are capped
//
// macros  LACUNA_SUMS  as LacunaSums; 1: fp16 as far as they are short, see lane_sums_half.glsl,
//                      2: Q K^T in integers, see lane_sums_int.glsl; K is from round_keys.comp
//
// Loops over the list test at their end: see memory.glsl.

#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#if LACUNA_SUMS == 1
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#elif LACUNA_SUMS == 2
#extension GL_EXT_integer_dot_product : require
#endif
#include "lib/lane_sum.glsl" // first: it has extensions

#include "attend/lane_tile.glsl"

#include "attend/keep.glsl"
#include "attend/walk.glsl"
#if LACUNA_SUMS == 1 // the products and sums
#include "attend/lane_sums_half.glsl"
#elif LACUNA_SUMS == 2
#include "attend/lane_sums_int.glsl"
#else
#include "attend/lane_sums.glsl"
#endif

Query query[kRows];

// 1. Queries, scaled once.
void loadQueries(AttendParams params, AttendItem item, uint lane, uint part)
{
    const uvec2 base = queriesOf(params, item, kQueryType);
    [[unroll]] for (uint r = 0; r < kRows; ++r)
    {
        const uint position = min(item.begin + r * kLanes + lane, item.end - 1);
        const uint token = tokenAt(params, item, position);
        query[r] = queryAt(params, item, position);
        [[unroll]] for (uint i = 0; i < kQuads; ++i)
        {
            const uint at = token * params.q_token * 2 + i * kSplit + part;
            o[r * kQuads + i] = params.scale_log2 * loadQuad(base, at, kQueryType);
        }
        holdQuery(r);
        [[unroll]] for (uint i = 0; i < kQuads; ++i)
            o[r * kQuads + i] = vec4(0);
        row_max[r] = kLowest;
        row_sum[r] = 0;
    }
}

// 2. The next keys: of one span, or of as many short ones as it takes. No branches there: with
// 512-bit vectors lavapipe (Mesa 26.1) takes what they choose for different in each lane.
void takeKeys(AttendItem item, inout Walk walk)
{
    if (walk.span.y - walk.span.x >= kKeys || walk.index == walk.last)
    {
        const uint count = min(kKeys, walk.span.y - walk.span.x);
        filled = (1u << count) - 1;
        [[unroll]] for (uint j = 0; j < kKeys; ++j)
            key_at[j] = min(walk.span.x + j, walk.span.y - 1);
        walk.span.x += count;
    }
    else
    {
        filled = 0;
        [[unroll]] for (uint j = 0; j < kKeys; ++j)
        {
            const uint taken = uint(hasKeys(walk));
            key_at[j] = taken == 1 ? walk.span.x : key_at[max(j, 1) - 1];
            filled |= taken << j;
            walk.span.x += taken;
            const uint step = uint(!hasKeys(walk) && walk.index < walk.last);
            walk.index += step;
            const uvec2 next = keysOfSpan(item, walk.index, kHasParts);
            walk.span = step == 1 ? next : walk.span;
        }
    }
    if (!hasKeys(walk) && walk.index < walk.last)
        toSpan(item, walk, walk.index + 1, kHasParts);
}

// 3. Their logits; those that stand in get no weight.
void scoreStep(uvec2 keys, AttendParams params, uint part)
{
    findRows(keys, params.k_token, kScoreType);
    scoreKeys(part);
    [[unroll]] for (uint n = 0; n < kRows * kKeys; ++n)
    {
        s[n] = checkedLogit(laneSum(s[n], kSplit));
        if (kSoftCap)
            s[n] = softCap(s[n], params.cap_log2);
    }

    // A real branch: besides saving work it parts the step into two blocks, which halves what LLVM
    // spills on a CPU.
    if (filled != kAll)
        [[unroll]] for (uint r = 0; r < kRows; ++r)
            [[unroll]] for (uint j = 0; j < kKeys; ++j)
                if ((filled >> j & 1u) == 0)
                    s[r * kKeys + j] = kMasked;
}

// Keys outside of a query's window get no weight either.
void maskStep(AttendParams params)
{
    [[unroll]] for (uint r = 0; r < kRows; ++r)
    {
        const uvec2 kept = query[r].bounds;
        if (key_at[0] < kept.x || key_at[kKeys - 1] >= kept.y)
            [[unroll]] for (uint j = 0; j < kKeys; ++j)
                if (!isInWindow(params, query[r], key_at[j]))
                    s[r * kKeys + j] = kMasked;
    }
}

// The same pair by pair, and the caller's own scores.
void keepStep(AttendParams params, AttendItem item)
{
    [[unroll]] for (uint j = 0; j < kKeys; ++j)
    {
        const Key k = keyAt(params, item, key_at[j]);
        [[unroll]] for (uint r = 0; r < kRows; ++r)
            s[r * kKeys + j] = keptLogit(params, item, query[r], k, s[r * kKeys + j]);
    }
}

// 4. O and LSE in the caller's order; a part leaves O as it is, for merge.comp.
void storeRows(AttendParams params, AttendItem item, uint lane, uint part)
{
    const bool is_part = item.slot != kNone;
    const uvec2 base = is_part ? partialOf(item, kLanes * kRows, kHeadDim)
                               : resultOf(params, item, kResultType);
    [[unroll]] for (uint r = 0; r < kRows; ++r)
    {
        const uint row = r * kLanes + lane;
        if (item.begin + row < item.end)
        {
            const uint token = tokenAt(params, item, item.begin + row);
            const uint at =
                is_part ? row * (kHeadDim + kPartialExtra) / 4 : token * params.out_token * 2;
            const float factor =
                is_part ? 1 : finishRow(push.sinks, item.head % params.q_heads, row_max[r], row_sum[r]);
            [[unroll]] for (uint i = 0; i < kQuads; ++i)
                storeQuad(base, at + i * kSplit + part, factor * o[r * kQuads + i],
                          is_part ? kF32 : kResultType);
            if (part == 0 && is_part)
                storePartialSum(base, row, kHeadDim, row_max[r], row_sum[r]);
            else if (part == 0 && !isNull(push.lse))
                storeLse(push.lse, item.head, params.q_len, token, row_max[r], row_sum[r]);
        }
    }
}

void main()
{
    const AttendParams params = ParamsView(push.params).value;
    const AttendItem item = takeItem(params, kHasParts);
    const uint lane = laneIndex() / kSplit;
    const uint part = laneIndex() % kSplit;
    const uvec2 keys = keysOf(params, item, kScoreType);
    const uvec2 values = valuesOf(params, item, kKeyType);
    if (item.begin == item.end)
        return;

    loadQueries(params, item, lane, part);
    Walk walk = startWalk(item, kHasParts);
    if (hasKeys(walk))
        do
        {
            takeKeys(item, walk);
            scoreStep(keys, params, part);
            if (kHasWindows)
                maskStep(params);
            if (kHasBoxes || kHasMods)
                keepStep(params, item);
            findRows(values, params.v_token, kKeyType);
            weighKeys(part);
        } while (hasKeys(walk));
    storeRows(params, item, lane, part);
}

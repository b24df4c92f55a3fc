#version 460
// mask_error.comp - how far attention under two masks is from dense attention, for sampled queries.
//
// SPDX-License-Identifier: Apache-2.0
//
// in     q, k, v  [B, Hq or Hkv, N, D], strided
// in     samples  u32 {token, list row} [samples]
// in     ranges   u32 {first, count} [2, rows], the lists of the two masks
// in     spans    u32 {begin, end}
// in     sinks    f32 [Hq], logits in base 2; a very low one is none
// out    errors   f32 [B * Hq, samples, 4]: |O1 - O|^2, |O2 - O|^2, |O|^2, 0
//
// grid   (samples, slices, 1), one workgroup per sampled query
// spec   0 kThreads   workgroup size, at least D / 4
//        1 kHeadDim   D
//        2 kType      LacunaDtype of q, k and v
//        3 kGroup     query heads for each head of k and v
//        4 kSoftCap   1: logits are capped
// shared 32 bytes per invocation and D * 4 bytes
// order  an invocation takes every kThreads-th key, and adds every kParts-th one to its channels;
//        the parts are added in turn: the same bits every time
// cost   the logits are made twice: for their maxima, which differ from mask to mask, and for the
//        weights

#extension GL_GOOGLE_include_directive : require
#include "lib/memory.glsl"
#include "lib/soft_cap.glsl"
#include "lib/span_cursor.glsl"
#include "shared/profile.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 0) const uint kThreads = 128;
layout(constant_id = 1) const uint kHeadDim = 64;
layout(constant_id = 2) const uint kType = kF16;
layout(constant_id = 3) const uint kGroup = 1;
layout(constant_id = 4) const uint kSoftCap = 0;

layout(push_constant, std430) uniform Push { MaskErrorPush push; };

const uint kQuads = kHeadDim / 4; // an invocation owns 4 channels
const uint kParts = kThreads / kQuads;

shared vec4 query[kQuads];
shared vec4 sums[kThreads];
shared vec4 weights[kThreads]; // of the next keys: dense, first mask, second mask

// Where an invocation is in the spans of both masks.
struct Cursors
{
    SpanCursor first, second;
};

Cursors cursorsOf(uint row)
{
    return Cursors(cursorOf(Uvec2Array(push.ranges).at[row]),
                   cursorOf(Uvec2Array(push.ranges).at[push.rows + row]));
}

vec4 quadOf(uvec2 base, uint token, uint stride, uint quad)
{
    return loadQuad(base, 2 * token * stride + quad, kType);
}

uvec2 headOf(uvec2 tensor, uint batch, uint head)
{
    return advance(tensor, batch + head, octetBytes(kType));
}

// In base 2.
float logitOf(uvec2 k, uint key)
{
    float logit = 0;
    uint quad = 0;
    do
        logit += dot(query[quad], quadOf(k, key, push.k_token, quad));
    while (++quad < kQuads);
    return kSoftCap != 0 ? softCap(logit, push.cap_log2) : logit;
}

// The sum over all invocations, or their maximum, in each of them.
vec4 combine(vec4 own, bool is_maximum)
{
    sums[gl_LocalInvocationIndex] = own;
    barrier();
    vec4 result = sums[0];
    for (uint i = 1; i < kThreads; ++i)
        result = is_maximum ? max(result, sums[i]) : result + sums[i];
    barrier(); // before sums are written
    return result;
}

// The sum over the parts, for the invocations of part 0.
vec4 combineParts(vec4 result)
{
    sums[gl_LocalInvocationIndex] = result;
    barrier();
    for (uint part = 1; part < kParts; ++part)
        result += sums[part * kQuads + gl_LocalInvocationIndex % kQuads];
    barrier();
    return result;
}

// Maxima of the logits: dense, first mask, second mask.
vec4 findMaxima(uvec2 k, uint row, float sink)
{
    Cursors masks = cursorsOf(row);
    vec4 maxima = vec4(sink);
    uint key = gl_LocalInvocationIndex;
    do
    {
        const uint real_key = min(key, push.k_len - 1); // the last one again is harmless
        const float logit = logitOf(k, real_key);
        maxima.x = max(maxima.x, logit);
        if (keeps(masks.first, push.spans, real_key))
            maxima.y = max(maxima.y, logit);
        if (keeps(masks.second, push.spans, real_key))
            maxima.z = max(maxima.z, logit);
        key += kThreads;
    } while (key < push.k_len);
    return combine(maxima, true);
}

void measure(uvec2 k, uvec2 v, uint row, float sink, uvec2 errors)
{
    // 1. What weights are relative to.
    const uint lane = gl_LocalInvocationIndex, quad = lane % kQuads, part = lane / kQuads;
    const vec4 maxima = findMaxima(k, row, sink);

    // 2. Weights of the next keys, and their sums over V. A key that is not kept is not looked at.
    Cursors masks = cursorsOf(row);
    vec4 weight_sums = vec4(0);
    vec4 dense = vec4(0), by_first = vec4(0), by_second = vec4(0);
    uint begin = 0;
    do
    {
        const uint key = begin + lane, real_key = min(key, push.k_len - 1);
        const vec4 exponents = vec4(logitOf(k, real_key)) - maxima;
        const bool is_key = key < push.k_len;
        const bool is_first = keeps(masks.first, push.spans, real_key) && is_key;
        const bool is_second = keeps(masks.second, push.spans, real_key) && is_key;
        const vec4 own = vec4(is_key ? exp2(exponents.x) : 0, is_first ? exp2(exponents.y) : 0,
                              is_second ? exp2(exponents.z) : 0, 0);
        weight_sums += own;
        weights[lane] = own;
        barrier();

        const uint count = min(kThreads, push.k_len - begin);
        uint i = part;
        do
        {
            const vec4 weight = weights[min(i, count - 1)];
            const vec4 value = quadOf(v, begin + min(i, count - 1), push.v_token, quad);
            if (i < count && part < kParts)
            {
                dense += weight.x * value;
                by_first += weight.y > 0 ? weight.y * value : vec4(0);
                by_second += weight.z > 0 ? weight.z * value : vec4(0);
            }
            i += kParts;
        } while (i < count);
        barrier(); // before weights are written
        begin += kThreads;
    } while (begin < push.k_len);

    // 3. The three outputs, and their differences.
    const vec4 total = combine(weight_sums, false) + exp2(vec4(sink) - maxima);
    dense = combineParts(dense) / total.x;
    by_first = combineParts(by_first) / total.y - dense;
    by_second = combineParts(by_second) / total.z - dense;
    const vec4 squares = vec4(dot(by_first, by_first), dot(by_second, by_second),
                              dot(dense, dense), 0);
    const vec4 error = combine(part == 0 ? squares : vec4(0), false);
    if (lane == 0)
        Vec4Array(errors).at[0] = error;
}

void main()
{
    const uvec2 sampled = Uvec2Array(push.samples).at[gl_WorkGroupID.x];
    uint slice = gl_WorkGroupID.y;
    do
    {
        const uint batch = slice / push.heads, head = slice % push.heads;
        const uvec2 q = headOf(push.q, batch * push.q_batch, head * push.q_head);
        const uvec2 k = headOf(push.k, batch * push.k_batch, head / kGroup * push.k_head);
        const uvec2 v = headOf(push.v, batch * push.v_batch, head / kGroup * push.v_head);
        const float sink = FloatArray(push.sinks).at[head];
        if (gl_LocalInvocationIndex < kQuads)
            query[gl_LocalInvocationIndex] =
                push.scale_log2 * quadOf(q, sampled.x, push.q_token, gl_LocalInvocationIndex);
        barrier();
        measure(k, v, sampled.y, sink,
                advance(push.errors, slice * gl_NumWorkGroups.x + gl_WorkGroupID.x, 16));
        barrier(); // before the next slice writes query
        slice += gl_NumWorkGroups.y;
    } while (slice < push.slices);
}

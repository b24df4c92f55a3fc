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
// grid   (samples / kSamples rounded up, slices, 1)
// spec   0 kThreads   workgroup size, and keys of one step: 128, or a multiple of kShares below it;
//                     at least D / 4
//        1 kHeadDim   D
//        2 kType      LacunaDtype of q, k and v
//        3 kGroup     query heads for each head of k and v
//        4 kSoftCap   1: logits are capped
//        5 kSamples   queries of a workgroup, which share each load of a key
// shared 16 bytes per invocation, and as many for each query; D * 4 bytes for each query
// order  an invocation makes the logits of one key of a step; kShares of them make the weights of
//        one query; each adds every kParts-th key to its channels. Shares and parts are added in
//        turn: the same bits every time
// maxima dense attention and each mask have their own: a mask may keep only keys whose weights
//        vanish beside that of the largest logit

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
layout(constant_id = 5) const uint kSamples = 4;

layout(push_constant, std430) uniform Push { MaskErrorPush push; };

const uint kQuads = kHeadDim / 4; // an invocation owns 4 channels
const uint kParts = kThreads / kQuads;
const uint kShares = 8;
const uint kSharers = kSamples * kShares;
const uint kOwnKeys = kThreads / kShares; // of a share, at most 16

// Of vectors for each mask: x dense, y first mask, z second mask.
shared vec4 queries[kSamples * kQuads];
shared vec4 weights[kThreads * kSamples]; // [key][query]; x is the logit at first
shared vec4 factors[kSamples];            // what the sums of a query are multiplied by
shared vec4 scratch[kThreads];

// What an invocation that makes weights knows: of the query lane % kSamples.
struct Softmax
{
    SpanCursor first, second;
    vec4 maxima;
    vec4 sums; // over the keys of its share
};

// O of each query, not divided by the sums of weights, over the keys of one part.
struct Outputs
{
    vec4 dense[kSamples], first[kSamples], second[kSamples];
};

vec4 quadOf(uvec2 base, uint token, uint stride, uint quad)
{
    return loadQuad(base, 2 * token * stride + quad, kType);
}

uvec2 headOf(uvec2 tensor, uint batch, uint head)
{
    return advance(tensor, batch + head, octetBytes(kType));
}

// Of the last workgroup, some may be the last one again, which is harmless.
uint sampleAt(uint query)
{
    return min(gl_WorkGroupID.x * kSamples + query, push.samples_end - 1);
}

void loadQueries(uvec2 q)
{
    for (uint i = gl_LocalInvocationIndex; i < kSamples * kQuads; i += kThreads)
    {
        const uint token = Uvec2Array(push.samples).at[sampleAt(i / kQuads)].x;
        queries[i] = push.scale_log2 * quadOf(q, token, push.q_token, i % kQuads);
    }
}

// In base 2, for the keys begin .. begin + kThreads - 1.
void makeLogits(uvec2 k, uint begin)
{
    const uint lane = gl_LocalInvocationIndex;
    const uint key = min(begin + lane, push.k_len - 1); // the last one again is harmless
    float logits[kSamples];
    for (uint query = 0; query < kSamples; ++query)
        logits[query] = 0;
    for (uint quad = 0; quad < kQuads; ++quad)
    {
        const vec4 channels = quadOf(k, key, push.k_token, quad);
        for (uint query = 0; query < kSamples; ++query)
            logits[query] += dot(queries[query * kQuads + quad], channels);
    }
    for (uint query = 0; query < kSamples; ++query)
        weights[lane * kSamples + query].x =
            kSoftCap != 0 ? softCap(logits[query], push.cap_log2) : logits[query];
}

// The i-th key of the invocation's share, counted from the first of the step.
uint ownKey(uint i)
{
    return i * kShares + gl_LocalInvocationIndex / kSamples;
}

uint ownWeight(uint i)
{
    return ownKey(i) * kSamples + gl_LocalInvocationIndex % kSamples;
}

// Which keys of the share are kept: bit i by the first mask, bit 16 + i by the second. Raises the
// maxima.
uint findKept(inout Softmax softmax, uint begin)
{
    uint kept = 0;
    for (uint i = 0; i < kOwnKeys; ++i)
    {
        const uint key = min(begin + ownKey(i), push.k_len - 1);
        const bool is_first = keeps(softmax.first, push.spans, key);
        const bool is_second = keeps(softmax.second, push.spans, key);
        kept |= uint(is_first) << i | uint(is_second) << (16 + i);
        const vec4 logit = vec4(weights[ownWeight(i)].x);
        const vec4 raised = max(softmax.maxima, logit);
        softmax.maxima =
            mix(softmax.maxima, raised, bvec4(true, is_first, is_second, false));
    }
    return kept;
}

// Turns the logits of the share into weights; those of keys that are not kept are 0.
void weighKeys(inout Softmax softmax, uint begin, uint kept)
{
    for (uint i = 0; i < kOwnKeys; ++i)
    {
        const bool is_key = begin + ownKey(i) < push.k_len;
        const bool is_first = is_key && (kept >> i & 1) != 0;
        const bool is_second = is_key && (kept >> (16 + i) & 1) != 0;
        const vec4 weight = exp2(vec4(weights[ownWeight(i)].x) - softmax.maxima);
        weights[ownWeight(i)] =
            mix(vec4(0), weight, bvec4(is_key, is_first, is_second, false));
        softmax.sums += weights[ownWeight(i)];
    }
}

void makeWeights(inout Softmax softmax, uint begin)
{
    const uint lane = gl_LocalInvocationIndex, query = lane % kSamples;
    const vec4 old = softmax.maxima;
    uint kept = 0;
    if (lane < kSharers)
    {
        kept = findKept(softmax, begin);
        scratch[lane] = softmax.maxima;
    }
    barrier();
    if (lane < kSharers)
    {
        for (uint share = 0; share < kShares; ++share)
            softmax.maxima = max(softmax.maxima, scratch[share * kSamples + query]);
        const vec4 factor = exp2(old - softmax.maxima);
        if (lane < kSamples)
            factors[lane] = factor;
        softmax.sums *= factor;
        weighKeys(softmax, begin, kept);
    }
}

void addValues(inout Outputs outputs, uvec2 v, uint begin)
{
    const uint lane = gl_LocalInvocationIndex, quad = lane % kQuads, part = lane / kQuads;
    for (uint query = 0; query < kSamples; ++query)
    {
        outputs.dense[query] *= factors[query].x;
        outputs.first[query] *= factors[query].y;
        outputs.second[query] *= factors[query].z;
    }
    const uint count = part < kParts ? min(kThreads, push.k_len - begin) : 0;
    for (uint i = part; i < count; i += kParts)
    {
        const vec4 value = quadOf(v, begin + i, push.v_token, quad);
        for (uint query = 0; query < kSamples; ++query)
        {
            const vec4 weight = weights[i * kSamples + query];
            outputs.dense[query] += weight.x * value;
            outputs.first[query] += weight.y * value;
            outputs.second[query] += weight.z * value;
        }
    }
}

// The sum over `count` invocations, `step` apart, in each of them.
vec4 combine(vec4 own, uint first, uint count, uint step)
{
    scratch[gl_LocalInvocationIndex] = own;
    barrier();
    vec4 sum = vec4(0);
    for (uint i = 0; i < count; ++i)
        sum += scratch[first + i * step];
    barrier(); // before scratch is written
    return sum;
}

void storeErrors(Softmax softmax, Outputs outputs, float sink, uvec2 errors)
{
    const uint lane = gl_LocalInvocationIndex, quad = lane % kQuads;
    const vec4 total = combine(softmax.sums, lane % kSamples, kShares, kSamples);
    if (lane < kSamples)
        factors[lane] = 1 / (total + exp2(vec4(sink) - softmax.maxima));
    barrier();
    for (uint query = 0; query < kSamples; ++query)
    {
        const vec4 factor = factors[query];
        const vec4 dense = factor.x * combine(outputs.dense[query], quad, kParts, kQuads);
        const vec4 first = factor.y * combine(outputs.first[query], quad, kParts, kQuads) - dense;
        const vec4 second = factor.z * combine(outputs.second[query], quad, kParts, kQuads) - dense;
        const vec4 squares = vec4(dot(first, first), dot(second, second), dot(dense, dense), 0);
        const vec4 error = combine(squares, 0, kQuads, 1);
        if (lane == 0)
            Vec4Array(errors).at[sampleAt(query)] = error;
    }
}

void main()
{
    const uint lane = gl_LocalInvocationIndex;
    const uint row = Uvec2Array(push.samples).at[sampleAt(lane % kSamples)].y;
    const uvec2 first = Uvec2Array(push.ranges).at[row];
    const uvec2 second = Uvec2Array(push.ranges).at[push.rows + row];
    uint slice = gl_WorkGroupID.y;
    do
    {
        const uint batch = slice / push.heads, head = slice % push.heads;
        const uvec2 k = headOf(push.k, batch * push.k_batch, head / kGroup * push.k_head);
        const uvec2 v = headOf(push.v, batch * push.v_batch, head / kGroup * push.v_head);
        const float sink = FloatArray(push.sinks).at[head];
        loadQueries(headOf(push.q, batch * push.q_batch, head * push.q_head));
        barrier();

        Softmax softmax = Softmax(cursorOf(first), cursorOf(second), vec4(sink), vec4(0));
        Outputs outputs;
        for (uint query = 0; query < kSamples; ++query)
            outputs.dense[query] = outputs.first[query] = outputs.second[query] = vec4(0);
        uint begin = 0;
        do
        {
            makeLogits(k, begin);
            barrier();
            makeWeights(softmax, begin);
            barrier();
            addValues(outputs, v, begin);
            barrier(); // before weights are written
            begin += kThreads;
        } while (begin < push.k_len);
        storeErrors(softmax, outputs, sink, advance(push.errors, slice, push.samples_end * 16));
        slice += gl_NumWorkGroups.y;
    } while (slice < push.slices);
}

// parts.cpp - cuts the heads of a problem into parts, and finds where they begin in the caller's
// buffers.
//
// SPDX-License-Identifier: Apache-2.0
#include "parts.h"

#include <algorithm>

namespace lacuna
{
namespace
{

constexpr uint64_t kMaxParts = 1024; // about: each has passes of its own

// Bytes from the first element of a tensor to that of the part.
uint64_t offsetOf(const Strides& strides, const Part& part, uint32_t head, LacunaDtype dtype)
{
    return (part.first_batch * strides.batch + head * strides.head) * dtypeBytes(dtype);
}

Part makePart(const Problem& p, uint32_t first_batch, uint32_t batches, uint32_t first_head,
              uint32_t heads, uint32_t rows)
{
    Part part = {first_batch, batches, first_head, heads, {}};
    const uint64_t first = uint64_t(first_batch) * p.q_heads + first_head;
    const auto offset = [&](Caller which) -> uint64_t&
    {
        return part.offsets[uint32_t(which)];
    };
    offset(Caller::Q) = offsetOf(p.q, part, first_head, p.dtype);
    offset(Caller::K) = offsetOf(p.k, part, p.keyHead(first_head), p.dtype);
    offset(Caller::V) = offsetOf(p.v, part, p.keyHead(first_head), p.dtype);
    offset(Caller::Out) = offsetOf(p.out, part, first_head, p.out_dtype);
    offset(Caller::Lse) = first * p.q_len * sizeof(float);
    offset(Caller::Ranges) = first * rows * 2 * sizeof(uint32_t);
    return part;
}

// 0 .. count - 1 in as few pieces of at most `most` as there can be, all but the last of one size.
template <typename Visit>
void eachPiece(uint32_t count, uint64_t most, const Visit& visit)
{
    const uint64_t pieces = (count + most - 1) / most;
    const uint32_t size = uint32_t((count + pieces - 1) / pieces);
    for (uint32_t first = 0; first < count; first += size)
        visit(first, std::min(size, count - first));
}

} // namespace

uint64_t leastKeyHeads(const Problem& p)
{
    return (uint64_t(p.batch) * p.kv_heads + kMaxParts - 1) / kMaxParts;
}

std::vector<Part> divideHeads(const Problem& p, uint64_t key_heads, uint32_t rows)
{
    const uint64_t most = std::max(key_heads, leastKeyHeads(p));
    const uint32_t group = p.q_heads / p.kv_heads;
    std::vector<Part> parts;
    if (most >= p.kv_heads)
    {
        eachPiece(p.batch, most / p.kv_heads,
                  [&](uint32_t first, uint32_t count)
                  { parts.push_back(makePart(p, first, count, 0, p.q_heads, rows)); });
        return parts;
    }
    for (uint32_t batch = 0; batch < p.batch; ++batch)
        eachPiece(p.kv_heads, most,
                  [&](uint32_t first, uint32_t count)
                  { parts.push_back(makePart(p, batch, 1, first * group, count * group, rows)); });
    return parts;
}

Problem problemOf(const Problem& p, const Part& part)
{
    Problem cut = p;
    cut.first_batch = part.first_batch;
    cut.first_head = part.first_head;
    cut.batch = part.batches;
    cut.q_heads = part.heads;
    cut.kv_heads = part.heads / (p.q_heads / p.kv_heads);
    if (!p.sink_logits.empty())
        cut.sink_logits.assign(p.sink_logits.begin() + part.first_head,
                               p.sink_logits.begin() + part.first_head + part.heads);
    return cut;
}

} // namespace lacuna

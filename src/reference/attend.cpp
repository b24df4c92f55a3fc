// attend.cpp - attention in double precision: two passes over the kept keys of each query, nothing clever.
//
// SPDX-License-Identifier: Apache-2.0

#include "reference.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace lacuna
{
namespace
{

// Eight sums side by side, because D is a multiple of 8 and a compiler may not reorder one.
double dot(const float* a, const float* b, uint32_t length)
{
    double sums[8] = {};
    for (uint32_t i = 0; i < length; i += 8)
        for (uint32_t lane = 0; lane < 8; ++lane)
            sums[lane] += double(a[i + lane]) * double(b[i + lane]);
    return ((sums[0] + sums[4]) + (sums[1] + sums[5])) + ((sums[2] + sums[6]) + (sums[3] + sums[7]));
}

struct Head
{
    const float* k; // [Nk, D]
    const float* v;
    uint32_t head_dim;
    double scale, soft_cap;
    double sink; // a logit without a key; -inf: none
};

// Returns the LSE. `kept` holds the kept keys, `weights` is scratch of the same length.
double attendRow(const Head& head, const float* q, const std::vector<uint32_t>& kept,
                 std::vector<double>& weights, double* out)
{
    const uint32_t dim = head.head_dim;
    std::fill_n(out, dim, 0.0);
    if (kept.empty())
        return head.sink;

    weights.resize(kept.size());
    double highest = head.sink;
    for (size_t i = 0; i < kept.size(); ++i)
    {
        weights[i] = dot(q, head.k + uint64_t(kept[i]) * dim, dim) * head.scale;
        if (head.soft_cap > 0)
            weights[i] = head.soft_cap * std::tanh(weights[i] / head.soft_cap);
        highest = std::max(highest, weights[i]);
    }
    double sum = std::exp(head.sink - highest);
    for (double& weight : weights)
    {
        weight = std::exp(weight - highest);
        sum += weight;
    }
    for (size_t i = 0; i < kept.size(); ++i)
    {
        const double share = weights[i] / sum;
        const float* v = head.v + uint64_t(kept[i]) * dim;
        for (uint32_t d = 0; d < dim; ++d)
            out[d] += share * double(v[d]);
    }
    return highest + std::log(sum);
}

} // namespace

void attendReference(const Problem& problem, const float* q, const float* k, const float* v,
                     uint32_t first_query, uint32_t query_count, const uint8_t* mask, double* out,
                     double* lse)
{
    const uint32_t dim = problem.head_dim;
    std::vector<uint32_t> kept;
    std::vector<double> weights;
    for (uint32_t slice = 0; slice < problem.heads(); ++slice) // b * Hq + h
    {
        const uint64_t kv_slice = uint64_t(slice / problem.q_heads) * problem.kv_heads +
                                  problem.keyHead(slice % problem.q_heads);
        const double sink = problem.sink_logits.empty()
                                ? -std::numeric_limits<double>::infinity()
                                : double(problem.sink_logits[slice % problem.q_heads]);
        const Head head = {k + kv_slice * problem.k_len * dim, v + kv_slice * problem.k_len * dim, dim,
                           problem.scale, problem.soft_cap, sink};
        for (uint32_t i = 0; i < query_count; ++i)
        {
            const uint64_t row = uint64_t(slice) * query_count + i;
            kept.clear();
            for (uint32_t key = 0; key < problem.k_len; ++key)
                if (!mask || mask[row * problem.k_len + key])
                    kept.push_back(key);

            const uint64_t query = uint64_t(slice) * problem.q_len + first_query + i;
            const double row_lse = attendRow(head, q + query * dim, kept, weights, out + row * dim);
            if (lse)
                lse[row] = row_lse;
        }
    }
}

} // namespace lacuna

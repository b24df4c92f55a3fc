// dit_reference.h - the video model in plain C++, in the arithmetic of `Real`: double says what is
// right, float what fp32 costs, and float with half = true what fp16 queries, keys and values cost
// on top.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "generate/model.h"

#include <lacuna/host.hpp>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

namespace lacuna::test
{

template <typename Real>
class DitReference
{
public:
    using Rows = std::vector<Real>;

    DitReference(const generate::Model& model, const generate::ClipShape& shape, bool half)
        : model_(model), config_(model.config()), shape_(shape), half_(half)
    {
    }

    // [dim] and [6, dim]
    Rows time(double timestep) const
    {
        const uint32_t count = config_.freq_dim / 2;
        Rows waves(config_.freq_dim);
        for (uint32_t i = 0; i < count; ++i)
        {
            const double angle = timestep * std::pow(10000.0, -double(i) / count);
            waves[i] = Real(std::cos(angle));
            waves[count + i] = Real(std::sin(angle));
        }
        return linear("time_embedding.2", silu(linear("time_embedding.0", waves)));
    }
    Rows timeProjection(const Rows& time) const { return linear("time_projection.1", silu(time)); }

    // [text_len, dim]
    Rows context(const std::vector<uint32_t>& words) const
    {
        const std::vector<float> rows = model_.embed(words);
        return linear("text_embedding.2",
                      gelu(linear("text_embedding.0", Rows(rows.begin(), rows.end()))));
    }

    Rows embed(const std::vector<float>& clip) const
    {
        const uint32_t p = config_.patch, rows = shape_.height / p, columns = shape_.width / p;
        Rows patches;
        for (uint32_t f = 0; f < shape_.frames; ++f)
            for (uint32_t r = 0; r < rows; ++r)
                for (uint32_t c = 0; c < columns; ++c)
                    for (uint32_t channel = 0; channel < config_.channels; ++channel)
                        for (uint32_t y = 0; y < p; ++y)
                            for (uint32_t x = 0; x < p; ++x)
                                patches.push_back(
                                    Real(clip[pixel(channel, f, r * p + y, c * p + x)]));
        Rows x = linear("patch_embedding", patches);
        add(x, positions(rows, columns), Rows(1, Real(1)));
        return x;
    }

    void block(uint32_t layer, Rows& x, const Rows& projection, const Rows& context) const
    {
        const std::string prefix = "blocks." + std::to_string(layer) + ".";
        const Rows m = sum(tensor(prefix + "modulation"), projection);
        const Rows ones(config_.dim, Real(1));
        {
            const Rows y = norm(x, part(m, 1), part(m, 0), Real(1));
            const Rows a = attention(prefix + "self_attn.", y, y, true);
            add(x, a, part(m, 2));
        }
        {
            const Rows y =
                norm(x, tensor(prefix + "norm3.weight"), tensor(prefix + "norm3.bias"), Real(0));
            add(x, attention(prefix + "cross_attn.", y, context, false), ones);
        }
        const Rows y = norm(x, part(m, 4), part(m, 3), Real(1));
        add(x, linear(prefix + "ffn.2", gelu(linear(prefix + "ffn.0", y))), part(m, 5));
    }

    // [channels, frames, height, width]
    Rows head(const Rows& x, const Rows& time) const
    {
        Rows twice = time;
        twice.insert(twice.end(), time.begin(), time.end());
        const Rows m = sum(tensor("head.modulation"), twice);
        const Rows rows = linear("head.head", norm(x, part(m, 1), part(m, 0), Real(1)));
        const uint32_t p = config_.patch, columns = shape_.width / p, lines = shape_.height / p;
        Rows velocity(config_.channels * shape_.pixels());
        size_t next = 0;
        for (uint32_t f = 0; f < shape_.frames; ++f)
            for (uint32_t r = 0; r < lines; ++r)
                for (uint32_t c = 0; c < columns; ++c)
                    for (uint32_t y = 0; y < p; ++y)
                        for (uint32_t column = 0; column < p; ++column)
                            for (uint32_t channel = 0; channel < config_.channels; ++channel)
                                velocity[pixel(channel, f, r * p + y, c * p + column)] =
                                    rows[next++];
        return velocity;
    }

private:
    size_t pixel(uint32_t channel, uint32_t f, uint32_t y, uint32_t x) const
    {
        return ((size_t(channel) * shape_.frames + f) * shape_.height + y) * shape_.width + x;
    }
    Rows tensor(const std::string& name) const
    {
        const std::vector<float>& values = model_.tensor(name);
        return Rows(values.begin(), values.end());
    }
    Rows part(const Rows& m, uint32_t index) const
    {
        return Rows(m.begin() + index * config_.dim, m.begin() + (index + 1) * config_.dim);
    }
    static Rows sum(Rows a, const Rows& b)
    {
        for (size_t i = 0; i < a.size(); ++i)
            a[i] += b[i];
        return a;
    }
    static void add(Rows& x, const Rows& y, const Rows& gate)
    {
        for (size_t i = 0; i < x.size(); ++i)
            x[i] += y[i] * gate[i % gate.size()];
    }
    static Rows silu(Rows x)
    {
        for (Real& value : x)
            value = value / (1 + std::exp(-value));
        return x;
    }
    static Rows gelu(Rows x)
    {
        for (Real& v : x)
            v = Real(0.5) * v *
                (1 + std::tanh(Real(0.7978845608028654) * (v + Real(0.044715) * v * v * v)));
        return x;
    }
    Rows linear(const std::string& name, const Rows& x) const
    {
        const std::vector<float>& weight = model_.tensor(name + ".weight");
        const std::vector<float>& bias = model_.tensor(name + ".bias");
        const size_t columns = bias.size(), inner = weight.size() / columns;
        Rows result;
        for (size_t row = 0; row < x.size() / inner; ++row)
            for (size_t column = 0; column < columns; ++column)
            {
                Real value = bias[column];
                for (size_t k = 0; k < inner; ++k)
                    value += x[row * inner + k] * Real(weight[column * inner + k]);
                result.push_back(value);
            }
        return result;
    }
    Rows norm(Rows x, const Rows& scale, const Rows& shift, Real base) const
    {
        const size_t dim = config_.dim;
        for (size_t row = 0; row < x.size(); row += dim)
        {
            Real mean = 0, square = 0;
            for (size_t i = 0; i < dim; ++i)
                mean += x[row + i] / dim;
            for (size_t i = 0; i < dim; ++i)
                square += (x[row + i] - mean) * (x[row + i] - mean) / dim;
            for (size_t i = 0; i < dim; ++i)
                x[row + i] =
                    (x[row + i] - mean) / std::sqrt(square + Real(1e-6)) * (base + scale[i]) +
                    shift[i];
        }
        return x;
    }
    Rows rmsNorm(Rows x, const Rows& weight) const
    {
        const size_t dim = config_.dim;
        for (size_t row = 0; row < x.size(); row += dim)
        {
            Real square = 0;
            for (size_t i = 0; i < dim; ++i)
                square += x[row + i] * x[row + i] / dim;
            for (size_t i = 0; i < dim; ++i)
                x[row + i] = x[row + i] / std::sqrt(square + Real(1e-6)) * weight[i];
        }
        return x;
    }
    Rows positions(uint32_t rows, uint32_t columns) const
    {
        const Rows weight = tensor("position_embedding.weight");
        const uint32_t waves = config_.position_waves, sizes[3] = {shape_.frames, rows, columns};
        Rows result;
        for (size_t token = 0; token < size_t(shape_.frames) * rows * columns; ++token)
        {
            const size_t place[3] = {token / (rows * columns), token / columns % rows,
                                     token % columns};
            for (uint32_t i = 0; i < config_.dim; ++i)
            {
                Real value = 0;
                for (uint32_t axis = 0; axis < 3; ++axis)
                    for (uint32_t m = 0; m < waves; ++m)
                        value += weight[(i * 3 + axis) * waves + m] *
                                 Real(std::cos(std::acos(-1.0) * (m + 1) * (place[axis] + 0.5) /
                                               sizes[axis]));
                result.push_back(value);
            }
        }
        return result;
    }
    void rotate(Rows& x) const
    {
        const uint32_t columns = shape_.width / config_.patch,
                       lines = shape_.height / config_.patch;
        for (size_t token = 0; token < x.size() / config_.dim; ++token)
        {
            const size_t place[3] = {token / (lines * columns), token / columns % lines,
                                     token % columns};
            for (uint32_t head = 0; head < config_.heads; ++head)
            {
                size_t at = token * config_.dim + head * config_.head_dim;
                for (int axis = 0; axis < 3; ++axis)
                    for (uint32_t i = 0; i < config_.rope_split[axis]; i += 2, at += 2)
                    {
                        const double angle =
                            place[axis] *
                            std::pow(config_.rope_theta, -double(i) / config_.rope_split[axis]);
                        const Real c = Real(std::cos(angle)), s = Real(std::sin(angle)), a = x[at],
                                   b = x[at + 1];
                        x[at] = a * c - b * s;
                        x[at + 1] = a * s + b * c;
                    }
            }
        }
    }
    void roundToHalf(Rows& x) const
    {
        if (half_)
            for (Real& value : x)
                value = Real(host::fromHalf(host::toHalf(float(value))));
    }
    Rows attention(const std::string& prefix, const Rows& x, const Rows& source, bool rotates) const
    {
        Rows q = rmsNorm(linear(prefix + "q", x), tensor(prefix + "norm_q.weight"));
        Rows k = rmsNorm(linear(prefix + "k", source), tensor(prefix + "norm_k.weight"));
        Rows v = linear(prefix + "v", source);
        if (rotates)
        {
            rotate(q);
            rotate(k);
        }
        roundToHalf(q);
        roundToHalf(k);
        roundToHalf(v);
        const size_t dim = config_.dim, width = config_.head_dim, keys = k.size() / dim;
        Rows result(q.size()), p(keys);
        for (size_t row = 0; row < q.size(); row += width) // one query of one head
        {
            const size_t head = row % dim;
            Real largest = -INFINITY, total = 0;
            for (size_t key = 0; key < keys; ++key)
            {
                p[key] = 0;
                for (size_t i = 0; i < width; ++i)
                    p[key] += q[row + i] * k[key * dim + head + i];
                p[key] /= std::sqrt(Real(width));
                largest = std::max(largest, p[key]);
            }
            for (Real& value : p)
                total += value = std::exp(value - largest);
            for (size_t key = 0; key < keys; ++key)
                for (size_t i = 0; i < width; ++i)
                    result[row + i] += p[key] / total * v[key * dim + head + i];
        }
        return linear(prefix + "o", result);
    }

    const generate::Model& model_;
    const generate::ModelConfig& config_;
    generate::ClipShape shape_;
    bool half_;
};

} // namespace lacuna::test

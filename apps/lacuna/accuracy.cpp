// accuracy.cpp - compares rows of the output with the reference, in pieces of consecutive queries.
//
// SPDX-License-Identifier: Apache-2.0
#include "accuracy.h"

#include "errors.h"
#include "output.h"
#include "registry.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace lacuna::tool
{

namespace
{

// NaN sticks.
double larger(double a, double b)
{
    return b <= a || std::isnan(a) ? a : b;
}

} // namespace

void Difference::add(double a, double b)
{
    const double d = std::fabs(a - b);
    max_ = larger(max_, d);
    difference_ += d;
    magnitude_ += std::fabs(b);
    squares_ += d * d;
    product_ += a * b;
    a2_ += a * a;
    b2_ += b * b;
    ++count_;
}

void Difference::add(const Difference& other)
{
    max_ = larger(max_, other.max_);
    difference_ += other.difference_;
    magnitude_ += other.magnitude_;
    squares_ += other.squares_;
    product_ += other.product_;
    a2_ += other.a2_;
    b2_ += other.b2_;
    count_ += other.count_;
}

double Difference::relativeL1() const
{
    return magnitude_ > 0 ? difference_ / magnitude_ : difference_;
}

double Difference::rmse() const
{
    return count_ > 0 ? std::sqrt(squares_ / double(count_)) : 0;
}

double Difference::cosine() const
{
    const double norms = std::sqrt(a2_ * b2_);
    return norms > 0 ? product_ / norms : 1;
}

void Accuracy::add(const Accuracy& other)
{
    queries = all_queries == 0 ? other.queries : std::min(queries, other.queries);
    all_queries = other.all_queries;
    kernel.add(other.kernel);
    method.add(other.method);
    lse_max = larger(lse_max, other.lse_max);
    pairs += other.pairs;
    pairs_apart += other.pairs_apart;
}

namespace
{

struct Piece
{
    uint32_t first, count;
};

// All queries when they are affordable, else pieces at even distances from the first token to the
// last.
std::vector<Piece> choosePieces(const LacunaPlanDesc& desc, double budget)
{
    constexpr uint32_t kPiece = 16;
    const double row_cost = 4.0 * desc.batch * desc.q_heads * desc.k_len * desc.head_dim;
    const uint32_t affordable = uint32_t(std::clamp(budget / row_cost, 1.0, double(desc.q_len)));
    std::vector<Piece> pieces;
    const uint32_t wanted = affordable >= desc.q_len ? (desc.q_len + kPiece - 1) / kPiece
                                                     : std::max(1u, affordable / kPiece);
    for (uint32_t i = 0; i < wanted; ++i)
    {
        uint32_t first = i * kPiece;
        if (affordable < desc.q_len)
            first = wanted == 1 ? 0
                                : uint32_t(uint64_t(desc.q_len - std::min(kPiece, desc.q_len)) * i /
                                           (wanted - 1));
        pieces.push_back({first, std::min(kPiece, desc.q_len - first)});
    }
    return pieces;
}

// The kept keys of some of the caller's queries, uint8 [heads, count, Nk].
class KeptRows
{
public:
    explicit KeptRows(const host::Attention::Kept& kept) : kept_(kept), row_of_(kept.q_order.size())
    {
        for (uint32_t head = 0; head < kept.q_order.size() / kept.queries(); ++head)
            for (uint32_t row = 0; row + 1 < kept.row_borders.size(); ++row)
                for (uint32_t position = kept.row_borders[row];
                     position < kept.row_borders[row + 1]; ++position)
                    row_of_[place(head, kept.queryToken(head, position))] = row;
    }
    std::vector<uint8_t> mask(const Piece& piece) const
    {
        const uint64_t k_len = kept_.keys(), rows = kept_.row_borders.size() - 1;
        std::vector<uint8_t> mask(kept_.heads * piece.count * k_len);
        for (uint32_t head = 0; head < kept_.heads; ++head)
            for (uint32_t i = 0; i < piece.count; ++i)
            {
                const uint32_t row = row_of_[place(head, piece.first + i)];
                for (const auto& span : kept_.spans[head * rows + row])
                    for (uint32_t key = span.begin; key < span.end; ++key)
                        mask[(uint64_t(head) * piece.count + i) * k_len +
                             kept_.keyToken(head, key)] = 1;
            }
        return mask;
    }

private:
    uint64_t place(uint32_t head, uint32_t token) const
    {
        return uint64_t(head) * kept_.queries() % row_of_.size() + token;
    }

    const host::Attention::Kept& kept_;
    std::vector<uint32_t> row_of_; // as q_order, by the caller's token
};

struct Reference
{
    const LacunaPlanDesc& desc;
    const Qkv& qkv;
    std::string sentence;

    static void receive(void* user, LacunaResult, const char* text)
    {
        static_cast<Reference*>(user)->sentence = text;
    }
    void check(LacunaResult result) const
    {
        if (result < 0)
            throw Error(result, sentence);
    }
    std::vector<uint8_t> mask(const Piece& piece)
    {
        std::vector<uint8_t> mask(uint64_t(desc.batch) * desc.q_heads * piece.count * desc.k_len);
        check(lacunaReferenceMask(&desc, qkv.q.values.data(), qkv.k.values.data(),
                                  qkv.v.values.data(), piece.first, piece.count, mask.data(),
                                  receive, this));
        return mask;
    }
    void attend(const Piece& piece, const uint8_t* mask, std::vector<double>& out,
                std::vector<double>& lse)
    {
        out.resize(uint64_t(desc.batch) * desc.q_heads * piece.count * desc.head_dim);
        lse.resize(uint64_t(desc.batch) * desc.q_heads * piece.count);
        check(lacunaReferenceAttention(&desc, qkv.q.values.data(), qkv.k.values.data(),
                                       qkv.v.values.data(), piece.first, piece.count, mask,
                                       out.data(), lse.data(), receive, this));
    }
};

} // namespace

Accuracy measureAccuracy(const LacunaPlanDesc& desc, const Qkv& qkv,
                         const host::Attention::Kept& kept, std::span<const float> out,
                         std::span<const float> lse, double budget)
{
    const std::vector<Piece> pieces = choosePieces(desc, budget);
    const KeptRows rows(kept);
    Reference reference{desc, qkv, {}};
    const bool is_defined = registryRow(desc.method)["kind"] != "given";
    Accuracy accuracy;
    accuracy.all_queries = desc.q_len;
    std::vector<double> wanted, wanted_lse, dense, dense_lse;
    Progress progress("compare", pieces.size());
    for (const Piece& piece : pieces)
    {
        throwIfInterrupted();
        const std::vector<uint8_t> mask = rows.mask(piece);
        reference.attend(piece, mask.data(), wanted, wanted_lse);
        reference.attend(piece, nullptr, dense, dense_lse);
        if (is_defined)
        {
            const std::vector<uint8_t> defined = reference.mask(piece);
            for (uint64_t i = 0; i < mask.size(); ++i)
                accuracy.pairs_apart += mask[i] != defined[i];
            accuracy.pairs += mask.size();
        }
        for (uint64_t head = 0; head < kept.heads; ++head)
            for (uint32_t i = 0; i < piece.count; ++i)
            {
                const uint64_t here = head * piece.count + i;
                const uint64_t there = head * desc.q_len + piece.first + i;
                for (uint32_t d = 0; d < desc.head_dim; ++d)
                {
                    const double value = out[there * desc.head_dim + d];
                    accuracy.kernel.add(value, wanted[here * desc.head_dim + d]);
                    accuracy.method.add(value, dense[here * desc.head_dim + d]);
                }
                if (double(lse[there]) != wanted_lse[here]) // equal infinities have no difference
                    accuracy.lse_max =
                        larger(accuracy.lse_max, std::fabs(lse[there] - wanted_lse[here]));
            }
        accuracy.queries += piece.count;
        progress.step(accuracy.queries / 16);
    }
    return accuracy;
}

} // namespace lacuna::tool

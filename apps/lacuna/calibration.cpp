// calibration.cpp - the choice of a candidate for each head, and the rules that say so.
//
// SPDX-License-Identifier: Apache-2.0
#include "calibration.h"

#include "errors.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <tuple>

namespace lacuna::tool
{
namespace
{

// From one candidate of a head to a denser one.
struct Move
{
    HeadPlace place;
    uint32_t to = 0;
    double gain = 0; // error that goes away for each unit of density
    double density = 0;
};

bool isFinite(const CandidateCost& cost)
{
    return std::isfinite(cost.error) && std::isfinite(cost.density);
}

uint32_t sparsest(const std::vector<CandidateCost>& costs)
{
    uint32_t best = 0; // dense is always finite
    for (uint32_t i = 1; i < costs.size(); ++i)
        if (isFinite(costs[i]) && std::tie(costs[i].density, costs[i].error) <
                                      std::tie(costs[best].density, costs[best].error))
            best = i;
    return best;
}

// The corners of the lower hull of error over density, from the sparsest candidate on: gains fall
// from one to the next.
std::vector<Move> movesOf(const HeadPlace& place, const std::vector<CandidateCost>& costs)
{
    std::vector<Move> moves;
    uint32_t from = sparsest(costs);
    while (true)
    {
        Move best;
        for (uint32_t to = 0; to < costs.size(); ++to)
        {
            const double density = costs[to].density - costs[from].density;
            const double error = costs[from].error - costs[to].error;
            if (isFinite(costs[to]) && density > 0 && error > 0 && error / density > best.gain)
                best = {place, to, error / density, density};
        }
        if (best.gain == 0)
            return moves;
        moves.push_back(best);
        from = best.to;
    }
}

nlohmann::json optionsOf(const HeadChoice& choice)
{
    nlohmann::json options = nlohmann::json::object();
    for (const auto& [name, value] : choice.options)
        options[name] = value;
    return options;
}

} // namespace

Calibration::Calibration(const PolicySizes& sizes, std::vector<HeadChoice> candidates)
    : sizes_(sizes), candidates_(std::move(candidates))
{
}

void Calibration::add(const HeadPlace& place, const std::vector<CandidateCost>& costs)
{
    Head& head = heads_[place];
    head.costs.resize(costs.size(), {0, 0, 0, 0});
    ++head.samples;
    for (size_t i = 0; i < costs.size(); ++i)
        for (double CandidateCost::* const value :
             {&CandidateCost::density, &CandidateCost::error, &CandidateCost::recall,
              &CandidateCost::square})
            head.costs[i].*value += (costs[i].*value - head.costs[i].*value) / head.samples;
}

void Calibration::countSteps()
{
    for (auto& [place, head] : heads_)
    {
        uint32_t end = sizes_.steps;
        for (const auto& [other, unused] : heads_)
            if (other.layer == place.layer && other.step > place.step)
                end = std::min(end, other.step);
        head.steps = end - place.step;
    }
}

void Calibration::chooseByError(double target)
{
    countSteps();
    for (auto& [place, head] : heads_)
    {
        head.chosen = 0;
        for (uint32_t i = 1; i < head.costs.size(); ++i)
        {
            const CandidateCost& best = head.costs[head.chosen];
            const CandidateCost& cost = head.costs[i];
            if (isFinite(cost) && cost.error <= target &&
                std::tie(cost.density, cost.error) < std::tie(best.density, best.error))
                head.chosen = i;
        }
    }
}

void Calibration::chooseByDensity(double target)
{
    countSteps();
    std::vector<Move> moves;
    double steps = 0;
    for (auto& [place, head] : heads_)
    {
        head.chosen = sparsest(head.costs);
        steps += head.steps;
        const std::vector<Move> some = movesOf(place, head.costs);
        moves.insert(moves.end(), some.begin(), some.end());
    }
    if (density() > target)
        throw CheckFailed(
            fmt::format("the sparsest candidates keep {:.4f} of the pairs, at most {:.4f} was "
                        "asked for (--target-density)",
                        density(), target));
    std::stable_sort(moves.begin(), moves.end(),
                     [](const Move& a, const Move& b) { return a.gain > b.gain; });
    const double rounding = 1e-12 * steps; // of the sums below
    double room = (target - density()) * steps;
    std::map<HeadPlace, bool> is_done; // a later move of a head starts where an earlier one ends
    for (const Move& move : moves)
    {
        Head& head = heads_.at(move.place);
        const double needed = move.density * head.steps;
        is_done[move.place] |= needed > room + rounding;
        if (is_done[move.place])
            continue;
        head.chosen = move.to;
        room -= needed;
    }
}

void Calibration::chooseNearest(bool is_for_all_steps)
{
    countSteps();
    // By step, layer and head, or by layer and head; a sum of NaN and a number is NaN.
    std::map<HeadPlace, std::vector<double>> squares;
    const auto placeOf = [&](const HeadPlace& place)
    {
        return HeadPlace{is_for_all_steps ? 0 : place.step, place.layer, place.head};
    };
    for (const auto& [place, head] : heads_)
    {
        std::vector<double>& sums = squares[placeOf(place)];
        sums.resize(head.costs.size());
        for (size_t i = 0; i < head.costs.size(); ++i)
            sums[i] += head.costs[i].square * head.steps;
    }
    for (auto& [place, head] : heads_)
    {
        const std::vector<double>& sums = squares.at(placeOf(place));
        head.chosen = 0;
        for (uint32_t i = 1; i < sums.size(); ++i)
            if (std::isfinite(sums[i]) && (head.chosen == 0 || sums[i] < sums[head.chosen]))
                head.chosen = i;
    }
}

void Calibration::chooseByLoss(double lambda, double epsilon)
{
    countSteps();
    for (auto& [place, head] : heads_)
    {
        double least = epsilon;
        head.chosen = 0;
        for (uint32_t i = 1; i < head.costs.size(); ++i)
        {
            const double loss = head.costs[i].square + lambda * head.costs[i].density;
            if (loss < least || (loss == least && head.chosen == 0)) // false for NaN
            {
                least = loss;
                head.chosen = i;
            }
        }
    }
}

double Calibration::density() const
{
    double kept = 0, steps = 0;
    for (const auto& [place, head] : heads_)
    {
        kept += head.costs[head.chosen].density * head.steps;
        steps += head.steps;
    }
    return steps > 0 ? kept / steps : 1;
}

double Calibration::densityInAll() const
{
    double skipped = 0;
    for (const auto& [place, head] : heads_)
        skipped += (1 - head.costs[head.chosen].density) * head.steps;
    return 1 - skipped / (double(sizes_.steps) * sizes_.layers * sizes_.heads);
}

double Calibration::largestError() const
{
    double largest = 0;
    for (const auto& [place, head] : heads_)
        largest = std::max(largest, head.costs[head.chosen].error);
    return largest;
}

// Layers in which the same heads of the same steps run the same share a rule; dense needs none.
nlohmann::json Calibration::policy() const
{
    using Heads = std::vector<uint32_t>;
    std::map<std::tuple<uint32_t, uint32_t, uint32_t, uint32_t>, Heads> heads;
    for (const auto& [place, head] : heads_)
        if (head.chosen != 0)
            heads[{place.step, head.steps, place.layer, head.chosen}].push_back(place.head);
    std::map<std::tuple<uint32_t, uint32_t, uint32_t, Heads>, std::vector<uint32_t>> layers;
    for (const auto& [key, list] : heads)
    {
        const auto& [step, steps, layer, chosen] = key;
        layers[{step, steps, chosen, list}].push_back(layer);
    }
    nlohmann::json file = {{"lacuna_policy", 1},
                           {"steps", sizes_.steps},
                           {"layers", sizes_.layers},
                           {"heads", sizes_.heads},
                           {"rules", nlohmann::json::array()}};
    for (const auto& [key, list] : layers)
    {
        const auto& [step, steps, chosen, some] = key;
        const std::string range = fmt::format("{}-{}", step, step + steps - 1);
        file["rules"].push_back({{"steps", nlohmann::json::array({range})},
                                 {"layers", list},
                                 {"heads", some},
                                 {"method", candidates_[chosen].method},
                                 {"options", optionsOf(candidates_[chosen])}});
    }
    return file;
}

} // namespace lacuna::tool

// searches.cpp - STA's windows, Sparse-vDiT's patterns, PARO's orders and SVG's classes as
// candidates.
//
// SPDX-License-Identifier: Apache-2.0
#include "searches.h"

#include "command.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <sstream>

namespace lacuna::tool
{
namespace
{

// 1024 is longer than every axis: all of it. The windows are those of STA's search for
// HunyuanVideo, 5x6x10 tiles, said for any grid.
std::vector<Search> searches()
{
    return {{"sta",
             Search::Rule::Nearest,
             {"sliding_tile window=1024x3x3", "sliding_tile window=3x3x5",
              "sliding_tile window=1x1024x1024", "sliding_tile window=1024x1024x1",
              "sliding_tile window=1024x1x1024"}},
            {"sparse_vdit",
             Search::Rule::Loss,
             {"sparse_vdit heads=skip", "sparse_vdit heads=diagonal",
              "sparse_vdit heads=multi_diagonal", "sparse_vdit heads=stripe"},
             0.5,
             1},
            {"paro",
             Search::Rule::NearestForSteps,
             {"paro heads=thw", "paro heads=twh", "paro heads=hwt", "paro heads=htw",
              "paro heads=wht", "paro heads=wth"}},
            {"svg1", Search::Rule::Nearest, {"svg1 heads=spatial", "svg1 heads=temporal"}}};
}

double weightOf(const std::string& name, const std::string& text)
{
    double value = 0;
    const auto [read, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || read != text.data() + text.size() || !std::isfinite(value) ||
        value < 0)
        throw InputError(fmt::format("{} of --search is '{}', expected a number of at least 0",
                                     name, text));
    return value;
}

} // namespace

std::string searchNames()
{
    std::string names;
    for (const Search& search : searches())
        names += (names.empty() ? "" : ", ") + search.name;
    return names;
}

Search parseSearch(const std::string& text)
{
    std::istringstream words(text);
    std::string name;
    words >> name;
    for (Search& search : searches())
    {
        if (search.name != name)
            continue;
        for (std::string word; words >> word;)
        {
            const auto [option, value] = parseSetting(word, "an option of --search");
            const bool has_loss = search.rule == Search::Rule::Loss;
            if (has_loss && option == "lambda")
                search.lambda = weightOf(option, value);
            else if (has_loss && option == "epsilon")
                search.epsilon = weightOf(option, value);
            else
                for (std::string& candidate : search.candidates)
                    candidate += " " + word;
        }
        return search;
    }
    throw InputError(
        fmt::format("--search is '{}', expected one of {} and its options", text, searchNames()));
}

void Search::choose(Calibration& calibration) const
{
    if (rule == Rule::Loss)
        calibration.chooseByLoss(lambda, epsilon);
    else
        calibration.chooseNearest(rule == Rule::NearestForSteps);
}

} // namespace lacuna::tool

// report.h - the table of all targets, and what became worse since the committed one.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>

#include <string>
#include <vector>

namespace lacuna::gpus
{

// One kernel of one target beside its committed figures.
struct Difference
{
    std::string target, kernel, text;
    bool is_worse = false; // a spill, a lost matrix instruction, 10 % growth
};

// `measured`: one object of measure() a target; `committed`: the whole file, may be empty.
std::vector<Difference> compare(const std::vector<nlohmann::ordered_json>& measured,
                                const nlohmann::ordered_json& committed);

void printTable(const std::vector<nlohmann::ordered_json>& measured);

// What is committed: without what differs from run to run and from one driver's words to another's.
nlohmann::ordered_json toCommit(const std::vector<nlohmann::ordered_json>& measured,
                                const nlohmann::ordered_json& committed);

} // namespace lacuna::gpus

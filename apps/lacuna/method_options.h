// method_options.h - values of options checked against the registry alone: no shape, no device.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace lacuna::tool
{

// A row of `row["options"]`; throws InputError that lists the names.
const nlohmann::json& optionRow(const nlohmann::json& row, const std::string& name);

// Whether its value has an entry for each query head, or one for all.
bool isPerHead(const nlohmann::json& option);

// What is expected instead; nothing when `text` is a value of this option. Whether the value suits
// a shape only the library knows.
std::optional<std::string> optionFault(const nlohmann::json& option, const std::string& text);

// "spatial*2,full" -> {"spatial", "spatial", "full"}; nothing when it is not written like that or
// has more than `most` entries.
std::optional<std::vector<std::string>> entriesPerHead(const std::string& text, size_t most);

// An option with an entry for each of `heads` heads, cut to `count` of them from `first` on; one
// that is for all heads stays as it is.
std::string cutPerHead(const std::string& text, uint32_t heads, uint32_t first, uint32_t count);

} // namespace lacuna::tool

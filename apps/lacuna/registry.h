// registry.h - the library's table of methods, parsed.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>

#include <string>

namespace lacuna::tool
{

nlohmann::json registry();                           // lacunaDescribeMethods
nlohmann::json registryRow(const std::string& name); // throws InputError that lists the known ones

} // namespace lacuna::tool

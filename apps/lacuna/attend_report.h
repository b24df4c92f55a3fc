// attend_report.h - what `lacuna attend` shows of its report.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>

namespace lacuna::tool
{

// Prints the object that --report writes, for people.
void printAttendReport(const nlohmann::json& report);

} // namespace lacuna::tool

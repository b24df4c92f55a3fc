// describe.h - plans, devices and methods as JSON.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "plan.h"

#include <string>

namespace lacuna
{

std::string explainPlan(const CompiledPlan& plan, const Caps& caps);
std::string describeCaps(const Caps& caps);
std::string describeMethods();

} // namespace lacuna

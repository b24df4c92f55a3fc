// measure.h - compiles every pipeline that the library would run on the first Vulkan device of this process.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>

#include <string>

namespace lacuna::gpus
{

// {"target", "device", "driver", "kernels": {"<shader> <dtype> D<head_dim>": figures}, "skipped": [...]}.
// Throws when there is no device, when its driver gives no figures, or when a pipeline does not compile.
nlohmann::ordered_json measure(const std::string& target, const std::string& spirv_folder);

} // namespace lacuna::gpus

// cache.h - what the host runtime keeps between runs, under the XDG cache folder: losing it costs
// time only.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace lacuna::host
{

// The file `name` in $XDG_CACHE_HOME/lacuna, else in ~/.cache/lacuna; nothing when it is absent,
// unreadable, damaged (a checksum goes with the bytes), or when LACUNA_NO_CACHE is set and not 0.
std::optional<std::vector<std::byte>> readCache(const std::string& name);

// Replaces the file as a whole, so that programs running at once never read half of one. Failures
// are ignored.
void writeCache(const std::string& name, std::span<const std::byte> bytes);

} // namespace lacuna::host

// mask_page.h - a selection as one page of HTML that needs nothing but itself.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <lacuna/host.hpp>

#include <string>
#include <vector>

namespace lacuna::tool
{

// A page that browsers still open within seconds.
constexpr uint64_t kMaxPageBytes = 32 << 20;

// What the page says about the mask; any text, the page shows it as it is.
struct MaskPageText
{
    std::string method;
    std::vector<std::string> settings; // "tile=4x4x4"
    std::vector<std::string> inputs;   // "q from q.npy"
    std::string level = "token"; // block: key blocks that are touched, as `lacuna mask` has them
};

// UTF-8 HTML. `grid` has the tokens of `kept`. Throws InputError when the page would be larger.
std::string formatMaskPage(const host::Attention::Kept& kept, const LacunaVideoGrid& grid,
                           const MaskPageText& text, uint64_t max_bytes = kMaxPageBytes);

} // namespace lacuna::tool

// choice.h - tier and tile of a plan whose caller leaves them open: those of the environment, else
// those that `lacuna tune` measured, else the library's.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "tuned.h"

#include <lacuna/host.hpp>

#include <string>
#include <utility>
#include <vector>

namespace lacuna::host
{

class Choice
{
public:
    // Reads LACUNA_TIER and LACUNA_TILE; throws Error that names what is wrong with them. A plan
    // with a tier or a tuning of its own stays as it is.
    Choice(const LacunaPlanDesc& desc, const TunedTiles& tuned);
    Choice(const Choice&) = delete;
    Choice& operator=(const Choice&) = delete;

    const LacunaPlanDesc& desc() const { return desc_; }       // as long as this object lives
    const std::string& chosenBy() const { return chosen_by_; } // empty: the caller or the library

private:
    void setTile(const std::string& text, const char* source);

    LacunaPlanDesc desc_;
    std::vector<std::pair<std::string, std::string>> pairs_;
    std::vector<LacunaOption> tuning_;
    std::string chosen_by_;
};

// "rows_per_lane=2,keys=8" as pairs, "" as none; throws Error(LACUNA_ERROR_INVALID_ARGUMENT) that names
// `source`.
std::vector<std::pair<std::string, std::string>> parseTile(const std::string& text,
                                                           const std::string& source);

} // namespace lacuna::host

// options.h - option tables: the one source of validation, documentation, command-line flags and test sweeps.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../data/video_grid.h"

#include <lacuna/lacuna.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace lacuna
{

enum class OptionType
{
    Int,    // "3"
    Float,  // "0.25"
    Size3,  // "4x4x4": frames x rows x columns, each within min .. max
    Choice, // one of `choices`, as its index
};

struct OptionDesc
{
    const char* name;
    OptionType type;
    const char* fallback; // the default, as text
    double min;
    double max;
    const char* meaning;             // one clause, no full stop
    const char* choices = nullptr;   // Choice only: "a|b|c"
};

// Values in the order of the table.
class Options
{
public:
    int64_t integer(uint32_t i) const { return int64_t(values_[i][0]); }
    double number(uint32_t i) const { return values_[i][0]; }
    Size3 size3(uint32_t i) const
    {
        return {uint32_t(values_[i][0]), uint32_t(values_[i][1]), uint32_t(values_[i][2])};
    }
    bool given(uint32_t i) const { return given_[i]; }

private:
    friend bool parseOptions(std::span<const OptionDesc>, std::span<const LacunaOption>, const char*, Options&,
                             std::string&);
    struct Value
    {
        double v[3] = {};
        double operator[](int i) const { return v[i]; }
    };
    std::vector<Value> values_;
    std::vector<bool> given_;
};

// Fills `options` with defaults and what was given. False: `sentence` says which option is wrong, with its range or the
// known names. `owner` is "method 'sliding_tile'" or "tier 'scalar'".
bool parseOptions(std::span<const OptionDesc> table, std::span<const LacunaOption> given, const char* owner,
                  Options& options, std::string& sentence);

} // namespace lacuna

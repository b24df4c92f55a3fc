// options.h - option tables: the one source of validation, documentation, command-line flags and test sweeps.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../data/video_grid.h"

#include <lacuna/lacuna.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lacuna
{

enum class OptionType
{
    Int,    // "3"
    Float,  // "0.25"
    Size3,  // "4x4x4": frames x rows x columns, each within min .. max
    Choice, // one of `choices`, as its index
    List,   // "300,200*2": whole numbers, or one of `choices` for an empty list
    // For each query head, "a,b*3"; a single one is for all heads.
    PerHead,      // a choice
    PerHeadSize3, // a size
    PerHeadMap,   // a block map, "110/011", or one of `choices`
};

bool isPerHead(OptionType type);

// Which of rows x columns parts of a square are on.
struct BlockMap
{
    uint32_t rows = 0;
    uint32_t columns = 0;
    std::vector<uint8_t> cells; // 1: on

    // Of a square of query_blocks x key_blocks: is any cell on that block (i, j) meets?
    bool meets(uint32_t i, uint32_t query_blocks, uint32_t j, uint32_t key_blocks) const;
};

struct OptionDesc
{
    const char* name;
    OptionType type;
    const char* fallback; // the default, as text
    double min;
    double max;
    const char* meaning;             // one clause, no full stop
    const char* choices = nullptr;   // Choice, List, PerHead and PerHeadMap only: "a|b|c"
};

struct OptionValue
{
    double v[3] = {};
    // For each query head only: indices of choices, or of entries.
    std::vector<uint32_t> heads;
    std::vector<uint32_t> list; // List only
    struct Entry
    {
        std::string text;
        Size3 size;   // PerHeadSize3
        BlockMap map; // PerHeadMap; without rows: a choice
        bool operator==(const Entry& other) const { return text == other.text; } // which says it all
    };
    std::vector<Entry> entries; // the different ones of PerHeadSize3 and PerHeadMap
    double operator[](int i) const { return v[i]; }
    bool operator==(const OptionValue&) const = default;
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
    const std::vector<uint32_t>& list(uint32_t i) const { return values_[i].list; }
    // Of an option for each query head: its indices, one or as many as there are query heads, and
    // that of a head; of a choice, or of an entry.
    const std::vector<uint32_t>& heads(uint32_t i) const { return values_[i].heads; }
    uint32_t choice(uint32_t i, uint32_t q_head) const
    {
        return heads(i).size() == 1 ? heads(i)[0] : heads(i)[q_head];
    }
    const std::vector<OptionValue::Entry>& entries(uint32_t i) const { return values_[i].entries; }
    // The same for some neighbouring query heads alone.
    Options ofHeads(uint32_t first, uint32_t count) const;
    bool operator==(const Options&) const = default; // of one table
    // For numbers whose 0 means "choose": any other one replaces what was chosen.
    void replace(uint32_t i, uint32_t& chosen) const
    {
        if (integer(i) > 0)
            chosen = uint32_t(integer(i));
    }

private:
    friend bool parseOptions(std::span<const OptionDesc>, std::span<const LacunaOption>, const char*, Options&,
                             std::string&);
    std::vector<OptionValue> values_;
    std::vector<bool> given_;
};

// Fills `options` with defaults and what was given. False: `sentence` says which option is wrong, with its range or the
// known names. `owner` is "method 'sliding_tile'" or "tier 'scalar'".
bool parseOptions(std::span<const OptionDesc> table, std::span<const LacunaOption> given, const char* owner,
                  Options& options, std::string& sentence);

// The name of choice `index` of a Choice or PerHead option.
std::string_view choiceName(const OptionDesc& desc, uint32_t index);

} // namespace lacuna

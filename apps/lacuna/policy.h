// policy.h - which method every attention head runs, by step, layer and head.
//
// SPDX-License-Identifier: Apache-2.0
//
//   Policy policy = Policy::load("policy.json");     untrusted: throws InputError with the JSON
//   path policy.bind({.steps = 10, .layers = 8, .heads = 4});          indices are checked, once
//   policy.choices()[policy.choicesOf(step, layer)[head]]          what that head runs
//
// The file is a list of rules; a rule replaces what earlier ones say about the same heads, and what
// no rule names is dense. `--method`, `--dense-steps` and `--dense-layers` are rules too.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lacuna::tool
{

// What a head runs.
struct HeadChoice
{
    std::string method = "dense";
    std::vector<std::pair<std::string, std::string>> options;
    std::string where; // the rule that said so first: "policy.json: rules[1]"; empty for flags

    bool isDense() const { return method == "dense"; }
    std::string name() const; // "block_topk keep_ratio=0.25"
};

// Some steps, layers or heads: both ends count. With percentages step i is inside when
// first <= 100 i / steps < last.
struct IndexRange
{
    double first = 0;
    double last = 0;
    bool is_percent = false;
    std::string where; // "policy.json: rules[1].heads[0]"

    bool holds(uint32_t index, uint32_t count) const;
};

struct PolicyRule
{
    std::vector<IndexRange> steps, layers, heads; // empty: all of them
    uint32_t choice = 0;                          // of Policy::choices()
};

// 0: not known, so that indices have no upper limit.
struct PolicySizes
{
    uint32_t steps = 0;
    uint32_t layers = 0;
    uint32_t heads = 0;
};

class Policy
{
public:
    Policy() = default; // dense everywhere

    // Throws InputError: one sentence with `path`, the place in the JSON and what was expected.
    static Policy load(const std::string& path);
    static Policy parse(std::string_view json, const std::string& path);

    void add(PolicyRule rule, HeadChoice choice); // its `choice` is filled in
    void addDense(uint32_t first_steps, uint32_t first_layers);

    // What the attentions to run have. Throws InputError: an index is out of range, a percentage is
    // of an unknown number, or the file says that it is for other sizes.
    void bind(const PolicySizes& sizes);
    const PolicySizes& sizes() const { return sizes_; }

    const std::vector<HeadChoice>& choices() const { return choices_; }   // the first is dense
    std::vector<uint32_t> choicesOf(uint32_t step, uint32_t layer) const; // [heads]

    // After bind() with known sizes.
    bool isDense(uint32_t step, uint32_t layer) const;
    bool isDense(uint32_t step) const;
    uint32_t denseSteps() const; // before the first step that is not dense
    bool isDense() const { return denseSteps() == sizes_.steps; }

private:
    friend class PolicyReader;
    void checkRange(const IndexRange& range, uint32_t count) const;

    std::vector<HeadChoice> choices_ = {HeadChoice()};
    std::vector<PolicyRule> rules_;
    std::string path_;
    PolicySizes stated_; // by the file
    PolicySizes sizes_;
};

} // namespace lacuna::tool

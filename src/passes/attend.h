// attend.h - ATTEND: the kernel families behind one interface; a variant either runs here or says
// why not.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../gpu/caps.h"
#include "../plan/options.h"
#include "passes.h"

#include <span>
#include <string>
#include <vector>

namespace lacuna
{

// Everything that ATTEND consumes. K and V are already in the method's order; Q and the output are
// read and written through q_order, so that no restoring pass is needed.
struct AttendInputs
{
    Operand q, k, v;
    TokenOrder q_order; // borders are the rows of the list
    List list;
};

// Of tier coopmat: S and P are in shared memory, or in registers, where queries are the rows or the
// columns of the matrices.
enum class Softmax
{
    Shared,
    Rows,
    Columns
};

// One way to run it, with numbers filled in. `text` is what `explain` shows.
struct AttendTile
{
    uint32_t rows = 0;          // queries of one workgroup (Br)
    uint32_t keys = 0;          // keys of one step (Bc)
    uint32_t threads = 0;       // of one workgroup
    uint32_t subgroup_size = 0; // 0: the device's own choice
    uint32_t shared_bytes = 0;
    uint32_t work_keys = 0;     // least keys of one part of a split row; 0: the default
    Softmax softmax = Softmax::Shared;
    bool widen_keys = false;    // V, and K if it is not rounded, are copied to fp32 first
    bool round_keys = false;    // K is copied to 8-bit integers first
    std::vector<uint32_t> spec; // the shader's specialization constants up to kHasParts
    std::string text;
};

// What every tier can be told about its work items, see work.h.
inline constexpr OptionDesc kWorkKeysOption = {
    "work_keys",
    OptionType::Int,
    "0",
    0,
    1 << 20,
    "least keys of one part of a split row, of which a row gets more parts than fill the device; 0 "
    "chooses"};

struct AttendVariant
{
    LacunaTier tier;
    const char* name; // "scalar"
    std::span<const OptionDesc> tuning;

    // Empty when the variant can run, else one clause. `forced`: the caller asked for this tier by
    // name.
    std::string (*unsupportedReason)(const Caps& caps, const Problem& problem, bool forced);
    // The tile for this device and shape; tuning overrides. False: `sentence` says which limit is
    // exceeded.
    bool (*chooseTile)(const Caps& caps, const Problem& problem, const Options& tuning,
                       AttendTile& tile, std::string& sentence);
    Shader (*shader)(const Caps& caps, const Problem& problem, const AttendTile& tile);
};

std::span<const AttendVariant* const> attendVariants(); // fastest first

// Why the plan would not use the variant: what the application refused (the self-test, say), then
// the variant's own reason. Empty: it can run. `forced`: asked for by name.
std::string tierRefusal(const Caps& caps, const Problem& problem, const AttendVariant& variant,
                        bool forced);

// The variant and tile that the plan uses, and why the faster ones were refused.
struct AttendChoice
{
    const AttendVariant* variant = nullptr;
    AttendTile tile;
    struct Refusal
    {
        const char* name;
        std::string reason;
    };
    std::vector<Refusal> refusals;
    std::vector<uint32_t> words; // SPIR-V of the caller's in place of the variant's; empty: none
};

// Fails (with the sentence) when the forced tier is refused, or a tuning option is wrong. Where the
// caller brings kernels, a tier without one is refused.
LacunaResult chooseAttend(const Caps& caps, const Problem& problem, LacunaTier tier,
                          std::span<const LacunaOption> tuning,
                          std::span<const LacunaKernelCode> kernels, AttendChoice& choice,
                          std::string& sentence);

// The sink logits in base 2, as the kernels have all logits, and finite; no slot where there are none.
Slot sinkLogits(PlanBuilder& b);

// Records the dispatch: one workgroup per work item, see work.h.
void attend(PlanBuilder& b, const AttendInputs& inputs);

} // namespace lacuna

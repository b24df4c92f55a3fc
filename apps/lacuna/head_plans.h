// head_plans.h - the plans of attentions whose heads do not all run the same method.
//
// SPDX-License-Identifier: Apache-2.0
//
// Neighbouring heads with the same choice are one run, and one launch: a plan over a part of the
// heads, reached by offsets. Runs of one choice and size share their plan, in all layers and steps.
#pragma once

#include "policy.h"

#include <lacuna/host.hpp>

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace lacuna::tool
{

struct HeadRun
{
    const host::Attention* attention = nullptr;
    uint32_t choice = 0; // of Policy::choices()
    uint32_t first = 0;  // query head
    uint32_t count = 0;
    uint32_t kv_first = 0;
    uint32_t kv_count = 0;
    uint64_t q_offset = 0; // bytes to the first head of the run
    uint64_t k_offset = 0;
    uint64_t v_offset = 0;
    uint64_t out_offset = 0;

    // What a run reads and writes of the tensors of all heads. LSE is not among them: its heads
    // cannot be far apart, so a run of some heads needs one of its own.
    LacunaAttentionBuffers buffers(const LacunaMemory& q, const LacunaMemory& k,
                                   const LacunaMemory& v, const LacunaMemory& out) const;
    // The plan of these heads alone, for an attention like `shape` over all heads.
    LacunaPlanDesc describe(const LacunaPlanDesc& shape) const;
};

// Method and options of the heads of a run, as a plan takes them.
class PlanOptions
{
public:
    // What a choice says for each of `heads` heads is cut to those of the run.
    PlanOptions(const HeadChoice& choice, const HeadRun& run, uint32_t heads);
    PlanOptions(const PlanOptions&) = delete;
    PlanOptions& operator=(const PlanOptions&) = delete;

    void apply(LacunaPlanDesc& desc) const; // the pointers live as long as this object
    std::string text() const;               // "block_topk keep_ratio=0.25"

private:
    HeadChoice choice_;
    std::vector<LacunaOption> options_;
};

// All runs of one attention; in slices where slice_ms is not 0.
host::Slices record(host::Commands& commands, const std::vector<HeadRun>& runs,
                    const LacunaMemory& q, const LacunaMemory& k, const LacunaMemory& v,
                    const LacunaMemory& out, double slice_ms = 0);

class HeadPlans
{
public:
    // `shape` has all heads; its method and options are those of the policy, which is bound to as
    // many heads. Both must outlive this object, and so must what `shape` points to.
    HeadPlans(host::Device& device, const LacunaPlanDesc& shape, const Policy& policy);

    // Makes the plans that are not there yet. Throws InputError that names the rule, where the
    // library refuses an option. The reference stays valid.
    const std::vector<HeadRun>& runs(uint32_t step, uint32_t layer);
    const std::vector<HeadRun>& runs(const std::vector<uint32_t>& choices); // one for each head
    const std::vector<HeadRun>& denseRuns();

    // The plan of a run in one part, whose kept() is there; none where that of the run is one.
    std::unique_ptr<host::Attention> whole(const HeadRun& run) const;

private:
    const host::Attention& plan(const HeadRun& run);
    std::unique_ptr<host::Attention> make(const HeadRun& run, const LacunaPlanDesc& shape) const;

    host::Device& device_;
    const LacunaPlanDesc& shape_;
    const Policy& policy_;
    std::map<std::string, std::unique_ptr<host::Attention>> plans_;
    std::map<std::vector<uint32_t>, std::vector<HeadRun>> runs_; // by the choice of each head
};

} // namespace lacuna::tool

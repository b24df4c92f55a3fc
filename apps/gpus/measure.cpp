// measure.cpp - one plan of every method, head dimension, type and tier; the recorder sees their pipelines.
//
// SPDX-License-Identifier: Apache-2.0
#include "measure.h"

#include "assume.h"
#include "device.h"
#include "layouts.h"
#include "recorder.h"

#include <fmt/format.h>

#include <stdexcept>
#include <string_view>
#include <utility>

namespace lacuna::gpus
{
namespace
{

using Json = nlohmann::ordered_json;

// The latent tokens of a video clip of usual size; nothing is computed on them here.
constexpr LacunaVideoGrid kGrid = {24, 32, 48, 0, 0};
constexpr uint32_t kHeads = 12;

struct Case
{
    std::string method;
    LacunaDtype dtype;
    uint32_t head_dim;
    LacunaTier tier;
    bool in_shared_memory; // the softmax of tier coopmat, as without a probe
    LacunaSums sums = LACUNA_SUMS_F32;

    std::string label() const
    {
        return fmt::format("{} D{}{}", dtype == LACUNA_DTYPE_F16 ? "f16" : "f32", head_dim,
                           sums == LACUNA_SUMS_F16   ? " sums f16"
                           : sums == LACUNA_SUMS_I32 ? " sums i32"
                                                     : "");
    }
};

// What a user gets without asking comes first, so that a kernel is named after its most usual use.
std::vector<Case> allCases()
{
    std::vector<Case> cases;
    for (const Json& method : Json::parse(text(lacunaDescribeMethods)))
        for (const auto& [tier, in_shared_memory] : {std::pair{LACUNA_TIER_AUTO, false},
                                                     {LACUNA_TIER_SCALAR, false},
                                                     {LACUNA_TIER_COOPMAT, false},
                                                     {LACUNA_TIER_COOPMAT, true}})
            for (const LacunaDtype dtype : {LACUNA_DTYPE_F16, LACUNA_DTYPE_F32})
                for (const uint32_t head_dim : {64u, 128u})
                    cases.push_back({method["name"], dtype, head_dim, tier, in_shared_memory});
    for (const auto& [tier, in_shared_memory] :
         {std::pair{LACUNA_TIER_SCALAR, false}, {LACUNA_TIER_COOPMAT, false}, {LACUNA_TIER_COOPMAT, true}})
        for (const uint32_t head_dim : {64u, 128u})
            cases.push_back({"dense", LACUNA_DTYPE_F16, head_dim, tier, in_shared_memory, LACUNA_SUMS_F16});
    for (const uint32_t head_dim : {64u, 128u})
        cases.push_back({"dense", LACUNA_DTYPE_F16, head_dim, LACUNA_TIER_SCALAR, false, LACUNA_SUMS_I32});
    return cases;
}

void add(Json& json, const char* name, const std::optional<uint64_t>& value)
{
    if (value)
        json[name] = *value;
}

Json toJson(const Compiled& compiled)
{
    const Figures& f = compiled.figures;
    Json json = Json::object();
    add(json, "registers", f.registers);
    add(json, "spills", f.spills);
    add(json, "scratch_bytes", f.scratch_bytes);
    add(json, "shared_bytes", f.shared_bytes);
    add(json, "instructions", f.instructions);
    add(json, "matrix_instructions", f.matrix_instructions);
    add(json, "occupancy", f.occupancy);
    json["subgroup_size"] = compiled.subgroup_size;
    json["constants"] = compiled.constants;
    json["compile_ms"] = compiled.compile_ms;
    json["statistics"] = f.statistics;
    return json;
}

// Two pipelines of one shader in one plan differ in their constants only.
std::string freeName(const Json& kernels, const std::string& name)
{
    std::string free = name;
    for (int i = 2; kernels.contains(free); ++i)
        free = fmt::format("{} #{}", name, i);
    return free;
}

void addKernels(Json& kernels, const Case& c, const Plan& plan)
{
    const auto explained =
        Json::parse(text([&](size_t* size, char* to) { return lacunaExplainPlan(plan.get(), size, to); }));
    for (const Compiled& compiled : takeCompiled())
    {
        Json kernel = toJson(compiled);
        const bool is_attend = compiled.shader.starts_with("attend_" + explained["tier"].get<std::string>());
        if (is_attend)
            kernel["tile"] = explained["tile"];
        // The tile that every test of this table is about: what a plain plan on fp16 tensors runs.
        if (is_attend && c.method == "dense" && c.tier == LACUNA_TIER_AUTO && c.dtype == LACUNA_DTYPE_F16)
            kernel["is_default"] = true;
        kernels[freeName(kernels, compiled.shader + " " + c.label())] = kernel;
    }
}

} // namespace

nlohmann::ordered_json measure(const std::string& target, const std::string& spirv_folder)
{
    nameShaders(spirv_folder);
    const std::vector<uint32_t> probe = probeOf(target);
    Device device(probe);
    const auto described =
        Json::parse(text([&](size_t* size, char* to) { return lacunaDescribeContext(device.context(), size, to); }));
    Json json = {{"target", target}, {"device", described["device"]}, {"driver", described["driver"]}};
    json["tiers"] = described["tiers"];
    json["matrices_are_assumed"] = matricesAreAssumed();
    json["layouts_are_assumed"] = !probe.empty();
    json["kernels"] = Json::object();
    for (const Compiled& compiled : takeCompiled())
        json["kernels"][compiled.shader] = toJson(compiled);
    json["skipped"] = Json::array();
    for (const Case& c : allCases())
    {
        LacunaPlanDesc desc = {};
        desc.method = c.method.c_str();
        desc.batch = 1;
        desc.q_heads = kHeads;
        desc.grid = kGrid;
        desc.q_len = kGrid.frames * kGrid.height * kGrid.width;
        desc.head_dim = c.head_dim;
        desc.dtype = c.dtype;
        desc.tier = c.tier;
        const LacunaOption shared = {"softmax", "shared"};
        desc.tuning = &shared;
        desc.tuning_count = c.in_shared_memory;
        desc.sums = c.sums;
        Plan plan;
        std::string sentence;
        const LacunaResult result = device.createPlan(desc, plan, sentence);
        if (result == LACUNA_ERROR_UNSUPPORTED)
            json["skipped"].push_back({{"method", c.method}, {"case", c.label()}, {"reason", sentence}});
        else if (result != LACUNA_SUCCESS)
            throw std::runtime_error(fmt::format("{} of method '{}': {}", c.label(), c.method, sentence));
        else
            addKernels(json["kernels"], c, plan);
    }
    return json;
}

} // namespace lacuna::gpus

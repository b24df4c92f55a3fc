// describe.cpp - says in JSON what a plan runs, what a device offers, and which methods exist.
//
// SPDX-License-Identifier: Apache-2.0
#include "describe.h"

#include "../gpu/matrix_layout.h"
#include "../gpu/pipelines.h"
#include "json.h"

#include <algorithm>

namespace lacuna
{
namespace
{

const char* typeName(OptionType type)
{
    switch (type)
    {
    case OptionType::Int:
        return "int";
    case OptionType::Float:
        return "float";
    case OptionType::Size3:
        return "size3";
    case OptionType::Choice:
        return "choice";
    case OptionType::List:
        return "list";
    case OptionType::PerHead:
        return "per head";
    case OptionType::PerHeadSize3:
        return "size3 per head";
    case OptionType::PerHeadMap:
        return "map per head";
    }
    return "";
}

void writeOption(Json& json, const OptionDesc& option)
{
    json.open('{').member("name", option.name).member("type", typeName(option.type));
    json.member("default", option.fallback);
    if (option.choices)
        json.member("choices", option.choices);
    if (!option.choices || option.type == OptionType::List)
        json.member("min", option.min).member("max", option.max);
    json.member("meaning", option.meaning).close('}');
}

// "300,200*2"
std::string listText(const std::vector<uint32_t>& list)
{
    std::string text;
    for (size_t i = 0, end = 0; i < list.size(); i = end)
    {
        while (end < list.size() && list[end] == list[i])
            ++end;
        text += (i == 0 ? "" : ",") + std::to_string(list[i]);
        if (end - i > 1)
            text += "*" + std::to_string(end - i);
    }
    return text;
}

// A value as its option would be typed.
void writeValue(Json& json, const OptionDesc& option, const Options& options, uint32_t i)
{
    json.key(option.name);
    if (option.type == OptionType::Size3)
    {
        const Size3 s = options.size3(i);
        json.value(std::to_string(s.t) + "x" + std::to_string(s.h) + "x" + std::to_string(s.w));
    }
    else if (option.type == OptionType::Choice)
        json.value(choiceName(option, uint32_t(options.integer(i))));
    else if (option.type == OptionType::List && !options.list(i).empty())
        json.value(listText(options.list(i)));
    else if (option.type == OptionType::List)
        json.value(choiceName(option, uint32_t(options.integer(i))));
    else if (isPerHead(option.type))
    {
        std::string names;
        for (const uint32_t choice : options.heads(i))
            names.append(names.empty() ? "" : ",")
                .append(option.type == OptionType::PerHead ? choiceName(option, choice)
                                                           : options.entries(i)[choice].text);
        json.value(names);
    }
    else
        json.value(options.number(i));
}

const char* dtypeName(LacunaDtype dtype)
{
    return dtype == LACUNA_DTYPE_F16 ? "f16" : dtype == LACUNA_DTYPE_F32 ? "f32" : "bf16";
}

void writeShape(Json& json, const Problem& p)
{
    json.key("shape").open('{');
    json.member("batch", p.batch).member("q_heads", p.q_heads).member("kv_heads", p.kv_heads);
    json.member("q_len", p.q_len).member("k_len", p.k_len).member("head_dim", p.head_dim);
    json.member("dtype", dtypeName(p.dtype)).member("out_dtype", dtypeName(p.out_dtype)).member("scale", p.scale);
    json.member("sums", p.sums == LACUNA_SUMS_F16   ? "f16"
                        : p.sums == LACUNA_SUMS_I32 ? "i32"
                                                    : "f32");
    json.member("soft_cap", p.soft_cap).member("has_sink_logits", !p.sink_logits.empty());
    json.member("has_order", !p.order.empty());
    json.close('}');
}

// Passes of one name, one in each of some parts of the heads.
struct PassRow
{
    const Pass* first;
    uint32_t parts, last_part;
};

std::vector<PassRow> passRows(const std::vector<Pass>& passes)
{
    std::vector<PassRow> rows;
    for (const Pass& pass : passes)
    {
        const auto row = std::find_if(rows.begin(), rows.end(), [&](const PassRow& r)
                                      { return r.first->name == pass.name && r.last_part != pass.part; });
        if (row == rows.end())
            rows.push_back({&pass, 1, pass.part});
        else
            *row = {row->first, row->parts + 1, pass.part};
    }
    return rows;
}

// Of the first part, where there are several.
std::string workText(const CompiledPlan& plan)
{
    if (plan.parts.size() == 1)
        return plan.work;
    return std::to_string(plan.parts.size()) + " parts of at most " + std::to_string(plan.parts[0].slices()) +
           " heads one after the other, in the first of them " + plan.work;
}

void writePasses(Json& json, const std::vector<Pass>& passes)
{
    json.key("passes").open('[');
    for (const PassRow& row : passRows(passes))
    {
        json.open('{').member("name", row.first->name).member("is_attend", row.first->is_attend);
        json.member("parts", row.parts).key("groups").open('[');
        for (const uint32_t n : row.first->groups)
            json.value(n);
        json.close(']').close('}');
    }
    json.close(']');
}

} // namespace

std::string explainPlan(const CompiledPlan& plan, const Caps& caps)
{
    const Method& method = *plan.request.method;
    Json json;
    json.open('{').member("method", method.name).member("kind", method.kind);
    json.key("options").open('{');
    for (uint32_t i = 0; i < method.options.size(); ++i)
        writeValue(json, method.options[i], plan.request.options, i);
    json.close('}');
    writeShape(json, plan.request.problem);

    json.member("device", caps.device_name).member("driver", caps.driver_name);
    json.member("tier", plan.attend.variant->name).member("tile", plan.attend.tile.text);
    json.member("chosen_by", plan.chosen_by).member("work", workText(plan));
    json.member("has_own_kernel", !plan.attend.words.empty());
    json.key("refused").open('[');
    for (const AttendChoice::Refusal& refusal : plan.attend.refusals)
        json.open('{').member("tier", refusal.name).member("reason", refusal.reason).close('}');
    json.close(']');

    const bool is_exact = plan.built.list.known != nullptr;
    json.member("max_density", plan.built.max_density).member("density_is_exact", is_exact);
    json.member("flops", plan.flops());
    json.member("dense_flops", plan.flops() / plan.built.max_density);
    json.member("bytes_once", plan.bytesOnce()).member("bytes_streamed", plan.bytesStreamed());
    json.member("shared_bytes", plan.attend.tile.shared_bytes);
    json.member("constants_bytes", plan.constants.size()).member("workspace_bytes", plan.workspace_bytes);
    json.member("parts", plan.parts.size()).member("max_workspace_bytes", plan.max_workspace_bytes);
    json.member("whole_workspace_bytes", plan.whole_workspace_bytes);
    writePasses(json, plan.passes);
    json.close('}');
    return json.text();
}

std::string describeCaps(const Caps& caps)
{
    // The shape that a tier is judged by here: the commonest one of video models.
    Problem problem;
    problem.head_dim = 64;
    problem.q_len = problem.k_len = 4096;

    Json json;
    json.open('{').member("device", caps.device_name).member("driver", caps.driver_name);
    json.member("shaders", shaderDigest());
    json.member("is_cpu", caps.is_cpu).member("subgroup_size", caps.subgroup_size);
    json.member("min_subgroup_size", caps.min_subgroup_size).member("max_subgroup_size", caps.max_subgroup_size);
    json.member("shared_bytes", caps.max_shared_bytes);
    json.key("matrix_shapes").open('[');
    for (const MatrixShape& s : caps.products.listed)
        json.value(std::to_string(s.m) + "x" + std::to_string(s.n) + "x" + std::to_string(s.k));
    json.close(']').member("matrix_shapes_are_flexible", caps.products.granularity.m != 0);
    json.key("matrix_layouts").open('[');
    for (const MatrixLayout& layout : caps.matrix_layouts)
        json.open('{')
            .member("queries", layout.is_turned ? "columns" : "rows")
            .member("components", layout.components)
            .member("slots", layout.slots)
            .member("slot_step", layout.slot_step)
            .member("row_lanes", layout.row_lanes)
            .member("weights", chainName(layout.chain))
            .close('}');
    json.close(']').member("registers_refusal", caps.registers_refusal);
    json.member("broadcast_refusal", caps.broadcast_refusal);

    AttendChoice choice;
    std::string sentence;
    const bool any = chooseAttend(caps, problem, LACUNA_TIER_AUTO, {}, {}, choice, sentence) == LACUNA_SUCCESS;
    json.member("automatic_tier", any ? choice.variant->name : "none");
    json.key("tiers").open('[');
    for (const AttendVariant* variant : attendVariants())
    {
        const std::string hard = tierRefusal(caps, problem, *variant, true);
        const std::string soft = tierRefusal(caps, problem, *variant, false);
        json.open('{').member("name", variant->name);
        json.member("available", hard.empty()).member("automatic", soft.empty());
        json.member("reason", hard.empty() ? soft : hard).close('}');
    }
    json.close(']').close('}');
    return json.text();
}

std::string describeMethods()
{
    Json json;
    json.open('[');
    for (const Method* method : allMethods())
    {
        json.open('{').member("name", method->name).member("title", method->title);
        json.member("paper", method->paper).member("kind", method->kind).member("reads_v", method->reads_v);
        json.key("options").open('[');
        for (const OptionDesc& option : method->options)
            writeOption(json, option);
        json.close(']').close('}');
    }
    json.close(']');
    return json.text();
}

} // namespace lacuna

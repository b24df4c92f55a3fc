// api.cpp - the lacuna* entry points but those that record commands: each checks its handles,
// forwards, and reports the sentence; nothing else.
//
// SPDX-License-Identifier: Apache-2.0
#include "api.h"

#include "data/named_order.h"
#include "gpu/requirements.h"
#include "plan/describe.h"
#include "reference/reference.h"

#include <lacuna/lacuna.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <new>

using lacuna::Reporter;

namespace
{

LacunaResult copyText(const std::string& from, size_t* size, char* to)
{
    const size_t needed = from.size() + 1;
    const size_t room = to ? *size : needed;
    *size = needed;
    if (to && room > 0)
    {
        const size_t copied = std::min(room, needed) - 1;
        std::memcpy(to, from.data(), copied);
        to[copied] = '\0';
    }
    return room < needed ? LACUNA_INCOMPLETE : LACUNA_SUCCESS;
}

// The request of a reference call, with its query range checked.
LacunaResult referenceRequest(const Reporter& report, const LacunaPlanDesc* desc, uint32_t first_query,
                              uint32_t query_count, lacuna::Request& request)
{
    std::string sentence;
    if (const LacunaResult r = lacuna::makeRequest(desc, request, sentence); r != LACUNA_SUCCESS)
        return report(r, sentence);
    if (query_count == 0 || uint64_t(first_query) + query_count > request.problem.q_len)
        return report(LACUNA_ERROR_INVALID_ARGUMENT,
                      "queries " + std::to_string(first_query) + " + " + std::to_string(query_count) +
                          " are not within the " + std::to_string(request.problem.q_len) + " of the plan");
    return LACUNA_SUCCESS;
}

} // namespace

uint32_t lacunaGetVersion(void)
{
    return LACUNA_VERSION;
}

const char* lacunaGetResultName(LacunaResult result)
{
    switch (result)
    {
    case LACUNA_SUCCESS:
        return "LACUNA_SUCCESS";
    case LACUNA_INCOMPLETE:
        return "LACUNA_INCOMPLETE";
    case LACUNA_ERROR_INVALID_ARGUMENT:
        return "LACUNA_ERROR_INVALID_ARGUMENT";
    case LACUNA_ERROR_UNSUPPORTED:
        return "LACUNA_ERROR_UNSUPPORTED";
    case LACUNA_ERROR_OUT_OF_MEMORY:
        return "LACUNA_ERROR_OUT_OF_MEMORY";
    case LACUNA_ERROR_DEVICE:
        return "LACUNA_ERROR_DEVICE";
    case LACUNA_RESULT_FORCE_32_BIT:
        break;
    }
    return "unknown LacunaResult";
}

LacunaResult lacunaGetDeviceRequirements(PFN_vkGetInstanceProcAddr get_instance_proc_addr, VkInstance instance,
                                         VkPhysicalDevice physical_device, LacunaDeviceRequirements* requirements,
                                         char* reason)
{
    if (reason)
        reason[0] = '\0';
    const auto explain = [&](LacunaResult result, const std::string& sentence) {
        size_t size = 256;
        if (reason)
            copyText(sentence, &size, reason);
        return result;
    };
    if (!get_instance_proc_addr || !instance || !physical_device || !requirements)
        return explain(LACUNA_ERROR_INVALID_ARGUMENT,
                       "get_instance_proc_addr, instance, physical_device or requirements is NULL");
    lacuna::InstanceFunctions vk;
    if (!vk.load(get_instance_proc_addr, instance))
        return explain(LACUNA_ERROR_UNSUPPORTED, "the instance lacks Vulkan 1.1 entry points");
    std::string sentence;
    return explain(lacuna::deviceRequirements(vk, physical_device, *requirements, sentence), sentence);
}

LacunaResult lacunaCreateContext(const LacunaContextDesc* desc, LacunaContext* context)
{
    Reporter report("lacunaCreateContext", desc ? desc->message : nullptr, desc ? desc->message_user : nullptr);
    if (!desc)
        return report.null("desc");
    if (!context)
        return report.null("context");
    *context = nullptr;
    if (desc->header_version != LACUNA_VERSION)
        return report(LACUNA_ERROR_INVALID_ARGUMENT, "header_version is " + std::to_string(desc->header_version) +
                                                         ", this library is " + std::to_string(LACUNA_VERSION));
    if (!desc->get_instance_proc_addr || !desc->instance || !desc->physical_device || !desc->device)
        return report(LACUNA_ERROR_INVALID_ARGUMENT,
                      "get_instance_proc_addr, instance, physical_device or device is NULL");
    if (desc->refusal_count && !desc->refusals)
        return report.null("refusals");

    std::unique_ptr<LacunaContext_T> made(new (std::nothrow) LacunaContext_T);
    if (!made)
        return report(LACUNA_ERROR_OUT_OF_MEMORY, "no host memory for a context");
    made->message = desc->message;
    made->message_user = desc->message_user;
    if (!made->instance.load(desc->get_instance_proc_addr, desc->instance) ||
        !made->device.load(made->instance.vkGetDeviceProcAddr, desc->device))
        return report(LACUNA_ERROR_UNSUPPORTED, "the device lacks Vulkan 1.3 entry points");
    std::string sentence;
    if (const LacunaResult r = lacuna::readCaps(*desc, made->instance, made->caps, sentence); r != LACUNA_SUCCESS)
        return report(r, sentence);
    made->pipelines =
        std::make_unique<lacuna::Pipelines>(made->device, desc->device, desc->pipeline_cache, made->caps);
    *context = made.release();
    return LACUNA_SUCCESS;
}

void lacunaDestroyContext(LacunaContext context)
{
    delete context;
}

LacunaResult lacunaDescribeContext(LacunaContext context, size_t* size, char* text)
{
    const Reporter report("lacunaDescribeContext", context);
    if (!context)
        return report.null("context");
    if (!size)
        return report.null("size");
    return copyText(lacuna::describeCaps(context->caps), size, text);
}

LacunaResult lacunaDescribeMethods(size_t* size, char* text)
{
    return size ? copyText(lacuna::describeMethods(), size, text) : LACUNA_ERROR_INVALID_ARGUMENT;
}

LacunaResult lacunaCreatePlan(LacunaContext context, const LacunaPlanDesc* desc, LacunaPlan* plan)
{
    const Reporter report("lacunaCreatePlan", context);
    if (!context)
        return report.null("context");
    if (!plan)
        return report.null("plan");
    *plan = nullptr;
    std::unique_ptr<LacunaPlan_T> made(new (std::nothrow) LacunaPlan_T);
    if (!made)
        return report(LACUNA_ERROR_OUT_OF_MEMORY, "no host memory for a plan");
    made->context = context;
    std::string sentence;
    if (const LacunaResult r = lacuna::makePlan(desc, context->caps, *context->pipelines, made->plan, sentence);
        r != LACUNA_SUCCESS)
        return report(r, sentence);
    *plan = made.release();
    return LACUNA_SUCCESS;
}

void lacunaDestroyPlan(LacunaPlan plan)
{
    delete plan;
}

LacunaResult lacunaGetPlanInfo(LacunaPlan plan, LacunaPlanInfo* info)
{
    const Reporter report("lacunaGetPlanInfo", plan ? plan->context : nullptr);
    if (!plan)
        return report.null("plan");
    if (!info)
        return report.null("info");
    *info = {plan->plan.constants.size(),     plan->plan.workspace_bytes, uint32_t(plan->plan.passes.size()),
             plan->plan.attend.variant->tier, plan->plan.flops(),         plan->plan.built.max_density,
             plan->plan.groupCount(),         uint32_t(plan->plan.parts.size())};
    return LACUNA_SUCCESS;
}

LacunaResult lacunaGetPlanPass(LacunaPlan plan, uint32_t index, LacunaPassInfo* info)
{
    const Reporter report("lacunaGetPlanPass", plan ? plan->context : nullptr);
    if (!plan)
        return report.null("plan");
    if (!info)
        return report.null("info");
    const std::vector<lacuna::Pass>& passes = plan->plan.passes;
    if (index >= passes.size())
        return report(LACUNA_ERROR_INVALID_ARGUMENT, "index is " + std::to_string(index) + ", expected 0.." +
                                                         std::to_string(passes.size() - 1));
    *info = {passes[index].name.c_str(), passes[index].groupCount()};
    return LACUNA_SUCCESS;
}

LacunaResult lacunaWritePlanConstants(LacunaPlan plan, void* constants)
{
    const Reporter report("lacunaWritePlanConstants", plan ? plan->context : nullptr);
    if (!plan)
        return report.null("plan");
    if (!constants)
        return report.null("constants");
    std::memcpy(constants, plan->plan.constants.data(), plan->plan.constants.size());
    return LACUNA_SUCCESS;
}

LacunaResult lacunaExplainPlan(LacunaPlan plan, size_t* size, char* text)
{
    const Reporter report("lacunaExplainPlan", plan ? plan->context : nullptr);
    if (!plan)
        return report.null("plan");
    if (!size)
        return report.null("size");
    return copyText(lacuna::explainPlan(plan->plan, plan->context->caps), size, text);
}

LacunaResult lacunaGetPlanList(LacunaPlan plan, LacunaList* list)
{
    const Reporter report("lacunaGetPlanList", plan ? plan->context : nullptr);
    if (!plan)
        return report.null("plan");
    if (!list)
        return report.null("list");
    if (const std::string refusal = lacuna::partsRefusal(plan->plan); !refusal.empty())
        return report(LACUNA_ERROR_UNSUPPORTED, refusal);
    const lacuna::Built& built = plan->plan.built;
    const auto order = [](const lacuna::TokenOrder& o) { return o.perm.empty() ? nullptr : o.perm.data(); };
    const lacuna::SlotInfo& ranges = plan->plan.slots[built.list.ranges.id];
    const lacuna::SlotInfo& spans = plan->plan.slots[built.list.spans.id];
    list->row_count = built.q_order.blocks();
    list->key_block_count = built.k_order.blocks();
    list->row_borders = built.q_order.borders.data();
    list->key_borders = built.k_order.borders.data();
    list->q_order = order(built.q_order);
    list->k_order = order(built.k_order);
    list->region = ranges.region == lacuna::Region::Constants   ? LACUNA_REGION_CONSTANTS
                   : ranges.region == lacuna::Region::Workspace ? LACUNA_REGION_WORKSPACE
                                                                : LACUNA_REGION_CALLER;
    list->ranges_offset = ranges.offset;
    list->spans_offset = spans.offset;
    list->head_stride = built.list.head_stride;
    list->q_order_heads = built.q_order.heads;
    const bool is_k_order_made = built.device_k_order.valid();
    list->k_order_heads = is_k_order_made ? 0 : built.k_order.heads;
    list->k_order_offset = is_k_order_made ? plan->plan.slots[built.device_k_order.id].offset : 0;
    if (is_k_order_made)
        list->k_order = nullptr;
    const lacuna::KeyBounds none, &bounds = built.list.bounds ? *built.list.bounds : none;
    list->windows = bounds.windows.empty() ? nullptr : &bounds.windows[0].begin;
    list->sinks = bounds.sinks;
    list->boxes = bounds.boxes.empty() ? nullptr : &bounds.boxes[0].low;
    list->places = bounds.places.empty() ? nullptr : bounds.places.data();
    list->box_guard = bounds.guard;
    return LACUNA_SUCCESS;
}

LacunaResult lacunaGetTokenOrder(const char* name, const LacunaVideoGrid* grid, const uint32_t box[3], uint32_t* order,
                                 uint32_t* inverse, LacunaMessageCallback message, void* message_user)
{
    const Reporter report("lacunaGetTokenOrder", message, message_user);
    if (!name || !grid)
        return report.null(name ? "grid" : "name");
    lacuna::VideoGrid video;
    std::string sentence;
    if (!lacuna::makeGrid(*grid, video, sentence))
        return report(LACUNA_ERROR_INVALID_ARGUMENT, sentence);
    const lacuna::Size3 sides = box ? lacuna::Size3{box[0], box[1], box[2]} : lacuna::Size3{};
    const std::vector<uint32_t> tokens = lacuna::namedOrder(name, video, box ? &sides : nullptr, sentence);
    if (!sentence.empty())
        return report(LACUNA_ERROR_INVALID_ARGUMENT, sentence);
    for (uint32_t place = 0; place < tokens.size(); ++place)
    {
        if (order)
            order[place] = tokens[place];
        if (inverse)
            inverse[tokens[place]] = place;
    }
    return LACUNA_SUCCESS;
}

LacunaResult lacunaReferenceMask(const LacunaPlanDesc* desc, const float* q, const float* k, const float* v,
                                 uint32_t first_query, uint32_t query_count, uint8_t* mask,
                                 LacunaMessageCallback message, void* message_user)
{
    const Reporter report("lacunaReferenceMask", message, message_user);
    lacuna::Request request;
    if (const LacunaResult r = referenceRequest(report, desc, first_query, query_count, request); r != LACUNA_SUCCESS)
        return r;
    if (!mask)
        return report.null("mask");
    if (!request.method->reference)
        return report(LACUNA_ERROR_UNSUPPORTED, "method '" + std::string(request.method->name) +
                                                    "' takes its list from the caller, there is no mask to compute");
    if (std::strcmp(request.method->kind, "static") != 0 && (!q || !k))
        return report(LACUNA_ERROR_INVALID_ARGUMENT,
                      "q or k is NULL, and method '" + std::string(request.method->name) + "' decides by their values");
    if (request.method->reads_v && !v)
        return report(LACUNA_ERROR_INVALID_ARGUMENT,
                      "v is NULL, and method '" + std::string(request.method->name) + "' decides by its values");
    const lacuna::Problem& p = request.problem;
    std::memset(mask, 0, uint64_t(p.heads()) * query_count * p.k_len);
    request.method->reference(p, request.options, {q, k, v}, first_query, query_count, mask);
    return LACUNA_SUCCESS;
}

LacunaResult lacunaReferenceAttention(const LacunaPlanDesc* desc, const float* q, const float* k, const float* v,
                                      uint32_t first_query, uint32_t query_count, const uint8_t* mask, double* out,
                                      double* lse, LacunaMessageCallback message, void* message_user)
{
    const Reporter report("lacunaReferenceAttention", message, message_user);
    lacuna::Request request;
    if (const LacunaResult r = referenceRequest(report, desc, first_query, query_count, request); r != LACUNA_SUCCESS)
        return r;
    if (!q || !k || !v || !out)
        return report.null("q, k, v or out");
    lacuna::attendReference(request.problem, q, k, v, first_query, query_count, mask, out, lse);
    return LACUNA_SUCCESS;
}

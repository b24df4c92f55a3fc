// api_record.cpp - the lacunaCmd* entry points: they record commands, and nothing else.
//
// SPDX-License-Identifier: Apache-2.0
#include "api.h"

#include "../shaders/shared/matrices.h"
#include "gpu/matrix_layout.h"

using lacuna::Reporter;

namespace
{

LacunaResult record(const char* function, VkCommandBuffer cmd, LacunaPlan plan,
                    const LacunaAttentionBuffers* buffers, lacuna::Stages stages,
                    const lacuna::Slice& slice = {})
{
    const Reporter report(function, plan ? plan->context : nullptr);
    if (!plan)
        return report.null("plan");
    if (!cmd)
        return report.null("cmd");
    if (stages != lacuna::Stages::All)
        if (const std::string refusal = lacuna::partsRefusal(plan->plan); !refusal.empty())
            return report(LACUNA_ERROR_UNSUPPORTED, refusal);
    std::string sentence;
    if (const LacunaResult r = lacuna::checkBuffers(plan->plan, buffers, stages, sentence);
        r != LACUNA_SUCCESS)
        return report(r, sentence);
    lacuna::recordPlan(plan->context->device, cmd, plan->plan, *buffers, stages, slice);
    return LACUNA_SUCCESS;
}

} // namespace

size_t lacunaGetProbeSize(LacunaContext context)
{
    return context ? size_t(lacuna::probeBytes(context->caps)) : 0;
}

LacunaResult lacunaCmdProbe(VkCommandBuffer cmd, LacunaContext context, VkDeviceAddress results)
{
    const Reporter report("lacunaCmdProbe", context);
    if (!context)
        return report.null("context");
    if (!cmd)
        return report.null("cmd");
    if (results == 0 || results % sizeof(uint32_t) != 0)
        return report(LACUNA_ERROR_INVALID_ARGUMENT,
                      "results is " + std::to_string(results) +
                          ", expected an address that is a multiple of 4");
    if (lacuna::probeBytes(context->caps) == 0)
        return report(LACUNA_ERROR_UNSUPPORTED, "the device has no cooperative matrices to probe");
    std::string sentence;
    lacuna::Pipeline* pipeline = nullptr;
    if (const LacunaResult r =
            context->pipelines->get(lacuna::probePipeline(context->caps), pipeline, sentence);
        r != LACUNA_SUCCESS)
        return report(r, sentence);
    const lacuna::DeviceFunctions& vk = context->device;
    const lacuna::ProbePush push = {{uint32_t(results), uint32_t(results >> 32)}};
    vk.vkCmdBindPipeline(cmd, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline->handle);
    vk.vkCmdPushConstants(cmd, pipeline->layout, VK_SHADER_STAGE_COMPUTE_BIT, 0, sizeof push,
                          &push);
    vk.vkCmdDispatch(cmd, 1, 1, 1);
    return LACUNA_SUCCESS;
}

LacunaResult lacunaCmdAttention(VkCommandBuffer cmd, LacunaPlan plan,
                                const LacunaAttentionBuffers* buffers)
{
    return record("lacunaCmdAttention", cmd, plan, buffers, lacuna::Stages::All);
}

LacunaResult lacunaCmdAttentionSlice(VkCommandBuffer cmd, LacunaPlan plan,
                                     const LacunaAttentionBuffers* buffers, uint64_t first_group,
                                     uint64_t group_count)
{
    const Reporter report("lacunaCmdAttentionSlice", plan ? plan->context : nullptr);
    if (!plan)
        return report.null("plan");
    const uint64_t all = plan->plan.groupCount();
    if (first_group >= all)
        return report(LACUNA_ERROR_INVALID_ARGUMENT,
                      "first_group is " + std::to_string(first_group) + ", expected 0.." +
                          std::to_string(all - 1));
    if (group_count == 0 || group_count > all - first_group)
        return report(LACUNA_ERROR_INVALID_ARGUMENT,
                      "group_count is " + std::to_string(group_count) + " from first_group " +
                          std::to_string(first_group) + " on, expected 1.." +
                          std::to_string(all - first_group));
    return record("lacunaCmdAttentionSlice", cmd, plan, buffers, lacuna::Stages::All,
                  {first_group, first_group + group_count});
}

LacunaResult lacunaCmdSelect(VkCommandBuffer cmd, LacunaPlan plan,
                             const LacunaAttentionBuffers* buffers)
{
    return record("lacunaCmdSelect", cmd, plan, buffers, lacuna::Stages::Select);
}

LacunaResult lacunaCmdReuse(VkCommandBuffer cmd, LacunaPlan plan,
                            const LacunaAttentionBuffers* buffers)
{
    return record("lacunaCmdReuse", cmd, plan, buffers, lacuna::Stages::Reuse);
}

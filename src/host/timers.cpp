// timers.cpp - timestamps in pools of a fixed size, added as a run needs them.
//
// SPDX-License-Identifier: Apache-2.0
#include "timers.h"

#include <algorithm>

namespace lacuna::host
{

void Timers::create(const DeviceTable& vk, VkDevice device, uint32_t valid_bits, double period_ns)
{
    vk_ = &vk;
    device_ = device;
    valid_bits_ = valid_bits;
    period_ns_ = period_ns;
}

void Timers::destroy()
{
    for (const VkQueryPool pool : pools_)
        vk_->vkDestroyQueryPool(device_, pool, nullptr);
    pools_.clear();
}

void Timers::restart()
{
    used_ = 0;
    spans_.clear();
}

uint32_t Timers::write(VkCommandBuffer cmd)
{
    const uint32_t pool = used_ / kPoolQueries;
    if (pool == pools_.size())
    {
        VkQueryPoolCreateInfo info = {};
        info.sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO;
        info.queryType = VK_QUERY_TYPE_TIMESTAMP;
        info.queryCount = kPoolQueries;
        VkQueryPool created = VK_NULL_HANDLE;
        checkVulkan(vk_->vkCreateQueryPool(device_, &info, nullptr, &created), "vkCreateQueryPool");
        pools_.push_back(created);
    }
    if (used_ % kPoolQueries == 0)
        vk_->vkCmdResetQueryPool(cmd, pools_[pool], 0, kPoolQueries);
    // Bottom of pipe at both ends: all work before the mark has finished when its time is taken.
    vk_->vkCmdWriteTimestamp(cmd, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, pools_[pool],
                             used_ % kPoolQueries);
    return used_++;
}

void Timers::begin(VkCommandBuffer cmd, std::string_view name)
{
    if (valid_bits_ != 0)
        spans_.push_back({std::string(name), write(cmd), kOpen});
}

void Timers::end(VkCommandBuffer cmd, std::string_view name)
{
    if (valid_bits_ == 0)
        return;
    const auto open =
        std::find_if(spans_.rbegin(), spans_.rend(),
                     [&](const Span& span) { return span.end == kOpen && span.name == name; });
    if (open == spans_.rend())
        throw Error(LACUNA_ERROR_INVALID_ARGUMENT,
                    "endTimer: timer '" + std::string(name) + "' was not begun in this run");
    open->end = write(cmd);
}

double Timers::milliseconds(uint64_t begin_ticks, uint64_t end_ticks) const
{
    const uint64_t mask =
        valid_bits_ >= 64 ? ~0ull : (1ull << valid_bits_) - 1; // the counter wraps
    return double((end_ticks - begin_ticks) & mask) * period_ns_ * 1e-6;
}

double Timers::between(uint32_t begin, uint32_t end) const
{
    uint64_t ticks[2] = {};
    for (int i = 0; i < 2; ++i)
    {
        const uint32_t query = i == 0 ? begin : end;
        checkVulkan(vk_->vkGetQueryPoolResults(device_, pools_[query / kPoolQueries],
                                               query % kPoolQueries, 1, 8, ticks + i, 8,
                                               VK_QUERY_RESULT_64_BIT | VK_QUERY_RESULT_WAIT_BIT),
                    "vkGetQueryPoolResults");
    }
    return milliseconds(ticks[0], ticks[1]);
}

std::vector<Timing> Timers::read() const
{
    std::vector<uint64_t> ticks(used_);
    for (uint32_t first = 0; first < used_; first += kPoolQueries)
    {
        const uint32_t count = std::min(kPoolQueries, used_ - first);
        checkVulkan(vk_->vkGetQueryPoolResults(device_, pools_[first / kPoolQueries], 0, count,
                                               count * 8, ticks.data() + first, 8,
                                               VK_QUERY_RESULT_64_BIT | VK_QUERY_RESULT_WAIT_BIT),
                    "vkGetQueryPoolResults");
    }
    std::vector<Timing> timings;
    for (const Span& span : spans_)
    {
        if (span.end == kOpen)
            throw Error(LACUNA_ERROR_INVALID_ARGUMENT,
                        "beginTimer: timer '" + span.name + "' was not ended");
        auto timing = std::find_if(timings.begin(), timings.end(),
                                   [&](const Timing& t) { return t.name == span.name; });
        if (timing == timings.end())
            timing = timings.insert(timings.end(), Timing{span.name, 0, 0});
        timing->ms += milliseconds(ticks[span.begin], ticks[span.end]);
        timing->count += 1;
    }
    return timings;
}

} // namespace lacuna::host

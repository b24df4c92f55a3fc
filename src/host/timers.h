// timers.h - named GPU timers that add up, on timestamp queries.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "functions.h"

#include <lacuna/host.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace lacuna::host
{

class Timers
{
public:
    // `valid_bits` of the queue family; 0 switches every timer off.
    void create(const DeviceTable& vk, VkDevice device, uint32_t valid_bits, double period_ns);
    void destroy();

    bool isOn() const { return valid_bits_ != 0; }
    void restart(); // forgets the spans of the last run
    void begin(VkCommandBuffer cmd, std::string_view name);
    void end(VkCommandBuffer cmd, std::string_view name);
    std::vector<Timing> read() const; // after the run; in the order of first use

    // Where they are on: the time between two marks, both of which have been executed.
    uint32_t mark(VkCommandBuffer cmd) { return write(cmd); }
    double between(uint32_t begin, uint32_t end) const;

private:
    static constexpr uint32_t kOpen = ~0u;
    struct Span
    {
        std::string name;
        uint32_t begin = 0;
        uint32_t end = kOpen;
    };
    uint32_t write(VkCommandBuffer cmd);
    double milliseconds(uint64_t begin_ticks, uint64_t end_ticks) const;

    static constexpr uint32_t kPoolQueries = 512;
    const DeviceTable* vk_ = nullptr;
    VkDevice device_ = VK_NULL_HANDLE;
    uint32_t valid_bits_ = 0;
    double period_ns_ = 1;
    std::vector<VkQueryPool> pools_;
    uint32_t used_ = 0;
    std::vector<Span> spans_;
};

} // namespace lacuna::host

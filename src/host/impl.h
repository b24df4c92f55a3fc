// impl.h - what stands behind host::Device, host::Buffer and host::Kernel.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "functions.h"
#include "instance.h"
#include "self_test.h"
#include "timers.h"
#include "tuned.h"

#include <lacuna/host.hpp>

#include <vk_mem_alloc.h>

#include <atomic>
#include <list>
#include <mutex>

namespace lacuna::host
{

struct Buffer::Impl
{
    VmaAllocator allocator = nullptr;
    VkBuffer buffer = VK_NULL_HANDLE;
    VmaAllocation allocation = nullptr;
    std::byte* host = nullptr; // coherent; NULL when the memory must be staged

    ~Impl();
};

struct Kernel::Impl
{
    const DeviceTable* vk = nullptr;
    VkDevice device = VK_NULL_HANDLE;
    VkPipelineLayout layout = VK_NULL_HANDLE;
    VkPipeline pipeline = VK_NULL_HANDLE;
    uint32_t push_bytes = 0;

    ~Impl();
};

struct Device::Impl
{
    Device& owner;
    DeviceOptions options;
    Instance instance;
    DeviceInfo info;
    Handles handles = {};
    DeviceTable vk;
    bool is_lost = false;
    std::atomic<bool> has_new_kernels = false; // made since the last commands ran

    LacunaDeviceRequirements requirements = {};
    VkPhysicalDeviceProperties properties = {};
    uint32_t subgroup_size = 0;
    bool can_pin_subgroup_size = false;
    uint64_t max_buffer_bytes = 0;
    std::string cache_key; // device, driver and library
    std::vector<uint32_t> probe; // see lacunaCmdProbe; empty: none

    VmaAllocator allocator = nullptr;
    VkCommandPool pool = VK_NULL_HANDLE;
    VkCommandBuffer cmd = VK_NULL_HANDLE;
    VkFence fence = VK_NULL_HANDLE;
    VkPipelineCache pipeline_cache = VK_NULL_HANDLE;
    Timers timers;
    TunedTiles tuned;
    Buffer staging;

    Context context;
    mutable std::mutex mutex; // plans may be created, and fail, on any thread
    std::string sentence;     // of the last failed call into the context

    Impl(Device& device, const DeviceOptions& options);
    ~Impl();

    void createDevice(VkPhysicalDevice physical_device);
    void createQueueObjects();
    void openPipelineCache();
    void savePipelineCache() const;
    void createContext(const SelfTestOutcome& outcome);
    void probeMatrices();

    void requireNotLost() const;
    void beginCommands();
    void submitAndWait(); // ends the commands
    VkResult wait(); // for the fence
    const Buffer& stagingOf(uint64_t bytes);

    static void receive(void* user, LacunaResult result, const char* sentence);
};

// Vulkan 1.3 limits and names of one physical device.
DeviceInfo describePhysicalDevice(const InstanceTable& vk, VkPhysicalDevice physical_device,
                                  uint32_t index);
// The choice of DeviceOptions::index; throws Error that lists the devices.
uint32_t chooseDevice(const InstanceTable& vk, const std::vector<VkPhysicalDevice>& devices,
                      int index);

} // namespace lacuna::host

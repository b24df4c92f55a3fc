// device.cpp - host::Device: makes a VkDevice with all that Lacuna can use, runs command buffers,
// keeps caches.
//
// SPDX-License-Identifier: Apache-2.0
#include "cache.h"
#include "impl.h"
#include "self_test.h"

#include <algorithm>
#include <cstring>
#include <limits>

namespace lacuna::host
{

Device::Impl::Impl(Device& device, const DeviceOptions& wanted)
    : owner(device), options(wanted), instance(wanted.validation)
{
}

Device::Impl::~Impl()
{
    if (!handles.device)
        return;
    vk.vkDeviceWaitIdle(handles.device);
    context.reset();
    staging = Buffer();
    timers.destroy();
    if (pipeline_cache)
    {
        savePipelineCache();
        vk.vkDestroyPipelineCache(handles.device, pipeline_cache, nullptr);
    }
    if (fence)
        vk.vkDestroyFence(handles.device, fence, nullptr);
    if (pool)
        vk.vkDestroyCommandPool(handles.device, pool, nullptr);
    if (allocator)
        vmaDestroyAllocator(allocator);
    vk.vkDestroyDevice(handles.device, nullptr);
}

// The first family that can compute; its index and properties.
static uint32_t computeFamily(const InstanceTable& vk, VkPhysicalDevice device,
                              VkQueueFamilyProperties& family)
{
    uint32_t count = 0;
    vk.vkGetPhysicalDeviceQueueFamilyProperties(device, &count, nullptr);
    std::vector<VkQueueFamilyProperties> families(count);
    vk.vkGetPhysicalDeviceQueueFamilyProperties(device, &count, families.data());
    for (uint32_t i = 0; i < count; ++i)
        if (families[i].queueFlags & VK_QUEUE_COMPUTE_BIT)
        {
            family = families[i];
            return i;
        }
    throw Error(LACUNA_ERROR_UNSUPPORTED, "the device has no queue that can compute");
}

static bool hasDeviceExtension(const InstanceTable& vk, VkPhysicalDevice device, const char* wanted)
{
    uint32_t count = 0;
    vk.vkEnumerateDeviceExtensionProperties(device, nullptr, &count, nullptr);
    std::vector<VkExtensionProperties> extensions(count);
    vk.vkEnumerateDeviceExtensionProperties(device, nullptr, &count, extensions.data());
    return std::any_of(extensions.begin(), extensions.end(),
                       [&](const auto& e) { return std::strcmp(e.extensionName, wanted) == 0; });
}

void Device::Impl::createDevice(VkPhysicalDevice physical_device)
{
    handles.get_instance_proc_addr = Loader::get().vkGetInstanceProcAddr;
    handles.instance = instance.handle();
    handles.physical_device = physical_device;

    char reason[256] = "";
    if (lacunaGetDeviceRequirements(handles.get_instance_proc_addr, handles.instance,
                                    physical_device, &requirements, reason) != LACUNA_SUCCESS)
        throw Error(LACUNA_ERROR_UNSUPPORTED, info.name + ": " + reason);

    VkQueueFamilyProperties family = {};
    handles.queue_family = computeFamily(instance.vk(), physical_device, family);
    const float priority = 1;
    VkDeviceQueueCreateInfo queue = {};
    queue.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO;
    queue.queueFamilyIndex = handles.queue_family;
    queue.queueCount = 1;
    queue.pQueuePriorities = &priority;

    std::vector<const char*> extensions(requirements.extensions,
                                        requirements.extensions + requirements.extension_count);
    // Its name is behind VK_ENABLE_BETA_EXTENSIONS; a driver that lists it demands it.
    const char* const portability_subset = "VK_KHR_portability_subset";
    if (hasDeviceExtension(instance.vk(), physical_device, portability_subset))
        extensions.push_back(portability_subset);

    VkDeviceCreateInfo create = {};
    create.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO;
    create.pNext = &requirements.features;
    create.queueCreateInfoCount = 1;
    create.pQueueCreateInfos = &queue;
    create.enabledExtensionCount = uint32_t(extensions.size());
    create.ppEnabledExtensionNames = extensions.data();
    checkVulkan(instance.vk().vkCreateDevice(physical_device, &create, nullptr, &handles.device),
                "vkCreateDevice");
    vk.load(instance.vk().vkGetDeviceProcAddr, handles.device);
    vk.vkGetDeviceQueue(handles.device, handles.queue_family, 0, &handles.queue);
    if (!instance.hasDebugUtils())
        vk.vkSetDebugUtilsObjectNameEXT = nullptr;

    VkPhysicalDeviceSubgroupProperties subgroup = {};
    subgroup.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES;
    VkPhysicalDeviceMaintenance4Properties maintenance4 = {};
    maintenance4.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_4_PROPERTIES;
    maintenance4.pNext = &subgroup;
    VkPhysicalDeviceProperties2 all = {};
    all.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2;
    all.pNext = &maintenance4;
    instance.vk().vkGetPhysicalDeviceProperties2(physical_device, &all);
    properties = all.properties;
    subgroup_size = subgroup.subgroupSize;
    max_buffer_bytes = maintenance4.maxBufferSize;
    can_pin_subgroup_size = requirements.vulkan13.subgroupSizeControl;
    timers.create(vk, handles.device, family.timestampValidBits, properties.limits.timestampPeriod);
    cache_key = info.uuid + "-" + std::to_string(properties.driverVersion) + "-" +
                std::to_string(lacunaGetVersion()) + "-" + std::to_string(subgroup_size);
}

void Device::Impl::createQueueObjects()
{
    VmaVulkanFunctions functions = {};
    functions.vkGetInstanceProcAddr = handles.get_instance_proc_addr;
    functions.vkGetDeviceProcAddr = instance.vk().vkGetDeviceProcAddr;
    VmaAllocatorCreateInfo allocator_info = {};
    allocator_info.flags = VMA_ALLOCATOR_CREATE_BUFFER_DEVICE_ADDRESS_BIT |
                           VMA_ALLOCATOR_CREATE_EXTERNALLY_SYNCHRONIZED_BIT;
    allocator_info.physicalDevice = handles.physical_device;
    allocator_info.device = handles.device;
    allocator_info.pVulkanFunctions = &functions;
    allocator_info.instance = handles.instance;
    allocator_info.vulkanApiVersion = VK_API_VERSION_1_3;
    checkVulkan(vmaCreateAllocator(&allocator_info, &allocator), "vmaCreateAllocator");

    VkCommandPoolCreateInfo pool_info = {};
    pool_info.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO;
    pool_info.queueFamilyIndex = handles.queue_family;
    checkVulkan(vk.vkCreateCommandPool(handles.device, &pool_info, nullptr, &pool),
                "vkCreateCommandPool");

    VkCommandBufferAllocateInfo cmd_info = {};
    cmd_info.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO;
    cmd_info.commandPool = pool;
    cmd_info.level = VK_COMMAND_BUFFER_LEVEL_PRIMARY;
    cmd_info.commandBufferCount = 1;
    checkVulkan(vk.vkAllocateCommandBuffers(handles.device, &cmd_info, &cmd),
                "vkAllocateCommandBuffers");

    VkFenceCreateInfo fence_info = {};
    fence_info.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO;
    checkVulkan(vk.vkCreateFence(handles.device, &fence_info, nullptr, &fence), "vkCreateFence");
}

// Drivers must reject foreign data, and some crash on it instead: the header is compared here
// first.
static bool headerMatches(std::span<const std::byte> bytes,
                          const VkPhysicalDeviceProperties& properties)
{
    VkPipelineCacheHeaderVersionOne header;
    if (bytes.size() < sizeof(header))
        return false;
    std::memcpy(&header, bytes.data(), sizeof(header));
    return header.headerSize >= sizeof(header) &&
           header.headerVersion == VK_PIPELINE_CACHE_HEADER_VERSION_ONE &&
           header.vendorID == properties.vendorID && header.deviceID == properties.deviceID &&
           std::memcmp(header.pipelineCacheUUID, properties.pipelineCacheUUID, VK_UUID_SIZE) == 0;
}

void Device::Impl::openPipelineCache()
{
    std::vector<std::byte> bytes =
        readCache("pipelines-" + cache_key).value_or(std::vector<std::byte>());
    if (!headerMatches(bytes, properties))
        bytes.clear();
    VkPipelineCacheCreateInfo create = {};
    create.sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO;
    create.initialDataSize = bytes.size();
    create.pInitialData = bytes.data();
    checkVulkan(vk.vkCreatePipelineCache(handles.device, &create, nullptr, &pipeline_cache),
                "vkCreatePipelineCache");
}

void Device::Impl::savePipelineCache() const
{
    size_t size = 0;
    if (is_lost ||
        vk.vkGetPipelineCacheData(handles.device, pipeline_cache, &size, nullptr) != VK_SUCCESS)
        return;
    std::vector<std::byte> bytes(size);
    if (vk.vkGetPipelineCacheData(handles.device, pipeline_cache, &size, bytes.data()) !=
        VK_SUCCESS)
        return;
    bytes.resize(size);
    const std::string name = "pipelines-" + cache_key;
    if (readCache(name) != bytes)
        writeCache(name, bytes);
}

void Device::Impl::receive(void* user, LacunaResult, const char* sentence)
{
    Impl& impl = *static_cast<Impl*>(user);
    const std::lock_guard lock(impl.mutex);
    impl.sentence = sentence;
}

void Device::Impl::createContext(const SelfTestOutcome& outcome)
{
    context.reset();
    std::vector<LacunaTierRefusal> list;
    for (const auto& [tier, reason] : outcome.refusals)
        list.push_back({tier, reason.c_str()});

    VkDeviceCreateInfo enabled = {};
    enabled.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO;
    enabled.pNext = &requirements.features;
    enabled.enabledExtensionCount = requirements.extension_count;
    enabled.ppEnabledExtensionNames = requirements.extensions;

    LacunaContextDesc desc = {};
    desc.header_version = LACUNA_VERSION;
    desc.get_instance_proc_addr = handles.get_instance_proc_addr;
    desc.instance = handles.instance;
    desc.physical_device = handles.physical_device;
    desc.device = handles.device;
    desc.device_info = &enabled;
    desc.pipeline_cache = pipeline_cache;
    desc.refusals = list.data();
    desc.refusal_count = uint32_t(list.size());
    desc.message = receive;
    desc.message_user = this;
    desc.max_shared_bytes = options.max_shared_bytes;
    if (!outcome.broadcast_refusal.empty())
        desc.broadcast_refusal = outcome.broadcast_refusal.c_str();
    if (!outcome.registers_refusal.empty())
        desc.registers_refusal = outcome.registers_refusal.c_str();
    desc.probe = probe.empty() ? nullptr : probe.data();
    desc.probe_bytes = probe.size() * sizeof(uint32_t);
    LacunaContext created = nullptr;
    has_new_kernels = true;
    owner.check(lacunaCreateContext(&desc, &created));
    context.reset(created);
}

void Device::Impl::probeMatrices()
{
    const size_t bytes = lacunaGetProbeSize(context.get());
    if (bytes == 0)
        return;
    const Buffer results = owner.createBuffer(bytes, Memory::Readback);
    owner.run([&](Commands& commands)
              { owner.check(lacunaCmdProbe(commands.handle(), context.get(), results.address())); });
    probe.resize(bytes / sizeof(uint32_t));
    owner.download(results, std::as_writable_bytes(std::span(probe)));
}

void Device::Impl::requireNotLost() const
{
    if (is_lost)
        throw Error(LACUNA_ERROR_DEVICE,
                    info.name + " was lost during an earlier run; make a new Device");
}

void Device::Impl::beginCommands()
{
    checkVulkan(vk.vkResetCommandPool(handles.device, pool, 0), "vkResetCommandPool");
    VkCommandBufferBeginInfo begin = {};
    begin.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO;
    begin.flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT;
    checkVulkan(vk.vkBeginCommandBuffer(cmd, &begin), "vkBeginCommandBuffer");
}

// llvmpipe compiles a kernel when it first runs, for seconds, unless its own cache has it, and
// nothing tells which: so the first commands with new kernels are given a second.
VkResult Device::Impl::wait()
{
    if (has_new_kernels.exchange(false) && info.is_cpu && options.notice)
    {
        constexpr uint64_t kSecond = 1'000'000'000;
        const VkResult result = vk.vkWaitForFences(handles.device, 1, &fence, VK_TRUE, kSecond);
        if (result != VK_TIMEOUT)
            return result;
        options.notice("the first run of new kernels takes longer where " + info.name +
                       " has to compile them; later runs find them in its cache");
        options.notice = nullptr; // once
    }
    return vk.vkWaitForFences(handles.device, 1, &fence, VK_TRUE,
                              std::numeric_limits<uint64_t>::max());
}

void Device::Impl::submitAndWait()
{
    checkVulkan(vk.vkEndCommandBuffer(cmd), "vkEndCommandBuffer");
    VkSubmitInfo submit = {};
    submit.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO;
    submit.commandBufferCount = 1;
    submit.pCommandBuffers = &cmd;
    VkResult result = vk.vkQueueSubmit(handles.queue, 1, &submit, fence);
    const char* call = "vkQueueSubmit";
    if (result == VK_SUCCESS)
    {
        call = "vkWaitForFences";
        result = wait();
    }
    is_lost = result == VK_ERROR_DEVICE_LOST;
    checkVulkan(result, call);
    checkVulkan(vk.vkResetFences(handles.device, 1, &fence), "vkResetFences");
}

Device::Device(const DeviceOptions& options) : impl_(std::make_unique<Impl>(*this, options))
{
    const std::vector<VkPhysicalDevice> devices = impl_->instance.physicalDevices();
    const uint32_t index = chooseDevice(impl_->instance.vk(), devices, options.index);
    impl_->info = describePhysicalDevice(impl_->instance.vk(), devices[index], index);
    impl_->createDevice(devices[index]);
    impl_->createQueueObjects();
    impl_->openPipelineCache();
    impl_->createContext({});
    impl_->probeMatrices();
    if (!impl_->probe.empty())
        impl_->createContext({});
    if (options.self_test)
    {
        const SelfTestOutcome outcome = testTiers(*this, impl_->cache_key, options.notice);
        if (!outcome.passed())
            impl_->createContext(outcome);
    }
    impl_->info.is_usable = true;
    impl_->info.describe_json = text([&](size_t* size, char* json)
                                     { return lacunaDescribeContext(context(), size, json); });
    if (options.tuned)
        impl_->tuned.read(impl_->cache_key, impl_->info.describe_json);
}

Device::~Device() = default;

const DeviceInfo& Device::info() const
{
    return impl_->info;
}

const Handles& Device::handles() const
{
    return impl_->handles;
}

LacunaContext Device::context() const
{
    return impl_->context.get();
}

std::vector<std::string> Device::validationMessages() const
{
    return impl_->instance.messages();
}

void Device::check(LacunaResult result) const
{
    if (result >= 0)
        return;
    const std::lock_guard lock(impl_->mutex);
    throw Error(result, impl_->sentence.empty() ? lacunaGetResultName(result) : impl_->sentence);
}

std::vector<DeviceInfo> listDeviceNames()
{
    const Instance instance(false);
    const std::vector<VkPhysicalDevice> devices = instance.physicalDevices();
    std::vector<DeviceInfo> infos;
    for (uint32_t i = 0; i < devices.size(); ++i)
        infos.push_back(describePhysicalDevice(instance.vk(), devices[i], i));
    return infos;
}

std::vector<DeviceInfo> listDevices(bool self_test, const Notice& notice)
{
    std::vector<DeviceInfo> infos = listDeviceNames();
    for (DeviceInfo& info : infos)
        try
        {
            info = Device({.index = int(info.index), .self_test = self_test, .notice = notice})
                       .info();
        }
        catch (const Error& error)
        {
            info.reason = error.what();
        }
    return infos;
}

} // namespace lacuna::host

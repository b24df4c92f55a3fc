// test_record.cpp - recording: many threads with one plan, two devices at once, no allocation, silent validation.
//
// SPDX-License-Identifier: Apache-2.0
// ctest: label=vk timeout=300
#include "harness.h"

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <new>
#include <thread>

using namespace lacuna;
using namespace lacuna::test;

// Every allocation of this program, the library's included, is counted.
static std::atomic<uint64_t> g_allocations = 0;

void* operator new(std::size_t size)
{
    ++g_allocations;
    if (void* const memory = std::malloc(size ? size : 1))
        return memory;
    throw std::bad_alloc();
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept
{
    ++g_allocations;
    return std::malloc(size ? size : 1);
}
void operator delete(void* memory) noexcept
{
    std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept
{
    std::free(memory);
}

namespace
{

Case videoCase(const char* method, LacunaTier tier, LacunaDtype dtype)
{
    Case c;
    c.method = method;
    c.desc.batch = 1;
    c.desc.q_heads = 2;
    c.desc.q_len = 2 * 6 * 8 + 5;
    c.desc.head_dim = 32;
    c.desc.grid = {2, 6, 8, 0, 5};
    c.desc.dtype = dtype;
    c.desc.out_dtype = LACUNA_DTYPE_F32;
    c.desc.tier = tier;
    if (std::string(method) == "sliding_tile")
        c.options = {{"tile", "2x2x4"}, {"window", "1x1x1"}};
    return c;
}

// Empty when a plan of this case can be made, else the reason.
std::string unsupported(const Case& c)
{
    std::vector<LacunaOption> storage;
    const LacunaPlanDesc desc = c.description(storage);
    try
    {
        const host::Attention attention(device(), desc);
        return "";
    }
    catch (const Error& error)
    {
        REQUIRE(error.result() == LACUNA_ERROR_UNSUPPORTED);
        return error.what();
    }
}

template <typename Function>
Function load(const char* name)
{
    const host::Handles& h = device().handles();
    return Function(h.get_instance_proc_addr(h.instance, name));
}

// One attention with its tensors on the device, recorded by whoever likes.
struct Job
{
    host::Buffer q, k, v, out, constants, workspace;
    LacunaAttentionBuffers buffers = {};

    Job(host::Device& owner, LacunaPlan plan, const LacunaPlanDesc& desc, const Inputs& inputs)
    {
        const auto upload = [&](const std::vector<float>& values)
        {
            host::Buffer buffer = owner.createBuffer(values.size() * 4);
            owner.upload(buffer, std::as_bytes(std::span(values)));
            return buffer;
        };
        q = upload(inputs.q), k = upload(inputs.k), v = upload(inputs.v);
        out = owner.createBuffer(uint64_t(desc.q_heads) * desc.q_len * desc.head_dim * 4);
        LacunaPlanInfo info = {};
        REQUIRE(lacunaGetPlanInfo(plan, &info) == LACUNA_SUCCESS);
        constants = owner.createBuffer(info.constants_bytes + 1);
        workspace = owner.createBuffer(info.workspace_bytes + 1);
        std::vector<std::byte> tables(info.constants_bytes);
        if (!tables.empty())
            REQUIRE(lacunaWritePlanConstants(plan, tables.data()) == LACUNA_SUCCESS);
        owner.upload(constants, tables);
        buffers.q = q.memory(), buffers.k = k.memory(), buffers.v = v.memory(), buffers.out = out.memory();
        buffers.constants = constants.memory(), buffers.workspace = workspace.memory();
    }
    std::vector<float> result(host::Device& owner) const
    {
        std::vector<float> values(out.size() / 4);
        owner.download(out, std::as_writable_bytes(std::span(values)));
        return values;
    }
};

// A command buffer of its own, for one thread.
struct ThreadCommands
{
    VkCommandPool pool = VK_NULL_HANDLE;
    VkCommandBuffer cmd = VK_NULL_HANDLE;

    ThreadCommands()
    {
        const host::Handles& h = device().handles();
        VkCommandPoolCreateInfo pool_info = {};
        pool_info.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO;
        pool_info.queueFamilyIndex = h.queue_family;
        REQUIRE(load<PFN_vkCreateCommandPool>("vkCreateCommandPool")(h.device, &pool_info, nullptr, &pool) ==
                VK_SUCCESS);
        VkCommandBufferAllocateInfo info = {};
        info.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO;
        info.commandPool = pool;
        info.commandBufferCount = 1;
        REQUIRE(load<PFN_vkAllocateCommandBuffers>("vkAllocateCommandBuffers")(h.device, &info, &cmd) == VK_SUCCESS);
    }
    ~ThreadCommands()
    {
        load<PFN_vkDestroyCommandPool>("vkDestroyCommandPool")(device().handles().device, pool, nullptr);
    }
    void record(LacunaPlan plan, const LacunaAttentionBuffers& buffers, std::atomic<int>& failures) const
    {
        VkCommandBufferBeginInfo begin = {};
        begin.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO;
        load<PFN_vkBeginCommandBuffer>("vkBeginCommandBuffer")(cmd, &begin);
        for (int i = 0; i < 5; ++i)
        {
            failures += lacunaCmdAttention(cmd, plan, &buffers) != LACUNA_SUCCESS;
            VkMemoryBarrier memory = {};
            memory.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER;
            memory.srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT;
            memory.dstAccessMask = VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_HOST_READ_BIT;
            load<PFN_vkCmdPipelineBarrier>("vkCmdPipelineBarrier")(
                cmd, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT,
                VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_HOST_BIT, 0, 1, &memory, 0, nullptr, 0,
                nullptr);
        }
        load<PFN_vkEndCommandBuffer>("vkEndCommandBuffer")(cmd);
    }
};

// Commands that go nowhere, so that only the library's own allocations are counted.
VKAPI_ATTR void VKAPI_CALL bindNothing(VkCommandBuffer, VkPipelineBindPoint, VkPipeline) {}
VKAPI_ATTR void VKAPI_CALL pushNothing(VkCommandBuffer, VkPipelineLayout, VkShaderStageFlags, uint32_t, uint32_t,
                                       const void*)
{
}
std::atomic<uint32_t> g_dispatches = 0;
VKAPI_ATTR void VKAPI_CALL dispatchNothing(VkCommandBuffer, uint32_t, uint32_t, uint32_t)
{
    ++g_dispatches;
}
VKAPI_ATTR void VKAPI_CALL dispatchNothingFrom(VkCommandBuffer, uint32_t, uint32_t, uint32_t, uint32_t, uint32_t,
                                               uint32_t)
{
    ++g_dispatches;
}
VKAPI_ATTR void VKAPI_CALL waitForNothing(VkCommandBuffer, VkPipelineStageFlags, VkPipelineStageFlags,
                                          VkDependencyFlags, uint32_t, const VkMemoryBarrier*, uint32_t,
                                          const VkBufferMemoryBarrier*, uint32_t, const VkImageMemoryBarrier*)
{
}
PFN_vkGetDeviceProcAddr g_device_proc_addr = nullptr;
VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL deviceProcAddr(VkDevice owner, const char* name)
{
    if (std::strcmp(name, "vkCmdBindPipeline") == 0)
        return PFN_vkVoidFunction(bindNothing);
    if (std::strcmp(name, "vkCmdPushConstants") == 0)
        return PFN_vkVoidFunction(pushNothing);
    if (std::strcmp(name, "vkCmdDispatch") == 0)
        return PFN_vkVoidFunction(dispatchNothing);
    if (std::strcmp(name, "vkCmdDispatchBase") == 0)
        return PFN_vkVoidFunction(dispatchNothingFrom);
    if (std::strcmp(name, "vkCmdPipelineBarrier") == 0)
        return PFN_vkVoidFunction(waitForNothing);
    return std::strncmp(name, "vkCmd", 5) == 0 ? nullptr : g_device_proc_addr(owner, name);
}
VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL instanceProcAddr(VkInstance instance, const char* name)
{
    if (std::strcmp(name, "vkGetDeviceProcAddr") == 0)
        return PFN_vkVoidFunction(deviceProcAddr);
    return device().handles().get_instance_proc_addr(instance, name);
}

Context contextThatRecordsNothing()
{
    const host::Handles& h = device().handles();
    g_device_proc_addr = load<PFN_vkGetDeviceProcAddr>("vkGetDeviceProcAddr");
    LacunaContextDesc desc = {};
    desc.header_version = LACUNA_VERSION;
    desc.get_instance_proc_addr = instanceProcAddr;
    desc.instance = h.instance;
    desc.physical_device = h.physical_device;
    desc.device = h.device;
    return createContext(desc);
}

} // namespace

TEST_CASE("several threads record one plan at once, each with its own memory")
{
    const Case c = videoCase("block_topk", LACUNA_TIER_AUTO, LACUNA_DTYPE_F32);
    std::vector<LacunaOption> storage;
    const LacunaPlanDesc desc = c.description(storage);
    const Plan plan = createPlan(device().context(), desc);
    const Inputs inputs = normalInputs(c, 5);
    constexpr int kThreads = 4;
    std::vector<Job> jobs;
    for (int i = 0; i < kThreads; ++i)
        jobs.emplace_back(device(), plan.get(), desc, inputs);
    std::vector<ThreadCommands> commands(kThreads);
    std::atomic<int> failures = 0;
    std::vector<std::thread> threads;
    for (int i = 0; i < kThreads; ++i)
        threads.emplace_back([&, i] { commands[i].record(plan.get(), jobs[i].buffers, failures); });
    for (std::thread& thread : threads)
        thread.join();
    CHECK(failures == 0);

    const host::Handles& h = device().handles();
    for (const ThreadCommands& one : commands)
    {
        VkSubmitInfo submit = {};
        submit.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO;
        submit.commandBufferCount = 1;
        submit.pCommandBuffers = &one.cmd;
        REQUIRE(load<PFN_vkQueueSubmit>("vkQueueSubmit")(h.queue, 1, &submit, VK_NULL_HANDLE) == VK_SUCCESS);
    }
    REQUIRE(load<PFN_vkDeviceWaitIdle>("vkDeviceWaitIdle")(h.device) == VK_SUCCESS);
    const std::vector<float> first = jobs[0].result(device());
    const Output expected = runOnDevice(c, inputs);
    CHECK(first == expected.out);
    for (const Job& job : jobs)
        CHECK(job.result(device()) == first);
}

TEST_CASE("two devices work in one process at once")
{
    const Case c = videoCase("sliding_tile", LACUNA_TIER_SCALAR, LACUNA_DTYPE_F32);
    std::vector<LacunaOption> storage;
    const LacunaPlanDesc desc = c.description(storage);
    const Inputs inputs = normalInputs(c, 6);
    host::Device a({.self_test = false}), b({.self_test = false});
    REQUIRE(a.handles().device != b.handles().device);
    const Plan plan_a = createPlan(a.context(), desc), plan_b = createPlan(b.context(), desc);
    const Job job_a(a, plan_a.get(), desc, inputs), job_b(b, plan_b.get(), desc, inputs);
    std::atomic<int> failures = 0;
    const auto run = [&](host::Device& owner, const Plan& plan, const Job& job)
    {
        for (int i = 0; i < 3; ++i)
            owner.run([&](host::Commands& commands)
                      { failures += lacunaCmdAttention(commands.handle(), plan.get(), &job.buffers) < 0; });
    };
    std::thread other([&] { run(b, plan_b, job_b); });
    run(a, plan_a, job_a);
    other.join();
    CHECK(failures == 0);
    CHECK(job_a.result(a) == job_b.result(b));
    CHECK(job_a.result(a) == runOnDevice(c, inputs).out);
}

TEST_CASE("recording allocates nothing")
{
    const Context context = contextThatRecordsNothing();
    for (const char* method : {"dense", "sliding_tile", "block_topk"})
    {
        const Case c = videoCase(method, LACUNA_TIER_SCALAR, LACUNA_DTYPE_F32);
        std::vector<LacunaOption> storage;
        const LacunaPlanDesc desc = c.description(storage);
        const Plan plan = createPlan(context.get(), desc);
        const Job job(device(), plan.get(), desc, normalInputs(c, 7));
        LacunaPlanInfo info = {};
        REQUIRE(lacunaGetPlanInfo(plan.get(), &info) == LACUNA_SUCCESS);
        const VkCommandBuffer nowhere = reinterpret_cast<VkCommandBuffer>(&g_dispatches);

        g_dispatches = 0;
        const uint64_t before = g_allocations;
        const LacunaResult attention = lacunaCmdAttention(nowhere, plan.get(), &job.buffers);
        const LacunaResult select = lacunaCmdSelect(nowhere, plan.get(), &job.buffers);
        const LacunaResult slice =
            lacunaCmdAttentionSlice(nowhere, plan.get(), &job.buffers, 1, info.group_count - 1);
        const uint64_t after = g_allocations;
        INFO(method);
        CHECK(attention == LACUNA_SUCCESS);
        CHECK(select == LACUNA_SUCCESS);
        CHECK(slice == LACUNA_SUCCESS);
        CHECK(after == before);
        CHECK(g_dispatches >= info.pass_count);
    }
    CHECK(g_allocations > 0); // the counter counts
}

TEST_CASE("validation and synchronization validation stay silent for each method and tier")
{
    for (const char* method : {"dense", "sliding_tile", "block_topk"})
        for (const LacunaTier tier : {LACUNA_TIER_SCALAR, LACUNA_TIER_COOPMAT})
        {
            const Case c = videoCase(method, tier, LACUNA_DTYPE_F16);
            if (const std::string reason = unsupported(c); !reason.empty())
            {
                skip(c.id(), reason);
                continue;
            }
            const size_t before = device().validationMessages().size();
            const Output first = runOnDevice(c, normalInputs(c, 8));
            const std::vector<std::string> messages = device().validationMessages();
            INFO(c.id(), ": ", messages.empty() ? "" : messages.back());
            CHECK(messages.size() == before);
            CHECK(first.out == runOnDevice(c, normalInputs(c, 8)).out); // the same bits again
        }
}

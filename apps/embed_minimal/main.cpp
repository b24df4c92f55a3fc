// embed_minimal - sparse attention in an application with its own device, memory and commands.
// SPDX-License-Identifier: Apache-2.0
// The steps marked 1 to 4 are all that Lacuna asks for; the rest an engine has already.
#include <lacuna/lacuna.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>

static VkInstance instance;
static VkPhysicalDevice gpu;
static VkDevice device;
static LacunaContext context;

static void require(bool ok, const char* what)
{
    if (!ok)
        std::exit((std::fprintf(stderr, "embed_minimal: %s\n", what), 1));
}

static void createDeviceAndContext()
{
    VkApplicationInfo app = {VK_STRUCTURE_TYPE_APPLICATION_INFO};
    app.apiVersion = VK_API_VERSION_1_3;
    VkInstanceCreateInfo instance_info = {VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO, nullptr, 0, &app};
    require(!vkCreateInstance(&instance_info, nullptr, &instance), "vkCreateInstance failed");
    uint32_t count = 1;
    require(vkEnumeratePhysicalDevices(instance, &count, &gpu) >= 0 && count, "no Vulkan device");

    // 1. Make the device with what Lacuna can use, and lend it. More may be switched on.
    LacunaDeviceRequirements needs;
    char why[256] = "";
    require(!lacunaGetDeviceRequirements(vkGetInstanceProcAddr, instance, gpu, &needs, why), why);
    const float priority = 1;
    VkDeviceQueueCreateInfo queue = {VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO};
    queue.queueCount = 1;
    queue.pQueuePriorities = &priority;
    VkDeviceCreateInfo info = {VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO, &needs.features, 0, 1, &queue};
    info.enabledExtensionCount = needs.extension_count;
    info.ppEnabledExtensionNames = needs.extensions;
    require(!vkCreateDevice(gpu, &info, nullptr, &device), "vkCreateDevice failed");

    LacunaContextDesc desc = {LACUNA_VERSION, vkGetInstanceProcAddr, instance, gpu, device, &info};
    desc.message = [](void*, LacunaResult, const char* text) { std::puts(text); };
    require(!lacunaCreateContext(&desc, &context), "lacunaCreateContext failed");
}

// One mapped buffer with an address, for everything; an engine has its own allocator.
static float* createMemory(VkDeviceSize size, VkBuffer* buffer, VkDeviceMemory* memory)
{
    VkBufferCreateInfo info = {VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO, nullptr, 0, size};
    info.usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT;
    require(!vkCreateBuffer(device, &info, nullptr, buffer), "vkCreateBuffer failed");
    VkMemoryRequirements needs;
    vkGetBufferMemoryRequirements(device, *buffer, &needs);
    VkPhysicalDeviceMemoryProperties all;
    vkGetPhysicalDeviceMemoryProperties(gpu, &all);
    const auto host = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    uint32_t type = 0; // every device has one
    while (!(needs.memoryTypeBits >> type & 1) || host & ~all.memoryTypes[type].propertyFlags)
        ++type;
    VkMemoryAllocateFlagsInfo flags = {VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO};
    flags.flags = VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT;
    VkMemoryAllocateInfo take = {VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO, &flags, needs.size, type};
    require(!vkAllocateMemory(device, &take, nullptr, memory), "vkAllocateMemory failed");
    vkBindBufferMemory(device, *buffer, *memory, 0);
    void* mapped = nullptr;
    vkMapMemory(device, *memory, 0, VK_WHOLE_SIZE, 0, &mapped);
    return static_cast<float*>(mapped);
}

int main()
{
    const uint32_t T = 4, H = 16, W = 16, N = T * H * W, D = 64; // one head of a small video
    createDeviceAndContext();

    // 2. A plan for each shape: here every 4x4x4 tile of tokens sees the 3x3 tiles around it.
    const LacunaOption options[] = {{"tile", "4x4x4"}, {"window", "1x3x3"}};
    LacunaPlanDesc desc = {"sliding_tile", options, 2};
    desc.batch = 1, desc.q_heads = 1, desc.q_len = N, desc.head_dim = D;
    desc.grid = {T, H, W, 0, 0};
    desc.dtype = LACUNA_DTYPE_F32;
    LacunaPlan plan = nullptr;
    require(!lacunaCreatePlan(context, &desc, &plan), "lacunaCreatePlan failed");

    // 3. Besides the tensors it wants memory for tables, written once, and for scratch.
    LacunaPlanInfo info = {};
    lacunaGetPlanInfo(plan, &info);
    const VkDeviceSize tensor = N * D * sizeof(float), tables = 4 * tensor;
    const VkDeviceSize scratch = tables + (info.constants_bytes + 255) / 256 * 256;
    VkBufferDeviceAddressInfo where = {VK_STRUCTURE_TYPE_BUFFER_DEVICE_ADDRESS_INFO};
    VkDeviceMemory memory;
    float* const q = createMemory(scratch + info.workspace_bytes, &where.buffer, &memory);
    float *const k = q + N * D, *const v = k + N * D, *const out = v + N * D;
    lacunaWritePlanConstants(plan, out + N * D);
    for (uint32_t i = 0; i < N * D; ++i) // any numbers will do
        q[i] = sinf(0.37f * i), k[i] = cosf(0.11f * i), v[i] = sinf(0.05f * i);

    VkCommandPoolCreateInfo pool_info = {VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO};
    VkCommandPool pool;
    vkCreateCommandPool(device, &pool_info, nullptr, &pool);
    VkCommandBufferAllocateInfo cmd_info = {VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO, nullptr,
                                            pool, VK_COMMAND_BUFFER_LEVEL_PRIMARY, 1};
    VkCommandBuffer cmd;
    vkAllocateCommandBuffers(device, &cmd_info, &cmd);
    VkCommandBufferBeginInfo begin = {VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
    vkBeginCommandBuffer(cmd, &begin);

    // 4. Record it wherever your command buffer has got to.
    const VkDeviceAddress at = vkGetBufferDeviceAddress(device, &where);
    LacunaAttentionBuffers buffers = {};
    buffers.q = {at, tensor}, buffers.k = {at + tensor, tensor};
    buffers.v = {at + 2 * tensor, tensor}, buffers.out = {at + 3 * tensor, tensor};
    buffers.constants = {at + tables, info.constants_bytes};
    buffers.workspace = {at + scratch, info.workspace_bytes};
    require(!lacunaCmdAttention(cmd, plan, &buffers), "lacunaCmdAttention failed");

    VkMemoryBarrier to_host = {VK_STRUCTURE_TYPE_MEMORY_BARRIER, nullptr,
                               VK_ACCESS_SHADER_WRITE_BIT, VK_ACCESS_HOST_READ_BIT};
    vkCmdPipelineBarrier(cmd, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, VK_PIPELINE_STAGE_HOST_BIT, 0,
                         1, &to_host, 0, nullptr, 0, nullptr);
    vkEndCommandBuffer(cmd);
    VkQueue queue;
    vkGetDeviceQueue(device, 0, 0, &queue);
    VkSubmitInfo submit = {VK_STRUCTURE_TYPE_SUBMIT_INFO, nullptr, 0, nullptr, nullptr, 1, &cmd};
    require(!vkQueueSubmit(queue, 1, &submit, nullptr) && !vkDeviceWaitIdle(device), "GPU failed");

    double sum = 0, wanted = 0; // token 0, channel 5; its window is rows and columns 0 .. 11
    for (uint32_t key = 0; key < N; ++key)
    {
        double dot = 0;
        for (uint32_t d = 0; d < D; ++d)
            dot += double(q[d]) * k[key * D + d];
        const bool kept = key / W % H < 12 && key % W < 12;
        const double weight = kept ? std::exp(dot / std::sqrt(double(D))) : 0;
        sum += weight;
        wanted += weight * v[key * D + 5];
    }
    const double error = std::fabs(wanted / sum - out[5]);
    std::printf("%.0f %% of the pairs kept, error %.1e\n", 100 * info.max_density, error);

    lacunaDestroyPlan(plan);
    lacunaDestroyContext(context);
    vkDestroyCommandPool(device, pool, nullptr);
    vkDestroyBuffer(device, where.buffer, nullptr);
    vkFreeMemory(device, memory, nullptr);
    vkDestroyDevice(device, nullptr);
    vkDestroyInstance(instance, nullptr);
    return error < 1e-4 ? 0 : 1;
}

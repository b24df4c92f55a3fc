// caps.cpp - reads what a device can do and what the application enabled; every driver workaround lives here.
//
// SPDX-License-Identifier: Apache-2.0
#include "caps.h"
#include "matrix_layout.h"

#include "requirements.h"

#include <algorithm>
#include <cstring>
#include <thread>
#include <utility>

namespace lacuna
{
namespace
{

// What the application switched on, from the structs behind VkDeviceCreateInfo.
struct Enabled
{
    bool buffer_device_address = false, memory_model = false;
    bool subgroup_size_control = false, full_subgroups = false;
    bool f16_storage = false, f16_arithmetic = false, integer_dot = false;
    bool matrix_feature = false, matrix_extension = false;
    bool matrix2_extension = false;
    VkPhysicalDeviceCooperativeMatrix2FeaturesNV matrix2 = {};
};

void readFeature(const VkBaseInStructure* s, Enabled& e)
{
    switch (s->sType)
    {
    case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_FEATURES:
        e.f16_storage |= reinterpret_cast<const VkPhysicalDeviceVulkan11Features*>(s)->storageBuffer16BitAccess != 0;
        break;
    case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES: {
        const auto& f = *reinterpret_cast<const VkPhysicalDeviceVulkan12Features*>(s);
        e.buffer_device_address |= f.bufferDeviceAddress != 0;
        e.memory_model |= f.vulkanMemoryModel != 0;
        e.f16_arithmetic |= f.shaderFloat16 != 0;
        break;
    }
    case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_3_FEATURES: {
        const auto& f = *reinterpret_cast<const VkPhysicalDeviceVulkan13Features*>(s);
        e.subgroup_size_control |= f.subgroupSizeControl != 0;
        e.full_subgroups |= f.computeFullSubgroups != 0;
        e.integer_dot |= f.shaderIntegerDotProduct != 0;
        break;
    }
    case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_FEATURES:
        e.integer_dot |= reinterpret_cast<const VkPhysicalDeviceShaderIntegerDotProductFeatures*>(s)
                             ->shaderIntegerDotProduct != 0;
        break;
    case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_16BIT_STORAGE_FEATURES:
        e.f16_storage |= reinterpret_cast<const VkPhysicalDevice16BitStorageFeatures*>(s)->storageBuffer16BitAccess != 0;
        break;
    case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_FLOAT16_INT8_FEATURES:
        e.f16_arithmetic |= reinterpret_cast<const VkPhysicalDeviceShaderFloat16Int8Features*>(s)->shaderFloat16 != 0;
        break;
    case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_MEMORY_MODEL_FEATURES:
        e.memory_model |= reinterpret_cast<const VkPhysicalDeviceVulkanMemoryModelFeatures*>(s)->vulkanMemoryModel != 0;
        break;
    case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_BUFFER_DEVICE_ADDRESS_FEATURES:
        e.buffer_device_address |=
            reinterpret_cast<const VkPhysicalDeviceBufferDeviceAddressFeatures*>(s)->bufferDeviceAddress != 0;
        break;
    case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES: {
        const auto& f = *reinterpret_cast<const VkPhysicalDeviceSubgroupSizeControlFeatures*>(s);
        e.subgroup_size_control |= f.subgroupSizeControl != 0;
        e.full_subgroups |= f.computeFullSubgroups != 0;
        break;
    }
    case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR:
        e.matrix_feature |=
            reinterpret_cast<const VkPhysicalDeviceCooperativeMatrixFeaturesKHR*>(s)->cooperativeMatrix != 0;
        break;
    case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_2_FEATURES_NV:
        e.matrix2 = *reinterpret_cast<const VkPhysicalDeviceCooperativeMatrix2FeaturesNV*>(s);
        break;
    default:
        break;
    }
}

Enabled readEnabled(const VkDeviceCreateInfo* info)
{
    Enabled e;
    if (!info)
    {
        e.buffer_device_address = true; // the caller's word, see LacunaContextDesc
        return e;
    }
    for (auto* s = static_cast<const VkBaseInStructure*>(info->pNext); s; s = s->pNext)
        readFeature(s, e);
    for (uint32_t i = 0; i < info->enabledExtensionCount; ++i)
    {
        const char* name = info->ppEnabledExtensionNames[i];
        e.matrix_extension |= std::strcmp(name, VK_KHR_COOPERATIVE_MATRIX_EXTENSION_NAME) == 0;
        e.matrix2_extension |= std::strcmp(name, VK_NV_COOPERATIVE_MATRIX_2_EXTENSION_NAME) == 0;
    }
    return e;
}

struct Properties
{
    VkPhysicalDeviceProperties2 core = {VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, nullptr, {}};
    VkPhysicalDeviceVulkan11Properties vulkan11 = {};
    VkPhysicalDeviceVulkan12Properties vulkan12 = {};
    VkPhysicalDeviceVulkan13Properties vulkan13 = {};
    // Zero where the extension is missing.
    VkPhysicalDeviceShaderSMBuiltinsPropertiesNV sm = {};
    VkPhysicalDeviceShaderCorePropertiesAMD cores = {};
    VkPhysicalDeviceCooperativeMatrix2PropertiesNV matrix2 = {};
};

void readProperties(const InstanceFunctions& vk, VkPhysicalDevice device,
                    const std::vector<VkExtensionProperties>& extensions, Properties& p)
{
    p.vulkan11.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_PROPERTIES;
    p.vulkan12.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_PROPERTIES;
    p.vulkan13.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_3_PROPERTIES;
    p.sm.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_SM_BUILTINS_PROPERTIES_NV;
    p.cores.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_CORE_PROPERTIES_AMD;
    p.matrix2.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_2_PROPERTIES_NV;
    p.core.pNext = &p.vulkan11;
    p.vulkan11.pNext = &p.vulkan12;
    p.vulkan12.pNext = &p.vulkan13;
    void** end = &p.vulkan13.pNext;
    const auto append = [&](const char* extension, auto& properties)
    {
        if (!hasExtension(extensions, extension))
            return;
        *end = &properties;
        end = &properties.pNext;
    };
    append(VK_NV_SHADER_SM_BUILTINS_EXTENSION_NAME, p.sm);
    append(VK_AMD_SHADER_CORE_PROPERTIES_EXTENSION_NAME, p.cores);
    append(VK_NV_COOPERATIVE_MATRIX_2_EXTENSION_NAME, p.matrix2);
    vk.vkGetPhysicalDeviceProperties2(device, &p.core);
}

uint32_t computeUnits(const Properties& p)
{
    constexpr uint32_t kAssumed = 32; // Vulkan itself does not tell
    const uint32_t cores = p.cores.shaderEngineCount * p.cores.shaderArraysPerEngineCount *
                           p.cores.computeUnitsPerShaderArray;
    return p.sm.shaderSMCount ? p.sm.shaderSMCount : cores ? cores : kAssumed;
}

// How workgroups are spread over the device.
void fillParallelism(const Properties& p, Caps& caps)
{
    caps.parallel_groups =
        caps.is_cpu ? std::max(std::thread::hardware_concurrency(), 1u) : 2 * computeUnits(p);

    // Mesa 26.1 lavapipe: each of its threads, 32 at most, gets one run of neighbouring workgroups
    // beforehand, and those that finish early wait (lp_cs_tpool.c).
    if (p.vulkan12.driverID == VK_DRIVER_ID_MESA_LLVMPIPE)
        caps.dispatch_runs = std::min(caps.parallel_groups, 32u);
}

void fillCaps(const Properties& p, const Enabled& enabled, Caps& caps)
{
    const VkPhysicalDeviceLimits& limits = p.core.properties.limits;
    caps.device_name = p.core.properties.deviceName;
    caps.driver_name = std::string(p.vulkan12.driverName) + " " + p.vulkan12.driverInfo;
    caps.driver_id = p.vulkan12.driverID;
    caps.is_cpu = p.core.properties.deviceType == VK_PHYSICAL_DEVICE_TYPE_CPU;
    caps.subgroup_size = p.vulkan11.subgroupSize;
    caps.min_subgroup_size = p.vulkan13.minSubgroupSize;
    caps.max_subgroup_size = p.vulkan13.maxSubgroupSize;
    // A driver that has one size only need not take a request for it: Mesa's NVK takes none.
    const bool takes_request = p.vulkan13.requiredSubgroupSizeStages & VK_SHADER_STAGE_COMPUTE_BIT;
    caps.has_one_subgroup_size = caps.min_subgroup_size == caps.max_subgroup_size;
    caps.can_pin_subgroup_size = enabled.subgroup_size_control && enabled.full_subgroups &&
                                 (takes_request || caps.has_one_subgroup_size);
    const VkSubgroupFeatureFlags ops = p.vulkan11.subgroupSupportedOperations;
    caps.has_subgroup_shuffle = ops & VK_SUBGROUP_FEATURE_SHUFFLE_BIT;
    caps.has_subgroup_vote = ops & VK_SUBGROUP_FEATURE_VOTE_BIT;
    caps.max_shared_bytes = limits.maxComputeSharedMemorySize;
    caps.max_threads = limits.maxComputeWorkGroupInvocations;
    for (int i = 0; i < 3; ++i)
        caps.max_groups[i] = limits.maxComputeWorkGroupCount[i];
    fillParallelism(p, caps);
    caps.has_f16_storage = enabled.f16_storage;
    caps.has_f16_arithmetic = enabled.f16_arithmetic;
    caps.has_memory_model = enabled.memory_model;
    caps.has_integer_dot = enabled.integer_dot;
    caps.is_integer_dot_fast = p.vulkan13.integerDotProduct4x8BitPackedSignedAccelerated;
}

// Faults of drivers that advertise cooperative matrices. Empty: none known. Checked before the device is even asked
// for its shapes, since asking has crashed drivers as well.
std::string matrixFault(const Properties& p)
{
    const VkDriverId driver = p.vulkan12.driverID;

    // Mesa 26.1 lavapipe: 8x8x8 is lowered for 8 lanes; with another vector width the kernel crashes the process.
    if (driver == VK_DRIVER_ID_MESA_LLVMPIPE && p.vulkan11.subgroupSize != 8)
        return "lavapipe computes matrices with 8 lanes only, and LP_NATIVE_VECTOR_WIDTH gives it " +
               std::to_string(p.vulkan11.subgroupSize);

    // NVIDIA, Turing: flash attention with KHR matrices is miscompiled (llama.cpp #19075, #19290, seen in 2025).
    if (driver == VK_DRIVER_ID_NVIDIA_PROPRIETARY && p.sm.shaderWarpsPerSM == 32)
        return "NVIDIA's driver miscompiles attention with cooperative matrices on Turing (llama.cpp #19075)";

    // AMD's own drivers offer the extension before RDNA3 too, where nothing executes it (ggml and ncnn gate it as well).
    const bool amd = driver == VK_DRIVER_ID_AMD_PROPRIETARY || driver == VK_DRIVER_ID_AMD_OPEN_SOURCE;
    if (amd && !p.vulkan13.integerDotProduct4x8BitPackedMixedSignednessAccelerated)
        return "AMD's driver offers cooperative matrices on this GPU, which has no matrix units before RDNA3";

    // Qualcomm: pipelines with cooperative matrices fail to compile (vkpeak #47).
    if (driver == VK_DRIVER_ID_QUALCOMM_PROPRIETARY)
        return "Qualcomm's driver fails to compile kernels with cooperative matrices (vkpeak #47)";
    return {};
}

// Of products of fp16 with such sums.
std::vector<MatrixShape> readShapes(const InstanceFunctions& vk, VkPhysicalDevice device, VkComponentTypeKHR sums)
{
    uint32_t count = 0;
    if (!vk.vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR ||
        vk.vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR(device, &count, nullptr) < 0)
        return {};
    std::vector<VkCooperativeMatrixPropertiesKHR> list(
        count, {VK_STRUCTURE_TYPE_COOPERATIVE_MATRIX_PROPERTIES_KHR, nullptr, 0, 0, 0, {}, {}, {}, {}, 0, {}});
    if (vk.vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR(device, &count, list.data()) < 0)
        return {};

    std::vector<MatrixShape> shapes;
    for (uint32_t i = 0; i < count; ++i)
    {
        const VkCooperativeMatrixPropertiesKHR& s = list[i];
        if (s.AType == VK_COMPONENT_TYPE_FLOAT16_KHR && s.BType == VK_COMPONENT_TYPE_FLOAT16_KHR &&
            s.CType == sums && s.ResultType == sums && s.scope == VK_SCOPE_SUBGROUP_KHR)
            shapes.push_back({s.MSize, s.NSize, s.KSize});
    }
    return shapes;
}

// The same of any size, the scope of a workgroup first.
std::vector<TileMatrices> readFlexible(const InstanceFunctions& vk, VkPhysicalDevice device, VkComponentTypeKHR sums)
{
    uint32_t count = 0;
    const auto query = vk.vkGetPhysicalDeviceCooperativeMatrixFlexibleDimensionsPropertiesNV;
    if (!query || query(device, &count, nullptr) < 0)
        return {};
    VkCooperativeMatrixFlexibleDimensionsPropertiesNV empty = {};
    empty.sType = VK_STRUCTURE_TYPE_COOPERATIVE_MATRIX_FLEXIBLE_DIMENSIONS_PROPERTIES_NV;
    std::vector<VkCooperativeMatrixFlexibleDimensionsPropertiesNV> list(count, empty);
    if (query(device, &count, list.data()) < 0)
        return {};
    list.resize(count);

    std::vector<TileMatrices> found;
    for (const VkScopeKHR scope : {VK_SCOPE_WORKGROUP_KHR, VK_SCOPE_SUBGROUP_KHR})
        for (const auto& s : list)
            if (s.AType == VK_COMPONENT_TYPE_FLOAT16_KHR && s.BType == VK_COMPONENT_TYPE_FLOAT16_KHR &&
                s.CType == sums && s.ResultType == sums && s.scope == scope && s.MGranularity && s.NGranularity &&
                s.KGranularity)
                found.push_back({scope == VK_SCOPE_WORKGROUP_KHR,
                                 {s.MGranularity, s.NGranularity, s.KGranularity},
                                 s.workgroupInvocations});
    return found;
}

// Matrices of any size: for the coopmat tier those of subgroups, for coopmat2 the other features as well.
void readMatrices2(const InstanceFunctions& vk, VkPhysicalDevice device, const Enabled& enabled, const Properties& p,
                   bool offered, Caps& caps)
{
    const VkPhysicalDeviceCooperativeMatrix2FeaturesNV& f = enabled.matrix2;
    const auto ofSubgroup = [](const std::vector<TileMatrices>& list)
    {
        const auto first = std::ranges::find(list, false, &TileMatrices::is_of_workgroup);
        return first == list.end() ? MatrixShape() : first->granularity;
    };
    std::vector<TileMatrices> found;
    if (enabled.matrix2_extension && f.cooperativeMatrixFlexibleDimensions)
    {
        found = readFlexible(vk, device, VK_COMPONENT_TYPE_FLOAT32_KHR);
        caps.products.granularity = ofSubgroup(found);
        caps.half_products.granularity =
            ofSubgroup(readFlexible(vk, device, VK_COMPONENT_TYPE_FLOAT16_KHR));
    }
    std::erase_if(found,
                  [&](const TileMatrices& m)
                  {
                      return m.is_of_workgroup &&
                             (!f.cooperativeMatrixWorkgroupScope || m.threads == 0 ||
                              m.threads > p.matrix2.cooperativeMatrixWorkgroupScopeMaxWorkgroupSize);
                  });
    if (!offered)
        caps.tile_matrix_refusal = "the driver does not offer VK_NV_cooperative_matrix2";
    else if (!enabled.matrix2_extension || !f.cooperativeMatrixFlexibleDimensions || !f.cooperativeMatrixReductions ||
             !f.cooperativeMatrixConversions || !f.cooperativeMatrixPerElementOperations)
        caps.tile_matrix_refusal = "flexible dimensions, reductions, conversions and per-element operations of "
                                   "VK_NV_cooperative_matrix2 are not all enabled";
    else if (found.empty())
        caps.tile_matrix_refusal = "the driver lists no flexible dimensions of fp16 x fp16 -> fp32";
    else
        caps.tile_matrices = std::move(found);
    caps.has_tensor_loads = f.cooperativeMatrixTensorAddressing;
    caps.max_matrix_side = p.matrix2.cooperativeMatrixFlexibleDimensionsMaxDimension;
}

// Extension, then feature, then what is enabled, then faults, then enumerated shapes: the first "no" is the reason.
void readMatrices(const InstanceFunctions& vk, VkPhysicalDevice device, const Enabled& enabled, const Properties& p,
                  bool offered, Caps& caps)
{
    if (!offered)
        caps.matrix_refusal = "the driver does not offer VK_KHR_cooperative_matrix";
    else if (!enabled.matrix_extension || !enabled.matrix_feature)
        caps.matrix_refusal = "the application did not enable VK_KHR_cooperative_matrix and its feature";
    else if (!enabled.memory_model)
        caps.matrix_refusal = "the application did not enable vulkanMemoryModel, which matrices need";
    else if (!enabled.f16_storage || !enabled.f16_arithmetic)
        caps.matrix_refusal = "fp16 matrices need storageBuffer16BitAccess and shaderFloat16, which are not enabled";
    else if (!enabled.subgroup_size_control || !enabled.full_subgroups)
        caps.matrix_refusal = "the subgroup size cannot be pinned: subgroupSizeControl and computeFullSubgroups "
                              "are not enabled";
    else if (!caps.can_pin_subgroup_size)
        caps.matrix_refusal = "the subgroup size cannot be pinned: the driver has sizes from " +
                              std::to_string(caps.min_subgroup_size) + " to " +
                              std::to_string(caps.max_subgroup_size) + " and lets no compute shader require one";
    else
        caps.matrix_refusal = matrixFault(p);
    caps.tile_matrix_refusal = caps.matrix_refusal;
    if (!caps.matrix_refusal.empty())
        return;

    caps.products.listed = readShapes(vk, device, VK_COMPONENT_TYPE_FLOAT32_KHR);
    caps.half_products.listed = readShapes(vk, device, VK_COMPONENT_TYPE_FLOAT16_KHR);
    if (caps.products.listed.empty())
        caps.matrix_refusal = "the driver lists no fp16 x fp16 -> fp32 matrix shape of subgroup scope";
}

} // namespace

LacunaResult readCaps(const LacunaContextDesc& desc, const InstanceFunctions& vk, Caps& caps, std::string& sentence)
{
    LacunaDeviceRequirements requirements;
    std::string reason;
    if (deviceRequirements(vk, desc.physical_device, requirements, reason) != LACUNA_SUCCESS)
    {
        sentence = "the device " + reason;
        return LACUNA_ERROR_UNSUPPORTED;
    }
    const Enabled enabled = readEnabled(desc.device_info);
    if (!enabled.buffer_device_address)
    {
        sentence = "the application did not enable the feature bufferDeviceAddress";
        return LACUNA_ERROR_UNSUPPORTED;
    }

    const auto extensions = deviceExtensions(vk, desc.physical_device);
    Properties properties;
    readProperties(vk, desc.physical_device, extensions, properties);
    fillCaps(properties, enabled, caps);
    readMatrices(vk, desc.physical_device, enabled, properties,
                 hasExtension(extensions, VK_KHR_COOPERATIVE_MATRIX_EXTENSION_NAME), caps);
    if (caps.tile_matrix_refusal.empty())
        readMatrices2(vk, desc.physical_device, enabled, properties,
                      hasExtension(extensions, VK_NV_COOPERATIVE_MATRIX_2_EXTENSION_NAME), caps);

    if (desc.max_shared_bytes > caps.max_shared_bytes)
    {
        sentence = "max_shared_bytes is " + std::to_string(desc.max_shared_bytes) + ", the device has " +
                   std::to_string(caps.max_shared_bytes);
        return LACUNA_ERROR_INVALID_ARGUMENT;
    }
    if (desc.max_shared_bytes != 0)
        caps.max_shared_bytes = desc.max_shared_bytes;
    if (desc.probe &&
        !readProbe(caps, {desc.probe, desc.probe_bytes / sizeof(uint32_t)}, caps.matrix_layouts, sentence))
        return LACUNA_ERROR_INVALID_ARGUMENT;
    caps.registers_refusal =
        desc.registers_refusal       ? desc.registers_refusal
        : !caps.has_subgroup_vote    ? "the device has no subgroup votes"
        : !desc.probe                ? "the application brought no probe of the matrices"
        : caps.matrix_layouts.empty() ? "the probe shows no regular layout of the matrices"
                                      : "";
    caps.broadcast_refusal = desc.broadcast_refusal ? desc.broadcast_refusal : "";
    for (uint32_t i = 0; i < desc.refusal_count; ++i)
    {
        const LacunaTierRefusal& refusal = desc.refusals[i];
        if (refusal.tier < LACUNA_TIER_SCALAR || refusal.tier > LACUNA_TIER_COOPMAT2)
        {
            sentence = "refusals[" + std::to_string(i) + "].tier is " + std::to_string(int(refusal.tier)) +
                       ", expected LACUNA_TIER_SCALAR, LACUNA_TIER_COOPMAT or LACUNA_TIER_COOPMAT2";
            return LACUNA_ERROR_INVALID_ARGUMENT;
        }
        caps.refusals[refusal.tier] = refusal.reason ? refusal.reason : "refused by the application";
    }
    return LACUNA_SUCCESS;
}

} // namespace lacuna

// test_caps.cpp - what the library concludes from a driver that answers about subgroup sizes as others do.
//
// SPDX-License-Identifier: Apache-2.0
// ctest: label=vk timeout=60
#include "harness.h"

#include "gpu/caps.h"

using namespace lacuna;
using namespace lacuna::test;

namespace
{

PFN_vkGetPhysicalDeviceProperties2 real_properties = nullptr;
VkPhysicalDeviceVulkan13Properties answer = {}; // its subgroup sizes and stages stand for the driver's

VKAPI_ATTR void VKAPI_CALL answerProperties(VkPhysicalDevice device, VkPhysicalDeviceProperties2* properties)
{
    real_properties(device, properties);
    for (auto* s = static_cast<VkBaseOutStructure*>(properties->pNext); s; s = s->pNext)
        if (s->sType == VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_3_PROPERTIES)
        {
            auto* p = reinterpret_cast<VkPhysicalDeviceVulkan13Properties*>(s);
            p->minSubgroupSize = answer.minSubgroupSize;
            p->maxSubgroupSize = answer.maxSubgroupSize;
            p->requiredSubgroupSizeStages = answer.requiredSubgroupSizeStages;
        }
}

// The capabilities of the device under test, with all enabled that the library asks for.
Caps capsWith(uint32_t min_size, uint32_t max_size, VkShaderStageFlags stages)
{
    const host::Handles& h = device().handles();
    LacunaDeviceRequirements needs = {};
    REQUIRE(lacunaGetDeviceRequirements(h.get_instance_proc_addr, h.instance, h.physical_device, &needs, nullptr) ==
            LACUNA_SUCCESS);
    VkDeviceCreateInfo info = {VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO};
    info.pNext = &needs.features;
    info.enabledExtensionCount = needs.extension_count;
    info.ppEnabledExtensionNames = needs.extensions;
    LacunaContextDesc desc = {};
    desc.get_instance_proc_addr = h.get_instance_proc_addr;
    desc.instance = h.instance;
    desc.physical_device = h.physical_device;
    desc.device_info = &info;

    InstanceFunctions functions;
    REQUIRE(functions.load(h.get_instance_proc_addr, h.instance));
    real_properties = functions.vkGetPhysicalDeviceProperties2;
    functions.vkGetPhysicalDeviceProperties2 = answerProperties;
    answer.minSubgroupSize = min_size;
    answer.maxSubgroupSize = max_size;
    answer.requiredSubgroupSizeStages = stages;
    Caps caps;
    std::string sentence;
    REQUIRE_MESSAGE(readCaps(desc, functions, caps, sentence) == LACUNA_SUCCESS, sentence);
    return caps;
}

} // namespace

TEST_CASE("a driver with one subgroup size need not take a request for it")
{
    const Caps as_nvk = capsWith(32, 32, 0);
    CHECK(as_nvk.has_one_subgroup_size);
    CHECK(as_nvk.can_pin_subgroup_size);
    CHECK(as_nvk.matrix_refusal == capsWith(32, 32, VK_SHADER_STAGE_COMPUTE_BIT).matrix_refusal);
}

TEST_CASE("a driver with several subgroup sizes has to take a request")
{
    const Caps as_anv = capsWith(8, 32, VK_SHADER_STAGE_COMPUTE_BIT);
    CHECK_FALSE(as_anv.has_one_subgroup_size);
    CHECK(as_anv.can_pin_subgroup_size);

    const Caps silent = capsWith(8, 32, VK_SHADER_STAGE_FRAGMENT_BIT);
    CHECK_FALSE(silent.can_pin_subgroup_size);
    CHECK(silent.products.listed.empty());
    if (as_anv.matrix_refusal.empty())
        CHECK(silent.matrix_refusal == "the subgroup size cannot be pinned: the driver has sizes from 8 to 32 and "
                                       "lets no compute shader require one");
    else
        skip("matrices", as_anv.matrix_refusal);
}

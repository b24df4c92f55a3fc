// device.cpp - makes the first device of the process, with the recorder between it and the library.
//
// SPDX-License-Identifier: Apache-2.0
#include "device.h"

#include "functions.h"
#include "recorder.h"

#include <cstring>
#include <iterator>

namespace lacuna::gpus
{

void Device::receive(void* user, LacunaResult, const char* sentence)
{
    static_cast<Device*>(user)->sentence_ = sentence;
}

Device::Device(const std::vector<uint32_t>& probe)
{
    VkApplicationInfo application = {VK_STRUCTURE_TYPE_APPLICATION_INFO};
    application.apiVersion = VK_API_VERSION_1_3;
    VkInstanceCreateInfo info = {VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO};
    info.pApplicationInfo = &application;
    check(vkCreateInstance(&info, nullptr, &instance_), "vkCreateInstance");
    uint32_t count = 1;
    if (vkEnumeratePhysicalDevices(instance_, &count, &physical_device_) < 0 || count == 0)
        throw std::runtime_error("there is no Vulkan device");
    createDevice();
    createContext(probe);
    recordProbe();
}

namespace
{

void readRequirements(PFN_vkGetInstanceProcAddr get, VkInstance instance, VkPhysicalDevice device,
                      LacunaDeviceRequirements& needs)
{
    char reason[256] = "";
    if (lacunaGetDeviceRequirements(get, instance, device, &needs, reason) != LACUNA_SUCCESS)
        throw std::runtime_error(std::string("the device ") + reason);
}

} // namespace

void Device::createDevice()
{
    LacunaDeviceRequirements needs;
    readRequirements(vkGetInstanceProcAddr, instance_, physical_device_, needs);
    if (needs.extension_count == std::size(needs.extensions))
        throw std::runtime_error("lacunaGetDeviceRequirements leaves no room for one more extension");
    needs.extensions[needs.extension_count++] = VK_KHR_PIPELINE_EXECUTABLE_PROPERTIES_EXTENSION_NAME;
    VkPhysicalDevicePipelineExecutablePropertiesFeaturesKHR executables = {
        VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PIPELINE_EXECUTABLE_PROPERTIES_FEATURES_KHR, &needs.features, VK_TRUE};

    const float priority = 1;
    VkDeviceQueueCreateInfo queue = {VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO};
    queue.queueCount = 1;
    queue.pQueuePriorities = &priority;
    VkDeviceCreateInfo info = {VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO};
    info.pNext = &executables;
    info.queueCreateInfoCount = 1;
    info.pQueueCreateInfos = &queue;
    info.enabledExtensionCount = needs.extension_count;
    info.ppEnabledExtensionNames = needs.extensions;
    check(vkCreateDevice(physical_device_, &info, nullptr, &device_), "vkCreateDevice");
}

// What is assumed of the device is told to the library only: the driver would refuse to enable it.
void Device::createContext(const std::vector<uint32_t>& probe)
{
    LacunaDeviceRequirements told;
    readRequirements(recordingInstanceProcAddr, instance_, physical_device_, told);
    VkDeviceCreateInfo info = {VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO};
    info.pNext = &told.features;
    info.enabledExtensionCount = told.extension_count;
    info.ppEnabledExtensionNames = told.extensions;

    LacunaContextDesc desc = {};
    desc.header_version = LACUNA_VERSION;
    desc.get_instance_proc_addr = recordingInstanceProcAddr;
    desc.instance = instance_;
    desc.physical_device = physical_device_;
    desc.device = device_;
    desc.device_info = &info;
    desc.message = receive;
    desc.message_user = this;
    desc.probe = probe.empty() ? nullptr : probe.data();
    desc.probe_bytes = probe.size() * sizeof(uint32_t);
    LacunaContext context = nullptr;
    if (lacunaCreateContext(&desc, &context) != LACUNA_SUCCESS)
        throw std::runtime_error(sentence_);
    context_.reset(context);
}

void Device::recordProbe()
{
    if (lacunaGetProbeSize(context()) == 0)
        return;
    // The recorder takes no commands: neither the buffer nor the address has to be one.
    const auto cmd = reinterpret_cast<VkCommandBuffer>(this);
    const LacunaResult result = lacunaCmdProbe(cmd, context(), 4);
    if (result != LACUNA_SUCCESS)
        throw std::runtime_error(sentence_);
}

Device::~Device()
{
    context_.reset();
    if (device_)
        vkDestroyDevice(device_, nullptr);
    if (instance_)
        vkDestroyInstance(instance_, nullptr);
}

LacunaResult Device::createPlan(const LacunaPlanDesc& desc, Plan& plan, std::string& sentence)
{
    LacunaPlan made = nullptr;
    const LacunaResult result = lacunaCreatePlan(context_.get(), &desc, &made);
    plan.reset(made);
    sentence = result == LACUNA_SUCCESS ? "" : sentence_;
    return result;
}

} // namespace lacuna::gpus

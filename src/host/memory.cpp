// memory.cpp - buffers with addresses, and the way of bytes to the device and back.
//
// SPDX-License-Identifier: Apache-2.0
#include "impl.h"

#include <algorithm>
#include <cstring>

namespace lacuna::host
{
namespace
{

constexpr uint64_t kStagingBytes = 16ull << 20;

VmaAllocationCreateInfo allocationOf(Memory memory)
{
    VmaAllocationCreateInfo info = {};
    info.flags = VMA_ALLOCATION_CREATE_MAPPED_BIT;
    switch (memory)
    {
    case Memory::Device: // mapped where the device shares the host's memory, staged elsewhere
        info.usage = VMA_MEMORY_USAGE_AUTO_PREFER_DEVICE;
        info.flags |= VMA_ALLOCATION_CREATE_HOST_ACCESS_RANDOM_BIT |
                      VMA_ALLOCATION_CREATE_HOST_ACCESS_ALLOW_TRANSFER_INSTEAD_BIT;
        break;
    case Memory::Upload:
        info.usage = VMA_MEMORY_USAGE_AUTO;
        info.flags |= VMA_ALLOCATION_CREATE_HOST_ACCESS_SEQUENTIAL_WRITE_BIT;
        info.requiredFlags = VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
        break;
    case Memory::Readback:
        info.usage = VMA_MEMORY_USAGE_AUTO_PREFER_HOST;
        info.flags |= VMA_ALLOCATION_CREATE_HOST_ACCESS_RANDOM_BIT;
        info.requiredFlags = VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
        break;
    }
    return info;
}

void requireRange(const char* call, const Buffer& buffer, uint64_t offset, uint64_t bytes)
{
    if (offset > buffer.size() || bytes > buffer.size() - offset)
        throw Error(LACUNA_ERROR_INVALID_ARGUMENT,
                    std::string(call) + ": bytes " + std::to_string(offset) + " .. " +
                        std::to_string(offset + bytes) + " are outside a buffer of " +
                        std::to_string(buffer.size()) + " bytes");
}

} // namespace

Buffer::Impl::~Impl()
{
    vmaDestroyBuffer(allocator, buffer, allocation);
}

Buffer::Buffer() = default;
Buffer::~Buffer() = default;

Buffer::Buffer(Buffer&& other) noexcept
    : impl_(std::move(other.impl_)),
      address_(std::exchange(other.address_, 0)),
      size_(std::exchange(other.size_, 0)),
      mapped_(std::exchange(other.mapped_, nullptr))
{
}

Buffer& Buffer::operator=(Buffer&& other) noexcept
{
    impl_ = std::move(other.impl_);
    address_ = std::exchange(other.address_, 0);
    size_ = std::exchange(other.size_, 0);
    mapped_ = std::exchange(other.mapped_, nullptr);
    return *this;
}

Buffer Device::createBuffer(uint64_t bytes, Memory memory)
{
    if (bytes == 0)
        throw Error(LACUNA_ERROR_INVALID_ARGUMENT,
                    "createBuffer: the size is 0 bytes, expected at least 1");
    if (bytes > impl_->max_buffer_bytes)
        throw Error(LACUNA_ERROR_OUT_OF_MEMORY,
                    "createBuffer: the size is " + std::to_string(bytes) + " bytes, " +
                        impl_->info.name + " allows " + std::to_string(impl_->max_buffer_bytes));
    VkBufferCreateInfo info = {};
    info.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO;
    info.size = bytes;
    info.usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT |
                 VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT;
    const VmaAllocationCreateInfo allocation_info = allocationOf(memory);

    auto impl = std::make_unique<Buffer::Impl>();
    impl->allocator = impl_->allocator;
    VmaAllocationInfo allocated = {};
    // 256 is the alignment that plans want of their workspace.
    const VkResult result =
        vmaCreateBufferWithAlignment(impl_->allocator, &info, &allocation_info, 256, &impl->buffer,
                                     &impl->allocation, &allocated);
    if (result < 0)
        throw Error(LACUNA_ERROR_OUT_OF_MEMORY, "createBuffer: " + impl_->info.name +
                                                    " has no memory for " + std::to_string(bytes) +
                                                    " bytes");
    VkMemoryPropertyFlags flags = 0;
    vmaGetAllocationMemoryProperties(impl_->allocator, impl->allocation, &flags);
    const VkMemoryPropertyFlags coherent =
        VK_MEMORY_PROPERTY_HOST_COHERENT_BIT |
        (memory == Memory::Device ? VkMemoryPropertyFlags(VK_MEMORY_PROPERTY_HOST_CACHED_BIT) : 0);
    if ((flags & coherent) == coherent)
        impl->host = static_cast<std::byte*>(allocated.pMappedData);

    VkBufferDeviceAddressInfo address = {};
    address.sType = VK_STRUCTURE_TYPE_BUFFER_DEVICE_ADDRESS_INFO;
    address.buffer = impl->buffer;
    Buffer buffer;
    buffer.address_ = impl_->vk.vkGetBufferDeviceAddress(impl_->handles.device, &address);
    buffer.size_ = bytes;
    buffer.mapped_ = memory == Memory::Device ? nullptr : impl->host;
    buffer.impl_ = std::move(impl);
    return buffer;
}

const Buffer& Device::Impl::stagingOf(uint64_t bytes)
{
    const uint64_t wanted = std::min(bytes, kStagingBytes);
    if (staging.size() < wanted)
        staging = owner.createBuffer(
            wanted, Memory::Readback); // cached: fast to read, fast enough to write
    return staging;
}

void Device::upload(const Buffer& buffer, std::span<const std::byte> bytes, uint64_t offset)
{
    requireRange("upload", buffer, offset, bytes.size());
    if (bytes.empty())
        return;
    if (std::byte* host = buffer.impl_->host)
    {
        std::memcpy(host + offset, bytes.data(), bytes.size());
        return;
    }
    const Buffer& staging = impl_->stagingOf(bytes.size());
    for (uint64_t done = 0; done < bytes.size(); done += staging.size())
    {
        const uint64_t size = std::min<uint64_t>(staging.size(), bytes.size() - done);
        std::memcpy(staging.mapped(), bytes.data() + done, size);
        run([&](Commands& commands) { commands.copy(staging, 0, buffer, offset + done, size); });
    }
}

void Device::download(const Buffer& buffer, std::span<std::byte> bytes, uint64_t offset)
{
    requireRange("download", buffer, offset, bytes.size());
    if (bytes.empty())
        return;
    if (const std::byte* host = buffer.impl_->host)
    {
        std::memcpy(bytes.data(), host + offset, bytes.size());
        return;
    }
    const Buffer& staging = impl_->stagingOf(bytes.size());
    for (uint64_t done = 0; done < bytes.size(); done += staging.size())
    {
        const uint64_t size = std::min<uint64_t>(staging.size(), bytes.size() - done);
        run([&](Commands& commands) { commands.copy(buffer, offset + done, staging, 0, size); });
        std::memcpy(bytes.data() + done, staging.mapped(), size);
    }
}

void Commands::copy(const Buffer& from, uint64_t from_offset, const Buffer& to, uint64_t to_offset,
                    uint64_t bytes)
{
    requireRange("copy", from, from_offset, bytes);
    requireRange("copy", to, to_offset, bytes);
    if (bytes == 0)
        return;
    barrier();
    const VkBufferCopy region = {from_offset, to_offset, bytes};
    device_->impl_->vk.vkCmdCopyBuffer(cmd_, from.impl_->buffer, to.impl_->buffer, 1, &region);
}

void Commands::fill(const Buffer& buffer, uint64_t offset, uint64_t bytes, uint32_t word)
{
    requireRange("fill", buffer, offset, bytes);
    if (offset % 4 != 0 || bytes % 4 != 0)
        throw Error(LACUNA_ERROR_INVALID_ARGUMENT, "fill: offset " + std::to_string(offset) +
                                                       " and size " + std::to_string(bytes) +
                                                       " must be multiples of 4 bytes");
    if (bytes == 0)
        return;
    barrier();
    device_->impl_->vk.vkCmdFillBuffer(cmd_, buffer.impl_->buffer, offset, bytes, word);
}

} // namespace lacuna::host

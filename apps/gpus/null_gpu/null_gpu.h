// null_gpu.h - a graphics card that is not there, as far as its Vulkan driver asks the kernel about it.
//
// SPDX-License-Identifier: Apache-2.0
//
// Mesa compiles shaders inside the process. From the kernel its drivers want a description of the hardware, and memory
// that they can map. lacuna_null_gpu.so is loaded before such a driver (LD_PRELOAD) and answers both; whatever is
// submitted counts as done, and nothing is ever computed.
//
//   driver ── drmGetDevices2 ──►  drm.c      one PCI device, its node is a file in memory
//          ── ioctl ───────────►  drm.c  ──► i915.c, nouveau.c: what the kernel's driver of that vendor would answer
//          ── mmap ────────────►  the kernel: buffers are ranges of that file
#pragma once

#include <stdint.h>

typedef struct NullGpu NullGpu;
struct NullGpu
{
    const char* name; // in LACUNA_NULL_GPU
    const char* kernel_driver;
    int kernel_driver_version[3];
    uint16_t vendor_id, device_id; // PCI
    uint8_t revision_id;
    uint64_t vram_bytes; // 0: the card has no memory of its own
    // `command` counts from DRM_COMMAND_BASE. Returns 0 or an error number.
    int (*answer)(const NullGpu* gpu, unsigned command, void* argument);

    // Intel
    unsigned xe_cores, eus_per_xe_core;
    // NVIDIA
    const char* chip;
    uint16_t chipset; // the number of the chip
    unsigned gpcs, tpcs;
    int32_t classes[5]; // of the engines: copy, 2D, 3D, inline to memory, compute
};

int answerAsI915(const NullGpu* gpu, unsigned command, void* argument);
int answerAsNouveau(const NullGpu* gpu, unsigned command, void* argument);

// A range of the file that no other buffer has. Returns its handle, 0 when the file is full.
uint32_t newBuffer(uint64_t size_bytes);
// Where in the file it starts, to be given to mmap.
uint64_t bufferOffset(uint32_t handle);

// The work that a timeline waits for was submitted, so it is done.
void reachPoint(uint32_t syncobj, uint64_t point);

// drm.c - stands for libdrm's list of devices and for the kernel's part that is the same for every vendor.
//
// SPDX-License-Identifier: Apache-2.0
#include "null_gpu.h"

#include <drm/drm.h>
#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

// The rest of the shared object is hidden: it stands before all others of the process.
#define LACUNA_REPLACES __attribute__((visibility("default")))

// The cards as they are sold: Arc A770, Arc B580, Arc 140V of Lunar Lake; GeForce RTX 2080 Ti and 3090.
static const NullGpu kGpus[] = {
    {"dg2", "i915", {1, 6, 0}, 0x8086, 0x56a0, 8, 16ull << 30, answerAsI915, .xe_cores = 32, .eus_per_xe_core = 16},
    {"bmg", "i915", {1, 6, 0}, 0x8086, 0xe20b, 0, 12ull << 30, answerAsI915, .xe_cores = 20, .eus_per_xe_core = 8},
    {"lnl", "i915", {1, 6, 0}, 0x8086, 0x64a0, 4, 0, answerAsI915, .xe_cores = 8, .eus_per_xe_core = 8},
    {"turing", "nouveau", {1, 4, 0}, 0x10de, 0x1e07, 0xa1, 11ull << 30, answerAsNouveau, .chip = "TU102",
     .chipset = 0x162, .gpcs = 6, .tpcs = 34, .classes = {0xc5b5, 0x902d, 0xc597, 0xa140, 0xc5c0}},
    {"ampere", "nouveau", {1, 4, 0}, 0x10de, 0x2204, 0xa1, 24ull << 30, answerAsNouveau, .chip = "GA102",
     .chipset = 0x172, .gpcs = 7, .tpcs = 41, .classes = {0xc6b5, 0x902d, 0xc797, 0xa140, 0xc7c0}},
};

static const NullGpu* gpu;
static int memory_file;

__attribute__((constructor)) static void start(void)
{
    const char* name = getenv("LACUNA_NULL_GPU");
    for (unsigned i = 0; i < sizeof kGpus / sizeof kGpus[0]; ++i)
        if (name && strcmp(name, kGpus[i].name) == 0)
            gpu = &kGpus[i];
    memory_file = memfd_create("lacuna_null_gpu", MFD_CLOEXEC);
    if (gpu && memory_file >= 0 && ftruncate(memory_file, 1ll << 40) == 0) // pages exist once they are written
        return;
    if (gpu)
        perror("lacuna_null_gpu: the file for the buffers");
    else
    {
        fprintf(stderr, "lacuna_null_gpu: LACUNA_NULL_GPU is '%s', expected one of", name ? name : "");
        for (unsigned i = 0; i < sizeof kGpus / sizeof kGpus[0]; ++i)
            fprintf(stderr, " %s", kGpus[i].name);
        fputc('\n', stderr);
    }
    _exit(2);
}

// Buffers ------------------------------------------------------------------------------------------

// A handle is the place in the file in units of 64 KiB, the coarsest alignment that a driver asks for.
static const unsigned kUnitBits = 16;

uint32_t newBuffer(uint64_t size_bytes)
{
    static atomic_uint_fast64_t next = 1;
    const uint64_t units = (size_bytes >> kUnitBits) + 1;
    const uint64_t handle = atomic_fetch_add(&next, units);
    return handle + units <= 1ull << (40 - kUnitBits) ? (uint32_t)handle : 0;
}

uint64_t bufferOffset(uint32_t handle)
{
    return (uint64_t)handle << kUnitBits;
}

// The device list of libdrm ------------------------------------------------------------------------

// xf86drm.h declares these; the layout is part of libdrm.so.2's interface.
typedef struct
{
    uint16_t domain;
    uint8_t bus, device, function;
} PciAddress;

typedef struct
{
    uint16_t vendor_id, device_id, subvendor_id, subdevice_id;
    uint8_t revision_id;
} PciIds;

enum { kPrimaryNode, kControlNode, kRenderNode, kNodeCount, kPciBus = 0 };

typedef struct
{
    char** nodes;
    int available_nodes;
    int bus_type;
    PciAddress* address;
    PciIds* ids;
} DrmDevice;

typedef struct
{
    DrmDevice device;
    char* nodes[kNodeCount];
    char paths[kNodeCount][32];
    PciAddress address;
    PciIds ids;
} WholeDevice;

// In one piece, because drmFreeDevice frees one piece.
static DrmDevice* newDevice(void)
{
    WholeDevice* whole = calloc(1, sizeof *whole);
    if (!whole)
        return NULL;
    for (int i = 0; i < kNodeCount; ++i)
        whole->nodes[i] = whole->paths[i];
    snprintf(whole->paths[kRenderNode], sizeof whole->paths[kRenderNode], "/proc/self/fd/%d", memory_file);
    whole->address.bus = 1;
    whole->ids = (PciIds){gpu->vendor_id, gpu->device_id, gpu->vendor_id, 0, gpu->revision_id};
    whole->device = (DrmDevice){whole->nodes, 1 << kRenderNode, kPciBus, &whole->address, &whole->ids};
    return &whole->device;
}

LACUNA_REPLACES int drmGetDevices2(uint32_t flags, DrmDevice** devices, int count)
{
    (void)flags;
    if (!devices)
        return 1;
    if (count < 1)
        return 0;
    devices[0] = newDevice();
    return devices[0] ? 1 : -ENOMEM;
}

LACUNA_REPLACES int drmGetDevice2(int file, uint32_t flags, DrmDevice** device)
{
    (void)file;
    (void)flags;
    *device = newDevice();
    return *device ? 0 : -ENOMEM;
}

LACUNA_REPLACES int drmGetDeviceFromDevId(dev_t id, uint32_t flags, DrmDevice** device)
{
    (void)id;
    return drmGetDevice2(memory_file, flags, device);
}

// The kernel ---------------------------------------------------------------------------------------

// The caller asks for the length first, and then brings memory of that length.
static void answerText(const char* text, char* to, __kernel_size_t* length)
{
    const size_t whole = strlen(text);
    if (to)
        memcpy(to, text, whole < *length ? whole : *length);
    *length = whole;
}

static int answerVersion(struct drm_version* version)
{
    version->version_major = gpu->kernel_driver_version[0];
    version->version_minor = gpu->kernel_driver_version[1];
    version->version_patchlevel = gpu->kernel_driver_version[2];
    answerText(gpu->kernel_driver, version->name, &version->name_len);
    answerText("", version->date, &version->date_len);
    answerText("", version->desc, &version->desc_len);
    return 0;
}

// The furthest point of each timeline. More are never asked for: a queue has two.
static atomic_uint_fast64_t points[256];

void reachPoint(uint32_t syncobj, uint64_t point)
{
    if (syncobj < sizeof points / sizeof points[0] && point > points[syncobj])
        points[syncobj] = point;
}

static int answerPoints(const struct drm_syncobj_timeline_array* asked)
{
    const uint32_t* handles = (const uint32_t*)(uintptr_t)asked->handles;
    uint64_t* to = (uint64_t*)(uintptr_t)asked->points;
    for (uint32_t i = 0; i < asked->count_handles; ++i)
    {
        if (handles[i] >= sizeof points / sizeof points[0])
            return EINVAL;
        to[i] = points[handles[i]];
    }
    return 0;
}

static int signalPoints(const struct drm_syncobj_timeline_array* asked)
{
    const uint32_t* handles = (const uint32_t*)(uintptr_t)asked->handles;
    const uint64_t* from = (const uint64_t*)(uintptr_t)asked->points;
    for (uint32_t i = 0; i < asked->count_handles; ++i)
        reachPoint(handles[i], from[i]);
    return 0;
}

static int answerCommon(unsigned long request, void* argument)
{
    static atomic_uint syncobj = 1;
    switch (request)
    {
    case DRM_IOCTL_VERSION:
        return answerVersion(argument);
    case DRM_IOCTL_GET_CAP:
    {
        struct drm_get_cap* cap = argument;
        cap->value = cap->capability == DRM_CAP_SYNCOBJ || cap->capability == DRM_CAP_SYNCOBJ_TIMELINE;
        return 0;
    }
    case DRM_IOCTL_SYNCOBJ_CREATE:
        ((struct drm_syncobj_create*)argument)->handle = atomic_fetch_add(&syncobj, 1);
        return 0;
    case DRM_IOCTL_SYNCOBJ_QUERY:
        return answerPoints(argument);
    case DRM_IOCTL_SYNCOBJ_TIMELINE_SIGNAL:
        return signalPoints(argument);
    case DRM_IOCTL_GEM_CLOSE:
    case DRM_IOCTL_SYNCOBJ_DESTROY:
    case DRM_IOCTL_SYNCOBJ_RESET:
    case DRM_IOCTL_SYNCOBJ_SIGNAL:
    case DRM_IOCTL_SYNCOBJ_WAIT:
    case DRM_IOCTL_SYNCOBJ_TIMELINE_WAIT:
        return 0; // all work is done when it is submitted
    }
    return EINVAL;
}

LACUNA_REPLACES int ioctl(int file, unsigned long request, ...)
{
    va_list arguments;
    va_start(arguments, request);
    void* argument = va_arg(arguments, void*);
    va_end(arguments);
    if (_IOC_TYPE(request) != DRM_IOCTL_BASE)
        return (int)syscall(SYS_ioctl, file, request, argument);

    const unsigned number = _IOC_NR(request);
    const int error = number >= DRM_COMMAND_BASE && number < DRM_COMMAND_END
                          ? gpu->answer(gpu, number - DRM_COMMAND_BASE, argument)
                          : answerCommon(request, argument);
    if (error == 0)
        return 0;
    errno = error;
    return -1;
}

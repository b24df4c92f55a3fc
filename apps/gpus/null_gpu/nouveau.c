// nouveau.c - what the kernel's driver for NVIDIA tells Mesa's.
//
// SPDX-License-Identifier: Apache-2.0
#include "null_gpu.h"

#include <drm/drm.h>
#include <drm/nouveau_drm.h>
#include <errno.h>
#include <string.h>

static int answerParameter(const NullGpu* gpu, struct drm_nouveau_getparam* asked)
{
    switch (asked->param)
    {
    case NOUVEAU_GETPARAM_CHIPSET_ID:
        asked->value = gpu->chipset;
        return 0;
    case NOUVEAU_GETPARAM_PCI_VENDOR:
        asked->value = gpu->vendor_id;
        return 0;
    case NOUVEAU_GETPARAM_PCI_DEVICE:
        asked->value = gpu->device_id;
        return 0;
    case NOUVEAU_GETPARAM_GRAPH_UNITS:
        asked->value = gpu->gpcs | gpu->tpcs << 8;
        return 0;
    case NOUVEAU_GETPARAM_EXEC_PUSH_MAX:
        asked->value = 510;
        return 0;
    case NOUVEAU_GETPARAM_VRAM_BAR_SIZE:
        asked->value = 256 << 20;
        return 0;
    case NOUVEAU_GETPARAM_HAS_VMA_TILEMODE:
        asked->value = 1;
        return 0;
    }
    return EINVAL;
}

// NVIF, a protocol inside one ioctl, is not in the kernel's public headers: a head, then what its type says.
enum { kListClasses = 1, kNewObject = 2, kDeleteObject = 3, kCallMethod = 4 };
enum { kMethodInfo = 0, kPlatformPcie = 3 };

typedef struct
{
    uint8_t version, type, unused[4], owner, route;
    uint64_t token, object;
} NvifHead;

typedef struct
{
    NvifHead head;
    uint8_t version, count, unused[6];
    struct
    {
        int32_t name;
        int16_t min_version, max_version;
    } classes[];
} NvifClasses;

typedef struct
{
    NvifHead head;
    uint8_t version, method, unused[6];
    // of the method Info
    uint8_t info_version, platform;
    uint16_t chipset;
    uint8_t revision, family, unused_too[2];
    uint64_t ram_bytes, ram_user_bytes;
    char chip[16], name[64];
} NvifMethod;

static int answerNvif(const NullGpu* gpu, void* argument)
{
    switch (((const NvifHead*)argument)->type)
    {
    case kListClasses:
    {
        NvifClasses* list = argument;
        const unsigned count = sizeof gpu->classes / sizeof gpu->classes[0];
        for (unsigned i = 0; i < count && i < list->count; ++i)
            list->classes[i].name = gpu->classes[i];
        list->count = (uint8_t)count;
        return 0;
    }
    case kCallMethod:
    {
        NvifMethod* call = argument;
        if (call->method != kMethodInfo)
            return EINVAL;
        call->platform = kPlatformPcie;
        call->chipset = gpu->chipset;
        call->ram_bytes = call->ram_user_bytes = gpu->vram_bytes;
        strncpy(call->chip, gpu->chip, sizeof call->chip - 1);
        strncpy(call->name, gpu->chip, sizeof call->name - 1);
        return 0;
    }
    case kNewObject:
    case kDeleteObject:
        return 0;
    }
    return EINVAL;
}

static int answerBuffer(struct drm_nouveau_gem_new* asked)
{
    asked->info.handle = newBuffer(asked->info.size);
    asked->info.map_handle = bufferOffset(asked->info.handle);
    return asked->info.handle ? 0 : ENOMEM;
}

static int answerSubmit(uint64_t signals, uint32_t count)
{
    const struct drm_nouveau_sync* sync = (const void*)(uintptr_t)signals;
    for (uint32_t i = 0; i < count; ++i)
        if (sync[i].flags & DRM_NOUVEAU_SYNC_TIMELINE_SYNCOBJ)
            reachPoint(sync[i].handle, sync[i].timeline_value);
    return 0;
}

int answerAsNouveau(const NullGpu* gpu, unsigned command, void* argument)
{
    switch (command)
    {
    case DRM_NOUVEAU_GETPARAM:
        return answerParameter(gpu, argument);
    case DRM_NOUVEAU_NVIF:
        return answerNvif(gpu, argument);
    case DRM_NOUVEAU_GEM_NEW:
        return answerBuffer(argument);
    case DRM_NOUVEAU_CHANNEL_ALLOC:
        ((struct drm_nouveau_channel_alloc*)argument)->channel = 1;
        return 0;
    case DRM_NOUVEAU_EXEC:
    {
        const struct drm_nouveau_exec* exec = argument;
        return answerSubmit(exec->sig_ptr, exec->sig_count);
    }
    case DRM_NOUVEAU_VM_BIND:
    {
        const struct drm_nouveau_vm_bind* bind = argument;
        return answerSubmit(bind->sig_ptr, bind->sig_count);
    }
    case DRM_NOUVEAU_CHANNEL_FREE:
    case DRM_NOUVEAU_GEM_CPU_PREP:
    case DRM_NOUVEAU_GEM_PUSHBUF:
    case DRM_NOUVEAU_VM_INIT:
        return 0;
    }
    return EINVAL;
}

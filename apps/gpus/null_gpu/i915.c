// i915.c - what the kernel's driver for Intel tells Mesa's.
//
// SPDX-License-Identifier: Apache-2.0
//
// On real machines Xe2 (bmg, lnl) has the kernel's driver xe. Mesa 25.0.7 takes these cards from i915 as well.
#include "null_gpu.h"

#include <drm/i915_drm.h>
#include <errno.h>
#include <string.h>

static int answerParameter(const NullGpu* gpu, const drm_i915_getparam_t* asked)
{
    switch (asked->param)
    {
    case I915_PARAM_CHIPSET_ID:
        *asked->value = gpu->device_id;
        return 0;
    case I915_PARAM_REVISION:
        *asked->value = gpu->revision_id;
        return 0;
    case I915_PARAM_CS_TIMESTAMP_FREQUENCY:
        *asked->value = 19200000; // Hz
        return 0;
    case I915_PARAM_MMAP_VERSION:
        *asked->value = 1;
        return 0;
    case I915_PARAM_MMAP_GTT_VERSION:
        *asked->value = 4; // has MMAP_OFFSET
        return 0;
    case I915_PARAM_HAS_WAIT_TIMEOUT:
    case I915_PARAM_HAS_EXECBUF2:
    case I915_PARAM_HAS_EXEC_SOFTPIN:
    case I915_PARAM_HAS_EXEC_FENCE_ARRAY:
    case I915_PARAM_HAS_EXEC_TIMELINE_FENCES:
    case I915_PARAM_HAS_EXEC_ASYNC:
    case I915_PARAM_HAS_EXEC_CAPTURE:
    case I915_PARAM_HAS_CONTEXT_ISOLATION:
        *asked->value = 1;
        return 0;
    case I915_PARAM_PXP_STATUS:
        return ENODEV; // no protected content; another error would be taken for an old kernel
    }
    return EINVAL;
}

static int answerContextParameter(struct drm_i915_gem_context_param* asked)
{
    switch (asked->param)
    {
    case I915_CONTEXT_PARAM_GTT_SIZE:
        asked->value = 1ull << 48;
        return 0;
    case I915_CONTEXT_PARAM_VM:
        asked->value = 1;
        return 0;
    }
    return EINVAL;
}

static void setBits(uint8_t* bytes, unsigned count)
{
    for (unsigned i = 0; i < count; ++i)
        bytes[i / 8] |= (uint8_t)(1u << i % 8);
}

// Each of these returns how many bytes the answer has, and writes it where `to` is not null.

static int32_t writeTopology(const NullGpu* gpu, struct drm_i915_query_topology_info* to)
{
    const unsigned core_bytes = (gpu->xe_cores + 7) / 8, eu_bytes = (gpu->eus_per_xe_core + 7) / 8;
    if (to)
    {
        to->max_slices = 1; // the kernel tells newer hardware as one slice
        to->max_subslices = (uint16_t)gpu->xe_cores;
        to->max_eus_per_subslice = (uint16_t)gpu->eus_per_xe_core;
        to->subslice_offset = 1;
        to->subslice_stride = (uint16_t)core_bytes;
        to->eu_offset = (uint16_t)(1 + core_bytes);
        to->eu_stride = (uint16_t)eu_bytes;
        setBits(to->data, 1);
        setBits(to->data + to->subslice_offset, gpu->xe_cores);
        for (unsigned i = 0; i < gpu->xe_cores; ++i)
            setBits(to->data + to->eu_offset + i * eu_bytes, gpu->eus_per_xe_core);
    }
    return (int32_t)(sizeof *to + 1 + core_bytes + gpu->xe_cores * eu_bytes);
}

static int32_t writeEngines(struct drm_i915_query_engine_info* to)
{
    if (to)
    {
        to->num_engines = 1;
        to->engines[0].engine.engine_class = I915_ENGINE_CLASS_RENDER;
    }
    return (int32_t)(sizeof *to + sizeof to->engines[0]);
}

static int32_t writeMemory(const NullGpu* gpu, struct drm_i915_query_memory_regions* to)
{
    const unsigned count = gpu->vram_bytes ? 2 : 1;
    const uint64_t sizes[2] = {32ull << 30, gpu->vram_bytes};
    const uint16_t classes[2] = {I915_MEMORY_CLASS_SYSTEM, I915_MEMORY_CLASS_DEVICE};
    if (to)
    {
        to->num_regions = count;
        for (unsigned i = 0; i < count; ++i)
        {
            to->regions[i].region.memory_class = classes[i];
            to->regions[i].probed_size = sizes[i];
            to->regions[i].unallocated_size = sizes[i];
        }
    }
    return (int32_t)(sizeof *to + count * sizeof to->regions[0]);
}

static int32_t writeQuery(const NullGpu* gpu, uint64_t id, void* to)
{
    switch (id)
    {
    case DRM_I915_QUERY_TOPOLOGY_INFO:
    case DRM_I915_QUERY_GEOMETRY_SUBSLICES:
        return writeTopology(gpu, to);
    case DRM_I915_QUERY_ENGINE_INFO:
        return writeEngines(to);
    case DRM_I915_QUERY_MEMORY_REGIONS:
        return writeMemory(gpu, to);
    }
    return -EINVAL;
}

// Length 0 asks for the length. The driver's memory is zeroed already.
static int answerQueries(const NullGpu* gpu, const struct drm_i915_query* query)
{
    struct drm_i915_query_item* items = (void*)(uintptr_t)query->items_ptr;
    for (uint32_t i = 0; i < query->num_items; ++i)
    {
        const int32_t room = items[i].length;
        items[i].length = writeQuery(gpu, items[i].query_id, NULL);
        if (items[i].length > 0 && room > 0)
            items[i].length = room < items[i].length
                                  ? -EINVAL
                                  : writeQuery(gpu, items[i].query_id, (void*)(uintptr_t)items[i].data_ptr);
    }
    return 0;
}

static int answerBuffer(uint64_t size_bytes, uint32_t* handle)
{
    *handle = newBuffer(size_bytes);
    return *handle ? 0 : ENOMEM;
}

int answerAsI915(const NullGpu* gpu, unsigned command, void* argument)
{
    switch (command)
    {
    case DRM_I915_GETPARAM:
        return answerParameter(gpu, argument);
    case DRM_I915_QUERY:
        return answerQueries(gpu, argument);
    case DRM_I915_GEM_CONTEXT_GETPARAM:
        return answerContextParameter(argument);
    case DRM_I915_GEM_CREATE:
        return answerBuffer(((struct drm_i915_gem_create*)argument)->size,
                            &((struct drm_i915_gem_create*)argument)->handle);
    case DRM_I915_GEM_CREATE_EXT:
        return answerBuffer(((struct drm_i915_gem_create_ext*)argument)->size,
                            &((struct drm_i915_gem_create_ext*)argument)->handle);
    case DRM_I915_GEM_MMAP_GTT: // the number of MMAP_OFFSET too
    {
        struct drm_i915_gem_mmap_offset* map = argument;
        map->offset = bufferOffset(map->handle);
        return 0;
    }
    case DRM_I915_GEM_CONTEXT_CREATE:
        ((struct drm_i915_gem_context_create_ext*)argument)->ctx_id = 1;
        return 0;
    case DRM_I915_GEM_VM_CREATE:
        ((struct drm_i915_gem_vm_control*)argument)->vm_id = 1;
        return 0;
    case DRM_I915_GET_RESET_STATS:
    case DRM_I915_GEM_BUSY:
    case DRM_I915_GEM_CONTEXT_DESTROY:
    case DRM_I915_GEM_CONTEXT_SETPARAM:
    case DRM_I915_GEM_EXECBUFFER2:
    case DRM_I915_GEM_SET_CACHING:
    case DRM_I915_GEM_SET_DOMAIN:
    case DRM_I915_GEM_VM_DESTROY:
    case DRM_I915_GEM_WAIT:
        return 0;
    }
    return EINVAL;
}

/* lacuna.h - sparse attention recorded into your own Vulkan command buffer: the whole C API, in call order.
 *
 * SPDX-License-Identifier: Apache-2.0
 *
 *   lacunaGetDeviceRequirements   which extensions and features to enable on your VkDevice
 *   lacunaCreateContext           borrow the device
 *   lacunaCreatePlan              one method, one shape: checked, explained, immutable
 *   lacunaGetPlanInfo             how much constants and workspace memory the plan wants from you
 *   lacunaCmdAttention            record it; no allocation, no submission, no waiting
 *
 * Tensors are [B, H, N, D] in fp16, bf16 or fp32: batch, head, token, channel; channels are dense.
 * Memory is addressed by VkDeviceAddress and always belongs to the caller.
 * Nothing here prints, throws, aborts, submits or waits. Errors are a code, and one sentence to the message callback.
 */
#ifndef LACUNA_H
#define LACUNA_H

#include <stddef.h>
#include <stdint.h>
#include <vulkan/vulkan_core.h>

#ifdef __cplusplus
extern "C"
{
#endif

#define LACUNA_VERSION_MAJOR 0
#define LACUNA_VERSION_MINOR 1
#define LACUNA_VERSION_PATCH 0
/* 0.x promises nothing between minor versions; from 1.0 on source and ABI stay. */
#define LACUNA_VERSION (LACUNA_VERSION_MAJOR * 10000 + LACUNA_VERSION_MINOR * 100 + LACUNA_VERSION_PATCH)

#if defined(LACUNA_SHARED) && defined(_WIN32)
#ifdef LACUNA_BUILDING
#define LACUNA_API __declspec(dllexport)
#else
#define LACUNA_API __declspec(dllimport)
#endif
#elif defined(__GNUC__)
#define LACUNA_API __attribute__((visibility("default")))
#else
#define LACUNA_API
#endif

/* Results ------------------------------------------------------------------------------------- */

typedef enum LacunaResult
{
    LACUNA_SUCCESS = 0,
    LACUNA_INCOMPLETE = 1,              /* the array or text given was too small; what fits was written */
    LACUNA_ERROR_INVALID_ARGUMENT = -1, /* the sentence names the value and the allowed range        */
    LACUNA_ERROR_UNSUPPORTED = -2,      /* valid, but this device or tier cannot; the sentence says why */
    LACUNA_ERROR_OUT_OF_MEMORY = -3,    /* host or driver memory                                     */
    LACUNA_ERROR_DEVICE = -4,           /* a Vulkan call failed; the sentence names it and its code  */
    LACUNA_RESULT_FORCE_32_BIT = 0x7fffffff
} LacunaResult;

/* Receives one full sentence for every error, on the thread that made the call. Must not call back into Lacuna. */
typedef void (*LacunaMessageCallback)(void* user, LacunaResult result, const char* sentence);

/* Version of the library that was linked; compare with LACUNA_VERSION of this header. Never fails. */
LACUNA_API uint32_t lacunaGetVersion(void);

/* "LACUNA_ERROR_UNSUPPORTED" and so on; a static string, never NULL. */
LACUNA_API const char* lacunaGetResultName(LacunaResult result);

/* Device -------------------------------------------------------------------------------------- */

/* What to put into VkDeviceCreateInfo so that every tier which the device has can be used. `features` heads a pNext
 * chain through the other members: do not copy the struct, and keep it alive until the device exists. You may switch
 * on more. */
typedef struct LacunaDeviceRequirements
{
    VkPhysicalDeviceFeatures2 features;
    VkPhysicalDeviceVulkan11Features vulkan11;
    VkPhysicalDeviceVulkan12Features vulkan12;
    VkPhysicalDeviceVulkan13Features vulkan13;
    VkPhysicalDeviceCooperativeMatrixFeaturesKHR cooperative_matrix;
    VkPhysicalDeviceCooperativeMatrix2FeaturesNV cooperative_matrix2;
    const char* extensions[8]; /* static strings */
    uint32_t extension_count;
} LacunaDeviceRequirements;

/* Fills `requirements` for one physical device.
 *
 * Returns  LACUNA_ERROR_UNSUPPORTED when the device lacks what every tier needs: Vulkan 1.3 with bufferDeviceAddress
 *          and a vulkanMemoryModel; `reason` (may be NULL, else at least 256 bytes) then says which.
 */
LACUNA_API LacunaResult lacunaGetDeviceRequirements(PFN_vkGetInstanceProcAddr get_instance_proc_addr,
                                                    VkInstance instance, VkPhysicalDevice physical_device,
                                                    LacunaDeviceRequirements* requirements, char* reason);

/* Kernel families of ATTEND, slowest and most portable first. */
typedef enum LacunaTier
{
    LACUNA_TIER_AUTO = 0,    /* the fastest one that the device proves it can run */
    LACUNA_TIER_SCALAR = 1,  /* plain compute, no optional feature; also the CPU path */
    LACUNA_TIER_COOPMAT = 2, /* VK_KHR_cooperative_matrix; computes on fp16 operands, accumulates in fp32 */
    LACUNA_TIER_COOPMAT2 = 3, /* VK_NV_cooperative_matrix2 as well; of fp16 inputs */
    LACUNA_TIER_FORCE_32_BIT = 0x7fffffff
} LacunaTier;

/* A tier that the caller does not trust here, for example because the known-answer self-test of the host runtime
 * failed. `reason` is repeated in every explanation. */
typedef struct LacunaTierRefusal
{
    LacunaTier tier;
    const char* reason;
} LacunaTierRefusal;

typedef struct LacunaContextDesc
{
    uint32_t header_version; /* LACUNA_VERSION */
    PFN_vkGetInstanceProcAddr get_instance_proc_addr;
    VkInstance instance;
    VkPhysicalDevice physical_device;
    VkDevice device;
    const VkDeviceCreateInfo* device_info; /* what `device` was made with: read during the call, to learn what is
                                              enabled; NULL means plain Vulkan 1.3 + bufferDeviceAddress */
    VkPipelineCache pipeline_cache;        /* may be VK_NULL_HANDLE; must outlive the context */
    const LacunaTierRefusal* refusals;     /* copied */
    uint32_t refusal_count;
    LacunaMessageCallback message; /* may be NULL */
    void* message_user;
    uint32_t max_shared_bytes; /* shared memory of one workgroup, at most what the device has, and 0 means that: less
                                  leaves room for others, or shows what a smaller device would do */
    const char* broadcast_refusal; /* copied; why tier coopmat must not load matrices with stride 0, which repeats one
                                      number along a row; NULL: it may, and is faster so */
    const uint32_t* probe; /* read during the call; what lacunaCmdProbe wrote with another context of this device;
                              NULL: tier coopmat takes its logits and weights through shared memory */
    size_t probe_bytes;
    const char* registers_refusal; /* copied; why it must do so even with a probe; NULL: it need not */
} LacunaContextDesc;

typedef struct LacunaContext_T* LacunaContext;

/* Borrows a device. The context owns pipelines only.
 *
 * Threads  one context may be used by any number of threads at once; destroying it needs external synchronization.
 */
LACUNA_API LacunaResult lacunaCreateContext(const LacunaContextDesc* desc, LacunaContext* context);

/* Destroy all plans first, and wait until their command buffers have finished. NULL is ignored. */
LACUNA_API void lacunaDestroyContext(LacunaContext context);

/* Which elements of a cooperative matrix each lane holds is the driver's own affair. With a context that knows it, tier
 * coopmat keeps logits and weights in registers: record the probe, wait for it, destroy the context, and make one with
 * what was written as LacunaContextDesc::probe. The answer stays right for the same device and driver.
 */
/* Bytes that lacunaCmdProbe writes; 0: this device has no matrices to probe. */
LACUNA_API size_t lacunaGetProbeSize(LacunaContext context);

/* Records one dispatch of a few microseconds.
 *
 * results  a multiple of 4; read it behind a barrier from VK_ACCESS_SHADER_WRITE_BIT of the compute stage
 * Returns  LACUNA_ERROR_UNSUPPORTED where lacunaGetProbeSize is 0; LACUNA_ERROR_DEVICE if the pipeline cannot be made
 * Threads  as lacunaCreateContext; the command buffer is the caller's
 */
LACUNA_API LacunaResult lacunaCmdProbe(VkCommandBuffer cmd, LacunaContext context, VkDeviceAddress results);

/* Which tier the device gets, and why not a faster one: one JSON object {"device", "driver", "shaders", "tiers":
 * [{"name", "available", "reason"}], ...}. "shaders" changes when any shader of the library does: what was measured or
 * tested on this device holds for the same text only.
 *
 * size  in: bytes at `text`, out: bytes needed, terminator included. Call with text = NULL first.
 */
LACUNA_API LacunaResult lacunaDescribeContext(LacunaContext context, size_t* size, char* text);

/* Methods ------------------------------------------------------------------------------------- */

/* The registry as JSON: an array of {"name", "title", "paper", "kind", "options": [{"name", "type", "default", "min",
 * "max", "choices", "meaning"}]}. The same table drives validation, documentation, flags and tests.
 *
 * size  as in lacunaDescribeContext
 */
LACUNA_API LacunaResult lacunaDescribeMethods(size_t* size, char* text);

/* Token orders -------------------------------------------------------------------------------- */

/* The tokens of a video: text_before, then frames * height * width in raster order, then text_after.
 * All zero for a plain sequence. */
typedef struct LacunaVideoGrid
{
    uint32_t frames;
    uint32_t height;
    uint32_t width;
    uint32_t text_before;
    uint32_t text_after;
} LacunaVideoGrid;

/* An order of the tokens of a video, for what you reorder yourself, once for the whole model: hidden states and RoPE
 * tables. Row i of the reordered table is row order[i] of yours, and row i of yours is row inverse[i] of that one.
 *
 * name     "thw", "twh", "hwt", "htw", "wht" and "wth": axes from the slowest to the fastest, thw is raster order;
 *          "tile": boxes, ragged at the borders; "voxel": whole boxes, then the rest in raster order; "hilbert",
 *          "gilbert", and "sliced_gilbert", a gilbert curve in each frame; "rotated": frame 0 last
 * box      of "tile" and "voxel": frames, rows and columns; NULL for the others
 * order    uint32 [tokens of the grid], written: the token at each place; text keeps its place. May be NULL
 * inverse  uint32 [tokens of the grid], written: the place of each token. May be NULL
 */
LACUNA_API LacunaResult lacunaGetTokenOrder(const char* name, const LacunaVideoGrid* grid, const uint32_t box[3],
                                            uint32_t* order, uint32_t* inverse, LacunaMessageCallback message,
                                            void* message_user);

/* Plans --------------------------------------------------------------------------------------- */

typedef enum LacunaDtype
{
    LACUNA_DTYPE_F16 = 1,
    LACUNA_DTYPE_F32 = 2,
    LACUNA_DTYPE_BF16 = 3, /* computed in fp32 by the scalar tier, in fp16 by matrices: lacunaExplainPlan says it */
    LACUNA_DTYPE_FORCE_32_BIT = 0x7fffffff
} LacunaDtype;

/* What the products of Q K^T and P V are summed up in. Softmax and LSE are fp32 either way. */
typedef enum LacunaSums
{
    LACUNA_SUMS_F32 = 0, /* always right; 16-bit inputs are exact */
    /* On request only, where packed multiply-adds or faster matrices are worth the accuracy: fp16 products, and fp16
     * sums of m channels of Q K^T and of the n keys of one step in P V, which are then added up in fp32. m is 8 in
     * tier scalar and D in coopmat, n as `explain` says.
     *
     * Accuracy  scale * q, k, v and weights are rounded to fp16, and so is each sum. A logit is off by up to 2^-11 *
     *           (m + 2) * scale * sum of |q_i k_i|; the share of a step in out by up to 2^-11 * (n + 2) of its sum of
     *           |w v|. Neither grows with Nk. Numbers below 2^-14 may count as 0, weights in coopmat below n / 2^13 of
     *           their step's largest.
     * Range     Beyond 65504, log2(e) * scale * q, k and v count as that. Sums of values stay finite. Where m products
     *           of a logit sum to more, it counts as a huge one of either sign, 2^21 in base 2: out and lse are wrong
     *           then, but never NaN.
     * Tiers     scalar, on devices with shaderFloat16; coopmat, where the driver lists fp16 x fp16 -> fp16 matrices and
     *           the caller brings no kernels; coopmat2 refuses it. A CPU is slower with it. */
    LACUNA_SUMS_F16 = 1,
    /* On request only, where integer dot products are fast: each query and each key becomes 8-bit integers times one
     * scale, the largest of its numbers / 127 (SageAttention, arXiv 2410.02367, per token), and Q K^T is summed up
     * exactly in 32-bit integers. P V is as with F32. Takes D + 8 bytes of workspace per key and head.
     *
     * Accuracy  a number of q or k is off by up to 1/254 of the largest of its token: a logit by up to scale * (|q|max
     *           sum |k_i| + |k|max sum |q_i| + D |q|max |k|max / 254) / 254. Outliers in one channel cost all others.
     * Tiers     scalar, with shaderIntegerDotProduct; the others refuse it. `explain` says whether the driver calls
     *           such products accelerated. */
    LACUNA_SUMS_I32 = 2,
    LACUNA_SUMS_FORCE_32_BIT = 0x7fffffff
} LacunaSums;

/* One option of a method, both as text: {"keep_ratio", "0.25"}, {"window", "3x3x3"}. */
typedef struct LacunaOption
{
    const char* name;
    const char* value;
} LacunaOption;

/* Distances in elements between batches, heads and tokens; each a multiple of 8. All zero means dense [B, H, N, D]. */
typedef struct LacunaStrides
{
    uint64_t batch;
    uint64_t head;
    uint64_t token;
} LacunaStrides;

/* A shader of the library with your own functions inside, made by lacunaCompileMods (jit.h). */
typedef struct LacunaKernelCode
{
    const char* shader;    /* that it stands for: "attend_scalar" */
    const uint32_t* words; /* SPIR-V */
    size_t word_count;
} LacunaKernelCode;

#define LACUNA_DEFAULT_MAX_WORKSPACE_BYTES 256000000u

typedef struct LacunaPlanDesc
{
    const char* method;          /* a name from lacunaDescribeMethods */
    const LacunaOption* options; /* of the method; what is not named keeps its default */
    uint32_t option_count;

    uint32_t batch;    /* B >= 1 */
    uint32_t q_heads;  /* Hq >= 1 */
    uint32_t kv_heads; /* Hkv; Hq % Hkv == 0; 0 means Hq. Query head h reads key head h / (Hq / Hkv) */
    uint32_t q_len;    /* Nq >= 1 tokens */
    uint32_t k_len;    /* Nk >= 1 tokens; 0 means Nq */
    uint32_t head_dim; /* D, a multiple of 8, 8..256 */

    LacunaVideoGrid grid; /* if not zero, its tokens are q_len and k_len */
    LacunaDtype dtype;    /* of q, k and v */
    LacunaDtype out_dtype; /* 0 means dtype. LSE is always fp32 */
    LacunaStrides q_strides;
    LacunaStrides k_strides;
    LacunaStrides v_strides;
    LacunaStrides out_strides;
    float scale;    /* of the logits; 0 means 1 / sqrt(D) */
    float soft_cap; /* c > 0: a logit x becomes c * tanh(x / c), as in Gemma 2; 0: none */
    const float* sink_logits; /* [Hq], copied, or NULL: one more logit of each query of head h, which takes its share
                                 of the softmax and adds nothing to out, as in gpt-oss; -inf: none */

    LacunaTier tier;            /* anything but AUTO forces it, or fails with the reason */
    const LacunaOption* tuning; /* of the kernel, for tests and tuning: "rows", "keys", "shape" ("16x8x16"), ... */
    uint32_t tuning_count;
    const char* chosen_by; /* who chose tier and tuning, copied for the explanation: "LACUNA_TIER=scalar"; NULL: you,
                              where they are not empty, else the library */

    const LacunaKernelCode* kernels; /* copied; or NULL. Set by lacunaApplyMods: then a query keeps a key when both the
                                        method and your mask keep it. References and LacunaList know the method only */
    uint32_t kernel_count;

    const uint32_t* order; /* [Nq], copied, or NULL; method `key_spans` only: ranges and spans count the places of this
                              order, in which place i has token order[i]; q, k, v and out keep the caller's */

    /* 0 means LACUNA_DEFAULT_MAX_WORKSPACE_BYTES. A plan that wants more for all heads goes through them in parts,
     * about 1,000 at most, one after the other in the same workspace. If it wants more even for the smallest part, a
     * key head with its query heads, it gets that. UINT64_MAX: one part, which lacunaCmdSelect, lacunaCmdReuse and
     * lacunaGetPlanList need. */
    uint64_t max_workspace_bytes;

    LacunaSums sums; /* 0: fp32 */
} LacunaPlanDesc;

typedef struct LacunaPlan_T* LacunaPlan;

/* Checks everything, chooses kernels, creates pipelines, lays out memory. Slow: do it once per shape.
 *
 * Threads  any number at once. The plan is immutable and must not outlive the context.
 */
LACUNA_API LacunaResult lacunaCreatePlan(LacunaContext context, const LacunaPlanDesc* desc, LacunaPlan* plan);

/* The command buffers that it was recorded into must have finished. NULL is ignored. */
LACUNA_API void lacunaDestroyPlan(LacunaPlan plan);

/* Device memory that the plan wants from you. Addresses must be multiples of 256. */
typedef struct LacunaPlanInfo
{
    uint64_t constants_bytes; /* tables written once by lacunaWritePlanConstants; shareable by every recording */
    uint64_t workspace_bytes; /* scratch; contents undefined before and after; one per recording in flight     */
    uint32_t pass_count;      /* dispatches that one lacunaCmdAttention records                                */
    LacunaTier tier;
    double flops;       /* multiply and add counted apart, 4 * D per kept pair; for a method that decides on the
                           device an upper bound                                                              */
    double max_density; /* kept pairs / all pairs; exact for static methods, else an upper bound              */
    uint64_t group_count; /* of all passes, see lacunaCmdAttentionSlice                                       */
    uint32_t part_count;  /* of the heads, see LacunaPlanDesc::max_workspace_bytes                            */
} LacunaPlanInfo;

LACUNA_API LacunaResult lacunaGetPlanInfo(LacunaPlan plan, LacunaPlanInfo* info);

typedef struct LacunaPassInfo
{
    const char* name;     /* as in lacunaExplainPlan; lives as long as the plan */
    uint64_t group_count; /* >= 1 */
} LacunaPassInfo;

/* index  0..LacunaPlanInfo::pass_count - 1, in the order of recording: those of one part of the heads, then the next */
LACUNA_API LacunaResult lacunaGetPlanPass(LacunaPlan plan, uint32_t index, LacunaPassInfo* info);

/* Writes the plan's tables to host memory of constants_bytes, to be copied to (or mapped from) device memory. */
LACUNA_API LacunaResult lacunaWritePlanConstants(LacunaPlan plan, void* constants);

/* Which kernel runs with which tile, why faster ones were refused, FLOPs, bytes, workspace and passes, as JSON.
 *
 * size  as in lacunaDescribeContext
 */
LACUNA_API LacunaResult lacunaExplainPlan(LacunaPlan plan, size_t* size, char* text);

/* Recording ----------------------------------------------------------------------------------- */

/* Memory of the caller. The size is checked against shape and strides: nothing beyond it is touched. */
typedef struct LacunaMemory
{
    VkDeviceAddress address;
    uint64_t size_bytes;
} LacunaMemory;

typedef struct LacunaAttentionBuffers
{
    LacunaMemory q;   /* [B, Hq, Nq, D], read; address a multiple of 16 */
    LacunaMemory k;   /* [B, Hkv, Nk, D], read */
    LacunaMemory v;   /* [B, Hkv, Nk, D], read */
    LacunaMemory out; /* [B, Hq, Nq, D], written; must not overlap anything else */
    LacunaMemory lse; /* fp32 [B, Hq, Nq], written: natural log of the softmax denominator; address 0: not wanted */
    LacunaMemory constants; /* as written by lacunaWritePlanConstants */
    LacunaMemory workspace;
    LacunaMemory ranges; /* method `key_spans` only, read: uint32 {first, count} [B, Hq, rows], see LacunaList */
    LacunaMemory spans;  /* method `key_spans` only, read: uint32 {begin, end} */

    /* May be NULL. Called before each pass is recorded, after its barrier, with its name in lacunaExplainPlan: a place
     * for timestamps. It may record into cmd. A slice calls it for each pass of which it records groups. */
    void (*before_pass)(void* user, VkCommandBuffer cmd, const char* name);
    void* before_pass_user;
} LacunaAttentionBuffers;

/* Records sparse attention: out = softmax(q k^T * scale, over the kept keys) v, with soft_cap and sink_logits.
 *
 * cmd      recording state, compute-capable queue family, outside a render pass
 * plan     must outlive the execution of cmd, as must the memory
 * buffers  copied
 *
 * Returns  LACUNA_SUCCESS, or LACUNA_ERROR_INVALID_ARGUMENT with nothing recorded.
 *          A query with no kept key gets out = 0 and lse = -inf (or its sink logit), never NaN.
 * Sync     before: make inputs visible to COMPUTE_SHADER / SHADER_STORAGE_READ and order earlier uses of workspace
 *          before this call. after: out and lse are written at COMPUTE_SHADER / SHADER_STORAGE_WRITE. Barriers between
 *          the plan's own passes are recorded for you.
 * Clobbers the compute pipeline and the push constants of cmd. No descriptor set is used.
 * Threads  any number may record one plan at once, each with its own cmd and workspace.
 */
LACUNA_API LacunaResult lacunaCmdAttention(VkCommandBuffer cmd, LacunaPlan plan,
                                           const LacunaAttentionBuffers* buffers);

/* Records a part of the same, so that no watchdog ends a long attention and a frame keeps its time: the groups
 * first_group .. first_group + group_count - 1 of the LacunaPlanInfo::group_count that all passes have together, one
 * pass after the other. Slice i of k is group_count * i / k .. group_count * (i + 1) / k. A group is a workgroup, or
 * a column of workgroups; those of one pass cost much the same, or less towards its end.
 *
 * Once all groups have been executed, each once and in ascending order, out and lse hold the same bits as after
 * lacunaCmdAttention with the same buffers. Contract as there, and
 * Sync     slices may be in different command buffers and submissions, with other work between them: of one queue, or
 *          ordered by semaphores. Nothing else may write to q, k, v, out, lse or the workspace between them.
 */
LACUNA_API LacunaResult lacunaCmdAttentionSlice(VkCommandBuffer cmd, LacunaPlan plan,
                                                const LacunaAttentionBuffers* buffers, uint64_t first_group,
                                                uint64_t group_count);

/* Records the stages before ATTEND only, to look at the list of kept keys; same contract. out and lse are ignored, and
 * so is v but for methods that decide by it (`reads_v` in lacunaDescribeMethods).
 *
 * Returns  LACUNA_ERROR_UNSUPPORTED for a plan in parts, see LacunaPlanDesc::max_workspace_bytes. So do lacunaCmdReuse
 *          and lacunaGetPlanList: the lists of its parts are never there together.
 */
LACUNA_API LacunaResult lacunaCmdSelect(VkCommandBuffer cmd, LacunaPlan plan,
                                        const LacunaAttentionBuffers* buffers);

/* Records ATTEND only, over the list that the workspace has from lacunaCmdAttention or lacunaCmdSelect with the same
 * plan: for a mask that serves several steps. q, k and v may be others, the workspace must be the same and have been left
 * alone. Same contract; before this call make the earlier writes to the workspace visible too. */
LACUNA_API LacunaResult lacunaCmdReuse(VkCommandBuffer cmd, LacunaPlan plan,
                                       const LacunaAttentionBuffers* buffers);

/* Looking at what was kept ---------------------------------------------------------------------- */

typedef enum LacunaRegion
{
    LACUNA_REGION_CONSTANTS = 0, /* the list is static: read it from lacunaWritePlanConstants */
    LACUNA_REGION_WORKSPACE = 1, /* made on the device: read it after lacunaCmdSelect or lacunaCmdAttention */
    LACUNA_REGION_CALLER = 2,    /* method `key_spans`: it is yours */
    LACUNA_REGION_FORCE_32_BIT = 0x7fffffff
} LacunaRegion;

/* The KeySpans of a plan. Row r holds the queries row_borders[r] .. row_borders[r + 1] of the method's own token order.
 * For head h of batch b its spans are spans[first .. first + count], with {first, count} = ranges[(b * Hq + h) *
 * head_stride + r]; each span {begin, end} is keys begin .. end - 1 of the method's order, ascending and disjoint.
 * Pointers live as long as the plan. */
typedef struct LacunaList
{
    uint32_t row_count;
    uint32_t key_block_count;
    const uint32_t* row_borders; /* [row_count + 1] */
    const uint32_t* key_borders; /* [key_block_count + 1], the blocks that `mask --level block` shows */
    const uint32_t* q_order;     /* [Nq] or [Hq, Nq], method's position -> caller's token; NULL is the identity */
    const uint32_t* k_order;     /* [Nk] or [Hq, Nk] */
    LacunaRegion region;
    uint64_t ranges_offset; /* bytes into the region */
    uint64_t spans_offset;
    uint32_t head_stride; /* rows between heads; 0: one list serves every batch and head */
    uint32_t q_order_heads; /* orders in q_order, one after the other: 1 for all heads, or Hq */
    uint32_t k_order_heads; /* likewise in k_order; 0: made on the device, uint32 [B * Hq, Nk] at k_order_offset */
    uint64_t k_order_offset; /* bytes into the workspace */
    const uint32_t* windows; /* [Nq] {begin, end} by position, for methods whose queries differ within a row: of the
                                keys of its row a query keeps k when k < end and (k >= begin or k < sinks); else NULL */
    uint32_t sinks;
    const uint32_t* boxes;  /* [Nq] {low, high} by position, for methods whose queries keep boxes of the video: of the
                               keys of its row a query keeps k when places[k] is 0, or when ((places[k] - low) &
                               (high - places[k]) & box_guard) == box_guard in 32 bits; else NULL */
    const uint32_t* places; /* [Nk] by position */
    uint32_t box_guard;
} LacunaList;

LACUNA_API LacunaResult lacunaGetPlanList(LacunaPlan plan, LacunaList* list);

/* The definition of right ----------------------------------------------------------------------- */

/* The method's mask as its paper defines it, in double precision on the host, without any device.
 *
 * q, k, v  dense fp32 [B, Hq, Nq, D], [B, Hkv, Nk, D] and [B, Hkv, Nk, D]; may be NULL for a static method, and v for
 *          any that does not decide by it
 * first_query, query_count   the queries wanted
 * mask     uint8 [B * Hq, query_count, Nk] in the caller's token order, written: 1 = kept
 */
LACUNA_API LacunaResult lacunaReferenceMask(const LacunaPlanDesc* desc, const float* q, const float* k,
                                            const float* v, uint32_t first_query, uint32_t query_count,
                                            uint8_t* mask, LacunaMessageCallback message, void* message_user);

/* Attention under a mask in double precision on the host.
 *
 * mask      uint8 [B * Hq, query_count, Nk], or NULL for dense
 * out, lse  double [B * Hq, query_count, D] and [B * Hq, query_count], written; lse may be NULL
 */
LACUNA_API LacunaResult lacunaReferenceAttention(const LacunaPlanDesc* desc, const float* q, const float* k,
                                                 const float* v, uint32_t first_query, uint32_t query_count,
                                                 const uint8_t* mask, double* out, double* lse,
                                                 LacunaMessageCallback message, void* message_user);

#ifdef __cplusplus
}
#endif

#endif

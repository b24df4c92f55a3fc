// caps.h - what the device can do and what the application enabled, as a plain struct; the only home of workarounds.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "device.h"

#include <cstdint>
#include <string>
#include <vector>

namespace lacuna
{

// One cooperative-matrix product C[m, n] += A[m, k] B[k, n], A and B fp16, C fp32, subgroup scope.
struct MatrixShape
{
    uint32_t m = 0, n = 0, k = 0;
    bool operator==(const MatrixShape&) const = default;
};

// Products of fp16 matrices as large as a tile (NV_cooperative_matrix2): their sides are multiples of
// the granularity, and C is fp32.
struct TileMatrices
{
    bool is_of_workgroup = false; // else each subgroup has its own
    MatrixShape granularity;
    uint32_t threads = 0; // of the workgroup, where it shares a matrix
};

// Products of fp16 matrices of a subgroup, with sums of one type.
struct MatrixProducts
{
    std::vector<MatrixShape> listed;
    MatrixShape granularity; // NV flexible dimensions: every multiple is one too; m == 0: none
};

// Where queries and keys are in an accumulator of S, and how P becomes an operand; the numbers that
// shaders/attend/lanes.glsl is made with.
struct MatrixLayout
{
    MatrixShape shape; // k is the depth of O += P V
    bool is_turned = false; // queries are columns, else rows
    uint32_t components = 0, slots = 0, slot_step = 0, row_lanes = 0, chain = 0;
};

struct Caps
{
    std::string device_name;
    std::string driver_name; // with version
    VkDriverId driver_id = VkDriverId(0);
    bool is_cpu = false;

    uint32_t subgroup_size = 0; // the device's default
    uint32_t min_subgroup_size = 0, max_subgroup_size = 0;
    bool has_one_subgroup_size = false; // minimum and maximum are the same
    // subgroupSizeControl and computeFullSubgroups are enabled, and a size can be required or is the only one.
    bool can_pin_subgroup_size = false;
    bool has_subgroup_shuffle = false, has_subgroup_vote = false;
    uint32_t max_shared_bytes = 0;
    uint32_t max_threads = 0;   // per workgroup
    uint32_t max_groups[3] = {}; // per dispatch
    // Workgroups that run at once: two per compute unit, one per thread of a CPU.
    uint32_t parallel_groups = 1;
    // Runs of neighbouring workgroups that a dispatch is cut into beforehand; 1: it is not.
    uint32_t dispatch_runs = 1;

    bool has_f16_storage = false; // storageBuffer16BitAccess enabled
    bool has_f16_arithmetic = false;
    bool has_memory_model = false;
    bool has_integer_dot = false;     // shaderIntegerDotProduct enabled
    bool is_integer_dot_fast = false; // 4 x 8 bits, signed: the driver calls it accelerated

    MatrixProducts products;      // with sums in fp32; none are listed when the coopmat tier is refused
    MatrixProducts half_products; // with sums in fp16
    std::string matrix_refusal;   // why none are listed
    std::string broadcast_refusal; // why a load with stride 0 is not trusted; empty: it is

    std::vector<MatrixLayout> matrix_layouts; // by the application's probe, the better one first
    std::string registers_refusal; // why S and P are not kept in registers by them; empty: they are

    // Workgroups first. Empty when the coopmat2 tier is refused; tile_matrix_refusal then says why.
    std::vector<TileMatrices> tile_matrices;
    uint32_t max_matrix_side = 0;
    bool has_tensor_loads = false; // cooperativeMatrixTensorAddressing enabled
    std::string tile_matrix_refusal;

    // Intel's compilers give a lane the fewer registers the wider its subgroup is.
    bool prefersNarrowSubgroups() const
    {
        return driver_id == VK_DRIVER_ID_INTEL_OPEN_SOURCE_MESA ||
               driver_id == VK_DRIVER_ID_INTEL_PROPRIETARY_WINDOWS;
    }

    std::string refusals[4]; // by LacunaTier: what the caller refused, with its reason; empty means trusted
};

// Reads the device, and what `desc.device_info` enabled. `sentence` on failure.
LacunaResult readCaps(const LacunaContextDesc& desc, const InstanceFunctions& vk, Caps& caps, std::string& sentence);

} // namespace lacuna

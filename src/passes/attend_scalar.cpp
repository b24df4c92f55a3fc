// attend_scalar.cpp - the tier that needs no optional feature: a lane holds whole queries; also the
// path of a CPU.
//
// SPDX-License-Identifier: Apache-2.0
#include "attend.h"

#include <algorithm>

namespace lacuna
{
namespace
{

enum
{
    kThreads,
    kRowsPerLane,
    kSplit,
    kKeys,
    kWiden,
    kWorkKeys
};

const OptionDesc kTuning[] = {
    {"threads", OptionType::Int, "0", 0, 1024, "invocations of one workgroup; 0 chooses"},
    {"rows_per_lane", OptionType::Int, "0", 0, 8,
     "queries that one lane holds in registers; 0 chooses"},
    {"split", OptionType::Int, "0", 0, 64, "lanes that share one query, a power of two; 0 chooses"},
    {"keys", OptionType::Int, "0", 0, 16, "keys of one step; 0 chooses"},
    {"widen", OptionType::Choice, "auto", 0, 0,
     "copy fp16 keys and values to fp32 first, which pays on a CPU", "auto|on|off"},
    kWorkKeysOption,
};

// Copies larger than this would surprise more than they help.
constexpr uint64_t kMaxWidenedBytes = uint64_t(1) << 30;
constexpr uint32_t kMaxRegisters = 128;      // per lane, for Q and O
constexpr uint32_t kMaxRegistersNarrow = 32; // on Intel, where more spill
constexpr uint32_t kGpuThreads = 128;

struct Shape
{
    uint32_t threads, rows, split, keys;
    bool widen;
};

bool canSplit(const Caps& caps)
{
    return caps.can_pin_subgroup_size && caps.has_subgroup_shuffle;
}

uint32_t subgroupSize(const Caps& caps)
{
    return caps.prefersNarrowSubgroups() ? caps.min_subgroup_size : caps.subgroup_size;
}

bool hasHalfSums(const Problem& p)
{
    return p.sums == LACUNA_SUMS_F16;
}
bool hasIntegerSums(const Problem& p)
{
    return p.sums == LACUNA_SUMS_I32;
}

// A CPU runs one subgroup per workgroup; with four rows of 128 channels Q and O fill its first
// cache. Without fp16 instructions it converts every number of a sum in fp16, which takes long to
// compile. On a GPU a query is split over lanes until Q and O fit into registers.
Shape defaultShape(const Caps& caps, const Problem& p)
{
    if (caps.is_cpu && hasHalfSums(p))
        return {caps.subgroup_size, 1, 1, 4, false};
    if (caps.is_cpu)
        return {caps.subgroup_size, p.head_dim <= 128 ? 4u : 2u, 1, 4, true};

    // What a step adds to fp32 sums costs as much for 8 keys as for 4.
    const uint32_t keys = hasHalfSums(p) && !caps.prefersNarrowSubgroups() ? 8 : 4;
    Shape shape = {std::min(kGpuThreads, caps.max_threads), 4, 1, keys, false};
    const auto registers = [&]
    {
        return 2 * shape.rows * p.head_dim / shape.split;
    };
    const uint32_t max_registers =
        caps.prefersNarrowSubgroups() ? kMaxRegistersNarrow : kMaxRegisters;
    while (canSplit(caps) && registers() > max_registers &&
           shape.split * 2 <= std::min(8u, subgroupSize(caps)) &&
           p.head_dim / 4 % (shape.split * 2) == 0)
        shape.split *= 2;
    while (shape.rows > 1 && registers() > max_registers)
        shape.rows /= 2;
    return shape;
}

void override(const Options& tuning, Shape& shape)
{
    tuning.replace(kThreads, shape.threads);
    tuning.replace(kRowsPerLane, shape.rows);
    tuning.replace(kSplit, shape.split);
    tuning.replace(kKeys, shape.keys);
    if (tuning.integer(kWiden) > 0)
        shape.widen = tuning.integer(kWiden) == 1;
}

std::string shapeFault(const Caps& caps, const Problem& p, const Shape& s)
{
    const auto number = [](uint64_t n)
    {
        return std::to_string(n);
    };
    if (s.threads > caps.max_threads)
        return "threads is " + number(s.threads) + ", the device allows 1.." +
               number(caps.max_threads);
    if (s.widen && hasHalfSums(p))
        return "widen is on, expected auto or off: sums in fp16 read no fp32 copies";
    if (s.split == 1)
        return {};
    if (!canSplit(caps))
        return "split is " + number(s.split) +
               ", which needs subgroup shuffles and a pinned subgroup size";
    if ((s.split & (s.split - 1)) != 0 || s.split > subgroupSize(caps) ||
        p.head_dim / 4 % s.split != 0)
        return "split is " + number(s.split) + ", expected a power of two up to " +
               number(subgroupSize(caps)) + " that divides " + number(p.head_dim / 4) +
               ", a quarter of the head dimension";
    if (s.threads % subgroupSize(caps) != 0)
        return "threads is " + number(s.threads) + ", expected a multiple of the subgroup size " +
               number(subgroupSize(caps));
    return {};
}

std::string unsupportedReason(const Caps& caps, const Problem& p, bool)
{
    if (hasHalfSums(p) && !caps.has_f16_arithmetic)
        return "sums in fp16 need shaderFloat16, which is not enabled";
    if (hasIntegerSums(p) && !caps.has_integer_dot)
        return "sums in int32 need shaderIntegerDotProduct, which is not enabled";
    return {};
}

const char* arithmeticText(const Caps& caps, const Problem& p)
{
    if (hasIntegerSums(p))
        return caps.is_integer_dot_fast ? ", q and k rounded to 8-bit integers"
                                        : ", q and k rounded to 8-bit integers, whose products "
                                          "this device does not accelerate";
    if (hasHalfSums(p))
        return p.dtype == LACUNA_DTYPE_F16 ? ", sums in fp16"
                                           : ", sums in fp16 of inputs rounded to fp16";
    return p.dtype == LACUNA_DTYPE_BF16 ? ", bf16 computed in fp32" : "";
}

bool chooseTile(const Caps& caps, const Problem& p, const Options& tuning, AttendTile& tile,
                std::string& sentence)
{
    Shape shape = defaultShape(caps, p);
    override(tuning, shape);
    sentence = shapeFault(caps, p, shape);
    if (!sentence.empty())
        return false;

    const uint64_t widened_bytes =
        2 * uint64_t(p.batch) * p.kv_heads * p.k_len * p.head_dim * sizeof(float);
    tile.widen_keys =
        p.dtype != LACUNA_DTYPE_F32 && shape.widen && widened_bytes <= kMaxWidenedBytes;
    tile.round_keys = hasIntegerSums(p);
    tile.rows = shape.threads / shape.split * shape.rows;
    tile.keys = shape.keys;
    tile.threads = shape.threads;
    tuning.replace(kWorkKeys, tile.work_keys);
    tile.subgroup_size = shape.split > 1 ? subgroupSize(caps) : 0;
    tile.spec = {shape.threads,
                 p.head_dim,
                 shape.split,
                 shape.rows,
                 shape.keys,
                 uint32_t(p.dtype),
                 uint32_t(tile.widen_keys ? LACUNA_DTYPE_F32 : p.dtype),
                 uint32_t(p.out_dtype)};
    tile.text = std::to_string(tile.rows) + " queries x " + std::to_string(tile.keys) + " keys, " +
                std::to_string(shape.rows) + " queries per lane, a query over " +
                std::to_string(shape.split) + (shape.split == 1 ? " lane" : " lanes") +
                arithmeticText(caps, p) +
                (!tile.widen_keys  ? ""
                 : tile.round_keys ? ", values widened to fp32"
                                   : ", keys and values widened to fp32");
    return true;
}

Shader shader(const Caps&, const Problem& p, const AttendTile& tile)
{
    if (hasIntegerSums(p))
        return tile.subgroup_size > 0 ? Shader::attend_scalar_split_int : Shader::attend_scalar_int;
    if (hasHalfSums(p))
        return tile.subgroup_size > 0 ? Shader::attend_scalar_split_half
                                      : Shader::attend_scalar_half;
    return tile.subgroup_size > 0 ? Shader::attend_scalar_split : Shader::attend_scalar;
}

} // namespace

extern const AttendVariant kAttendScalar;
const AttendVariant kAttendScalar = {LACUNA_TIER_SCALAR, "scalar",   kTuning,
                                     unsupportedReason,  chooseTile, shader};

} // namespace lacuna

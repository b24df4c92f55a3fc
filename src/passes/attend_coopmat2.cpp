// attend_coopmat2.cpp - the tier on NV_cooperative_matrix2: matrices as large as the tile, and what
// they need.
//
// SPDX-License-Identifier: Apache-2.0
#include "attend.h"

#include <algorithm>
#include <numeric>

namespace lacuna
{
namespace
{

enum
{
    kScope,
    kStrips,
    kRows,
    kKeys,
    kWorkKeys
};

const OptionDesc kTuning[] = {
    {"scope", OptionType::Choice, "auto", 0, 2,
     "whether the workgroup shares a matrix, or each subgroup has its own",
     "auto|workgroup|subgroup"},
    {"strips", OptionType::Int, "0", 0, 16,
     "subgroups on top of each other, each with its own queries; 0 chooses"},
    {"rows", OptionType::Int, "0", 0, 256, "queries of one matrix; 0 chooses"},
    {"keys", OptionType::Int, "0", 0, 256, "keys of one step; 0 chooses"},
    kWorkKeysOption,
};

struct Tile
{
    TileMatrices matrices;
    uint32_t subgroup_size, strips, rows, keys, width;

    uint32_t threads() const
    {
        return matrices.is_of_workgroup ? matrices.threads : subgroup_size * strips;
    }
};

uint32_t roundUp(uint32_t value, uint32_t unit)
{
    return (value + unit - 1) / unit * unit;
}

std::string number(uint64_t n)
{
    return std::to_string(n);
}

// Keys and channels are columns of one product and the depth of the other.
uint32_t columnUnit(const TileMatrices& matrices)
{
    return std::lcm(matrices.granularity.n, matrices.granularity.k);
}

// The narrowest workgroup that shares matrices, 128 threads or more where there is one; else what
// `scope` (auto|workgroup|subgroup) asks for. Null: the device has none.
const TileMatrices* choose(const Caps& caps, int64_t scope)
{
    const TileMatrices* best = nullptr;
    const auto distance = [](const TileMatrices& m)
    {
        return m.threads < 128 ? 1024 + m.threads : m.threads;
    };
    for (const TileMatrices& m : caps.tile_matrices)
        if (scope == 0 || m.is_of_workgroup == (scope == 1))
            if (!best || (m.is_of_workgroup && distance(m) < distance(*best)))
                best = &m;
    return best;
}

// A workgroup keeps 64 rows of O in registers; a subgroup as few rows as a matrix may have. CPUs
// compile the smallest matrices for half a minute, and larger ones for minutes.
Tile defaultTile(const Caps& caps, const Problem& p, const TileMatrices& matrices)
{
    const uint32_t unit = columnUnit(matrices);
    Tile t = {matrices, std::clamp(32u, caps.min_subgroup_size, caps.max_subgroup_size),
              1,        roundUp(64, matrices.granularity.m),
              roundUp(p.head_dim > 128 ? 32 : 64, unit), roundUp(p.head_dim, unit)};
    if (caps.is_cpu)
    {
        t.rows = roundUp(8, matrices.granularity.m);
        t.keys = roundUp(16, unit);
    }
    else if (!matrices.is_of_workgroup)
    {
        t.rows = roundUp(16, matrices.granularity.m);
        t.strips = std::clamp(caps.max_threads / t.subgroup_size, 1u, 4u);
    }
    return t;
}

std::string tileFault(const Caps& caps, const Problem& p, const Tile& t)
{
    const uint32_t unit = columnUnit(t.matrices);
    if (t.rows % t.matrices.granularity.m != 0)
        return "rows is " + number(t.rows) + ", expected a multiple of " +
               number(t.matrices.granularity.m);
    if (t.keys % unit != 0)
        return "keys is " + number(t.keys) + ", expected a multiple of " + number(unit);
    if (t.matrices.is_of_workgroup && t.strips != 1)
        return "strips is " + number(t.strips) + ", expected 1 where the workgroup shares a matrix";
    const uint32_t side = std::max({t.rows, t.keys, t.width});
    if (side > caps.max_matrix_side)
        return "a side of a matrix is " + number(side) + ", the device allows " +
               number(caps.max_matrix_side);
    if (t.threads() > caps.max_threads)
        return "the workgroup has " + number(t.threads()) + " invocations, the device allows " +
               number(caps.max_threads);
    const uint64_t stride = std::max({p.q.token, p.k.token, p.v.token});
    const uint64_t reach = std::max(t.rows, t.keys) * stride;
    if (reach > uint64_t(1) << 31)
        return "the rows of one matrix reach over " + number(reach) +
               " elements of q, k or v, the kernel reaches " + number(uint64_t(1) << 31);
    return {};
}

std::string unsupportedReason(const Caps& caps, const Problem& p, bool forced)
{
    if (caps.tile_matrices.empty())
        return caps.tile_matrix_refusal;
    if (p.sums != LACUNA_SUMS_F32)
        return p.sums == LACUNA_SUMS_F16 ? "it has no sums in fp16" : "it has no integer products";
    if (p.dtype != LACUNA_DTYPE_F16)
        return "it loads q, k and v as fp16, and they are not";
    if (!forced && caps.is_cpu)
        return "slower than scalar on a CPU, which emulates matrices";
    return {};
}

bool chooseTile(const Caps& caps, const Problem& p, const Options& tuning, AttendTile& tile,
                std::string& sentence)
{
    const TileMatrices* const matrices = choose(caps, tuning.integer(kScope));
    if (!matrices)
    {
        sentence = "the device has no flexible dimensions of this scope, the option 'scope' can "
                   "choose the other";
        return false;
    }
    Tile t = defaultTile(caps, p, *matrices);
    tuning.replace(kStrips, t.strips);
    tuning.replace(kRows, t.rows);
    tuning.replace(kKeys, t.keys);
    sentence = tileFault(caps, p, t);
    if (!sentence.empty())
        return false;

    constexpr uint32_t kWorkgroup = 2, kSubgroup = 3; // gl_Scope*
    tile.rows = t.strips * t.rows;
    tile.keys = t.keys;
    tile.threads = t.threads();
    tuning.replace(kWorkKeys, tile.work_keys);
    tile.subgroup_size = t.subgroup_size;
    tile.shared_bytes = tile.rows * 4; // the tokens of its queries
    tile.spec = {t.threads(), t.matrices.is_of_workgroup ? kWorkgroup : kSubgroup,
                 t.strips,    p.head_dim,
                 t.rows,      t.keys,
                 t.width,     uint32_t(p.out_dtype)};
    tile.text = number(tile.rows) + " queries x " + number(t.keys) + " keys, matrices of " +
                number(t.rows) + " rows " +
                (t.matrices.is_of_workgroup
                     ? "shared by " + number(t.threads()) + " invocations"
                     : "in " + number(t.strips) + " subgroups of " + number(t.subgroup_size));
    return true;
}

Shader shader(const Caps& caps, const Problem&, const AttendTile&)
{
    return caps.has_tensor_loads ? Shader::attend_coopmat2 : Shader::attend_coopmat2_plain;
}

} // namespace

extern const AttendVariant kAttendCoopmat2;
const AttendVariant kAttendCoopmat2 = {LACUNA_TIER_COOPMAT2, "coopmat2", kTuning,
                                       unsupportedReason,    chooseTile, shader};

} // namespace lacuna

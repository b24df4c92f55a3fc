// attend_coopmat.cpp - the tier on KHR cooperative matrices: which shape, which tile, and what it
// needs.
//
// SPDX-License-Identifier: Apache-2.0
#include "attend.h"

#include "../../shaders/shared/matrices.h"
#include "../gpu/matrix_layout.h"

#include <algorithm>
#include <bit>
#include <cstdio>

namespace lacuna
{
namespace
{

enum
{
    kShape,
    kStrips,
    kSlices,
    kTiles,
    kKeys,
    kPad,
    kHold,
    kDirect,
    kRescale,
    kSoftmax,
    kOrientation,
    kWorkKeys
};

const OptionDesc kTuning[] = {
    {"shape", OptionType::Size3, "0x0x0", 0, 64,
     "rows x columns x depth of one matrix product; 0x0x0 chooses"},
    {"strips", OptionType::Int, "0", 0, 16,
     "subgroups on top of each other, each with its own queries; 0 chooses"},
    {"slices", OptionType::Int, "0", 0, 16,
     "subgroups that share queries and split the channels; 0 chooses"},
    {"tiles", OptionType::Int, "0", 0, 4,
     "matrices on top of each other in one subgroup; 0 chooses"},
    {"keys", OptionType::Int, "0", 0, 256, "keys of one step; 0 chooses"},
    {"pad", OptionType::Int, "1", 0, 4, "16-byte words behind each row in shared memory"},
    {"hold", OptionType::Choice, "auto", 0, 2, "whether Q stays in registers", "auto|yes|no"},
    {"direct", OptionType::Choice, "auto", 0, 2,
     "whether matrices are loaded from K and V themselves, which are not staged in shared memory",
     "auto|yes|no"},
    {"rescale", OptionType::Choice, "auto", 0, 2,
     "how rows of O are multiplied: by one number that a load with stride 0 repeats, or by a whole "
     "tile of it",
     "auto|broadcast|tile"},
    {"softmax", OptionType::Choice, "auto", 0, 2,
     "where logits and weights are: in registers, which takes a probe of the matrices, or in "
     "shared "
     "memory, which slices and rescale are about",
     "auto|registers|shared"},
    {"orientation", OptionType::Choice, "auto", 0, 2,
     "with the softmax in registers: whether queries are the rows or the columns of the matrices",
     "auto|rows|columns"},
    kWorkKeysOption,
};

struct Tile
{
    MatrixShape shape;
    uint32_t subgroup_size, strips, slices, tiles, keys, pad;
    bool holds_q, is_direct, broadcasts;
    const MatrixLayout* layout; // of S in registers; null: S and P are in shared memory
    bool has_half_sums = false;

    uint32_t threads() const { return subgroup_size * strips * slices; }
    bool isTurned() const { return layout && layout->is_turned; }
    uint32_t tileQueries() const { return isTurned() ? shape.n : shape.m; } // of an accumulator
    uint32_t tileKeys() const { return isTurned() ? shape.m : shape.n; }    // or channels
    uint32_t weighDepth() const { return layout ? layout->shape.k : shape.k; }
    uint32_t keyUnit() const { return std::max(tileKeys() * slices, weighDepth()); }
    uint32_t rows() const { return strips * tiles * tileQueries(); }
};

uint32_t roundUp(uint32_t value, uint32_t unit)
{
    return (value + unit - 1) / unit * unit;
}

// The arrays of tile.glsl.
uint32_t sharedBytes(const Tile& t, uint32_t head_dim)
{
    const uint32_t width =
        std::max(roundUp(head_dim, t.shape.k), roundUp(head_dim, t.tileKeys() * t.slices)) / 8 +
        t.pad;
    const uint32_t staged_rows = t.holds_q ? std::max(t.rows(), t.keys) : t.rows() + t.keys;
    const uint32_t q_and_kv = staged_rows * width * 16;
    const uint32_t score =
        t.layout ? t.strips * t.shape.m * t.shape.n * 4 : t.rows() * (t.keys + 4) * 4;
    const uint32_t weight = !t.layout                           ? t.rows() * (t.keys / 2 + 4) * 4
                            : t.layout->chain == kThroughMemory ? t.rows() * (t.keys + 8) * 2
                                                                : 4;
    const uint32_t factors = t.has_half_sums && !t.layout ? 2 : 1; // of each row of O
    return q_and_kv + score + weight + (t.rows() * factors + t.keys) * 4;
}

// A subgroup keeps M x (D / slices) of O in registers: at most 32 numbers a lane, 8 on Intel, where
// more spill; but a slice has at least one column tile of S. A CPU has no such limit, and a load
// costs it as much as a product: it loads Q once, K and V once for all rows.
Tile defaultTile(const Caps& caps, const Problem& p, const MatrixShape& shape)
{
    Tile t = {shape, matrixSubgroupSize(caps), 4, 1, 1, 64, 1, false, false, true, nullptr};
    t.has_half_sums = p.sums == LACUNA_SUMS_F16;
    if (caps.is_cpu)
    {
        t.strips = 1;
        t.tiles = std::max(1u, 32 / shape.m);
        t.holds_q = true;
        t.is_direct = true;
        return t;
    }
    const uint32_t numbers = caps.prefersNarrowSubgroups() ? 8 : 32;
    while (t.slices < 16 && shape.n * t.slices * 2 <= t.keys &&
           shape.m * p.head_dim > numbers * t.subgroup_size * t.slices)
        t.slices *= 2;
    while (t.strips > 1 && t.threads() > std::min(caps.max_threads, 512u))
        t.strips /= 2;
    return t;
}

// Whole matrices of K and V: fp16, and no channel beyond D.
bool canLoadDirectly(const Problem& p, const Tile& t)
{
    return p.dtype == LACUNA_DTYPE_F16 && p.head_dim % t.shape.k == 0 &&
           p.head_dim % (t.tileKeys() * t.slices) == 0;
}

bool chosen(const Options& tuning, uint32_t option, bool fallback)
{
    const int64_t choice = tuning.integer(option); // auto|yes|no, or as the option calls them
    return choice == 0 ? fallback : choice == 1;
}

// Fewer keys, then fewer queries, then wider parts of O in a subgroup, until the tile fits into
// shared memory: before any slower tier.
void shrinkToFit(const Caps& caps, const Problem& p, Tile& t)
{
    const auto is_too_large = [&]
    {
        return sharedBytes(t, p.head_dim) > caps.max_shared_bytes;
    };
    const auto min_keys = [&]
    {
        return std::max(t.keyUnit(), 16u);
    };
    while (is_too_large() && t.keys / 2 >= min_keys())
        t.keys /= 2;
    while (is_too_large() && t.strips > 1)
        t.strips /= 2;
    while (is_too_large() && t.tiles > 1)
        t.tiles /= 2;
    while (is_too_large() && t.slices > 1)
    {
        t.slices /= 2;
        t.keys = min_keys();
    }
}

std::string text(const MatrixShape& s)
{
    return std::to_string(s.m) + "x" + std::to_string(s.n) + "x" + std::to_string(s.k);
}

std::string shapeFault(const Caps& caps, const MatrixShape& s)
{
    if (isUsable(s) && isOffered(caps.products, s))
        return {};
    std::string known;
    for (const MatrixShape& shape : caps.products.listed)
        known += (known.empty() ? "" : ", ") + text(shape);
    return "shape is " + text(s) + ", the device offers " + known +
           (caps.products.granularity.m != 0
                ? " and powers of two that are multiples of " + text(caps.products.granularity)
                : "");
}

// Where S and P can stay in registers: the better layout of that shape, or the one asked for; null
// where they cannot, with `sentence` if that was asked for.
const MatrixLayout* registerLayout(const Caps& caps, const Problem& p, const MatrixShape& shape,
                                   const Options& tuning, std::string& sentence)
{
    enum
    {
        kAuto,
        kRegisters,
        kShared
    };
    const int64_t softmax = tuning.integer(kSoftmax), orientation = tuning.integer(kOrientation);
    const bool is_wanted = softmax == kRegisters || orientation != kAuto;
    const bool is_open = softmax == kAuto && tuning.integer(kSlices) <= 1 &&
                         tuning.integer(kRescale) == kAuto && !caps.prefersNarrowSubgroups();
    if (softmax == kShared || !(is_wanted || is_open))
        return nullptr;
    std::string refusal = caps.registers_refusal;
    for (const MatrixLayout& layout : caps.matrix_layouts)
    {
        const bool is_turned = orientation == kAuto ? layout.is_turned : orientation == 2;
        if (!refusal.empty() || layout.shape.m != shape.m || layout.shape.n != shape.n ||
            layout.is_turned != is_turned)
            continue;
        // Of O in a lane; more spill next to S.
        const uint32_t queries = is_turned ? shape.n : shape.m;
        if (is_wanted || caps.is_cpu || queries * p.head_dim <= 64 * matrixSubgroupSize(caps))
            return &layout;
    }
    if (is_wanted)
        sentence =
            "softmax is registers, expected shared: " +
            (refusal.empty() ? "the probe shows no regular layout of that shape and orientation"
                             : refusal);
    return nullptr;
}

std::string tileFault(const Caps& caps, const Problem& p, const Tile& t)
{
    const auto number = [](uint64_t n)
    {
        return std::to_string(n);
    };
    if (!std::has_single_bit(t.strips) || !std::has_single_bit(t.slices) ||
        !std::has_single_bit(t.tiles) || !std::has_single_bit(t.keys))
        return "strips, slices, tiles and keys are " + number(t.strips) + ", " + number(t.slices) +
               ", " + number(t.tiles) + " and " + number(t.keys) + ", expected powers of two";
    const uint32_t unit = t.keyUnit();
    if (t.keys % unit != 0)
        return "keys is " + number(t.keys) + ", expected a multiple of " + number(unit) +
               " with this shape";
    if (t.slices > t.tiles * t.shape.m)
        return "slices is " + number(t.slices) + ", expected at most " +
               number(t.tiles * t.shape.m);
    if (t.layout && t.slices != 1)
        return "slices is " + number(t.slices) + ", expected 1 with the softmax in registers";
    if (t.threads() > caps.max_threads)
        return "strips x slices is " + number(t.strips * t.slices) + " subgroups of " +
               number(t.subgroup_size) + ", the device allows " + number(caps.max_threads) +
               " invocations";
    if (t.is_direct && !canLoadDirectly(p, t))
        return "direct is yes, expected no: K and V are not fp16, or D = " + number(p.head_dim) +
               " is no multiple of " + number(t.shape.k) + " and " +
               number(t.tileKeys() * t.slices) + ", the depth and columns of a product";
    if (t.has_half_sums && (!isOffered(caps.half_products, t.shape) ||
                            !isOffered(caps.half_products, {t.shape.m, t.shape.n, t.weighDepth()})))
        return "the driver lists no fp16 x fp16 -> fp16 product of the shape " + text(t.shape) +
               (t.weighDepth() == t.shape.k ? "" : ", or of depth " + number(t.weighDepth()));
    const uint32_t bytes = sharedBytes(t, p.head_dim);
    if (bytes > caps.max_shared_bytes)
        return "the tile needs " + number(bytes) + " bytes of shared memory, the device has " +
               number(caps.max_shared_bytes);
    return {};
}

std::string unsupportedReason(const Caps& caps, const Problem& p, bool forced)
{
    if (caps.products.listed.empty())
        return caps.matrix_refusal.empty() ? "the device has no cooperative matrices"
                                           : caps.matrix_refusal;
    if (!caps.has_f16_arithmetic || !caps.has_memory_model || !caps.can_pin_subgroup_size ||
        !caps.has_subgroup_shuffle)
        return "shaderFloat16, vulkanMemoryModel, subgroupSizeControl, computeFullSubgroups and "
               "subgroup shuffles are "
               "not all enabled";
    if (preferredShape(caps).m == 0)
        return "no shape of the device's cooperative matrices consists of powers of two from 8 to "
               "64";
    if (p.sums == LACUNA_SUMS_I32)
        return "it has no integer products";
    if (!forced && p.dtype == LACUNA_DTYPE_F32 && p.sums == LACUNA_SUMS_F32)
        return "it would round fp32 inputs to fp16; force the tier to allow that";
    if (!forced && caps.is_cpu)
        return "slower than scalar on a CPU, which emulates matrices";
    return {};
}

bool chooseTile(const Caps& caps, const Problem& p, const Options& tuning, AttendTile& tile,
                std::string& sentence)
{
    const Size3 given = tuning.size3(kShape);
    const bool is_given = given.volume() > 0;
    const MatrixShape preferred = preferredShape(caps);
    const MatrixShape shape =
        is_given ? MatrixShape{given.t, given.h, given.w} : deepened(caps, p.head_dim, preferred);
    sentence = shapeFault(caps, shape);
    if (!sentence.empty())
        return false;

    const auto fitted = [&](const MatrixShape& of)
    {
        Tile tile_of = defaultTile(caps, p, of);
        tile_of.layout = registerLayout(caps, p, of, tuning, sentence);
        if (tile_of.layout)
            tile_of.slices = 1;
        tile_of.pad = uint32_t(tuning.integer(kPad));
        tile_of.holds_q = chosen(tuning, kHold, tile_of.holds_q);
        shrinkToFit(caps, p, tile_of);
        return tile_of;
    };
    Tile t = fitted(shape);
    if (!is_given && sharedBytes(t, p.head_dim) > caps.max_shared_bytes)
        t = fitted(preferred);
    if (!sentence.empty())
        return false;
    tuning.replace(kStrips, t.strips);
    tuning.replace(kSlices, t.slices);
    tuning.replace(kTiles, t.tiles);
    tuning.replace(kKeys, t.keys);
    t.is_direct = chosen(tuning, kDirect, t.is_direct && canLoadDirectly(p, t));
    t.broadcasts = chosen(tuning, kRescale, caps.broadcast_refusal.empty());
    sentence = tileFault(caps, p, t);
    if (!sentence.empty())
        return false;

    tile.rows = t.rows();
    tile.keys = t.keys;
    tile.threads = t.threads();
    tuning.replace(kWorkKeys, tile.work_keys);
    tile.subgroup_size = t.subgroup_size;
    tile.shared_bytes = sharedBytes(t, p.head_dim);
    const MatrixLayout none = {{}, false, 1, 1, 1, 0, kThroughMemory};
    const MatrixLayout& layout = t.layout ? *t.layout : none; // the shader has its constants anyway
    tile.spec = {t.threads(),
                 t.subgroup_size,
                 p.head_dim,
                 t.shape.m,
                 t.shape.n,
                 t.shape.k,
                 t.weighDepth(),
                 t.slices,
                 t.tiles,
                 t.keys,
                 t.pad,
                 uint32_t(p.dtype),
                 uint32_t(p.out_dtype),
                 t.holds_q,
                 t.is_direct,
                 t.broadcasts,
                 layout.components,
                 layout.slots,
                 layout.slot_step,
                 layout.row_lanes,
                 layout.chain};
    tile.softmax = !t.layout ? Softmax::Shared : t.isTurned() ? Softmax::Columns : Softmax::Rows;
    const std::string softmax =
        !t.layout
            ? ", softmax through shared memory"
            : std::string(", softmax in registers, queries are ") +
                  (t.isTurned() ? "columns" : "rows") +
                  (t.layout->chain == kThroughMemory ? ", weights through shared memory" : "");
    tile.text =
        std::to_string(t.rows()) + " queries x " + std::to_string(t.keys) + " keys, matrices " +
        text(t.shape) + ", " + std::to_string(t.strips) + " x " + std::to_string(t.slices) +
        " subgroups of " + std::to_string(t.subgroup_size) +
        (p.dtype == LACUNA_DTYPE_F16 ? "" : ", q, k and v rounded to fp16 (at most 65504)") +
        (t.has_half_sums ? ", sums in fp16" : "") +
        softmax + (t.holds_q ? ", Q in registers" : "") +
        (t.is_direct ? ", K and V not staged" : "") +
        (t.broadcasts ? "" : ", O rescaled by whole tiles");
    return true;
}

// Compilers of GPUs keep arrays of matrices in registers only when the loops over them are
// unrolled; LLVM on a CPU takes half a minute over the unrolled kernel.
Shader shader(const Caps& caps, const Problem& p, const AttendTile& tile)
{
    static constexpr Shader kOf[2][3][2] = { // by sums, Softmax, and whether rolled
        {{Shader::attend_coopmat, Shader::attend_coopmat_rolled},
         {Shader::attend_coopmat_rows, Shader::attend_coopmat_rows_rolled},
         {Shader::attend_coopmat_columns, Shader::attend_coopmat_columns_rolled}},
        {{Shader::attend_coopmat_half, Shader::attend_coopmat_half_rolled},
         {Shader::attend_coopmat_rows_half, Shader::attend_coopmat_rows_half_rolled},
         {Shader::attend_coopmat_columns_half, Shader::attend_coopmat_columns_half_rolled}}};
    return kOf[p.sums == LACUNA_SUMS_F16][uint32_t(tile.softmax)][caps.is_cpu];
}

} // namespace

extern const AttendVariant kAttendCoopmat;
const AttendVariant kAttendCoopmat = {LACUNA_TIER_COOPMAT, "coopmat",  kTuning,
                                      unsupportedReason,   chooseTile, shader};

} // namespace lacuna

// work.cpp - ATTEND: makes work items on the host or on the device, and merges split rows.
//
// SPDX-License-Identifier: Apache-2.0
#include "work.h"

#include "../../shaders/shared/attend.h"
#include "../../shaders/shared/work.h"

#include <algorithm>
#include <cstddef>

namespace lacuna
{
namespace
{

constexpr uint32_t kThreads = 64;
constexpr uint32_t kOffsetThreads = 256;
constexpr uint32_t kMinPieceKeys = 256; // shorter parts cost more in the merge than they gain
// Items per workgroup that runs at once: the longest one is then a small part of the whole.
constexpr uint32_t kItemsPerGroup = 8;
constexpr uint64_t kMaxPartialBytes = uint64_t(64) << 20;
constexpr uint32_t kMinTarget = 3; // with fewer items wanted, no row can be split
constexpr uint64_t kMaxUnits = uint64_t(1) << 31;

uint32_t roundUp(uint32_t value, uint32_t unit)
{
    return ceilDivide(value, unit) * unit;
}

uint64_t partialBytes(const Problem& p, const AttendTile& tile)
{
    return uint64_t(tile.rows) * (p.head_dim + kPartialExtra) * sizeof(float);
}

uint32_t listHeads(const Problem& p, const List& list)
{
    return list.head_stride == 0 ? 1 : p.heads();
}

// Tiles of one head.
uint32_t countTiles(const TokenOrder& order, uint32_t tile_rows)
{
    uint32_t tiles = 0;
    for (uint32_t row = 0; row < order.blocks(); ++row)
        tiles += ceilDivide(order.blockSize(row), tile_rows);
    return tiles;
}

// No more parts than the memory for partial results holds, and no more than fill the device.
WorkLimits makeLimits(const Caps& caps, const Problem& p, const AttendTile& tile, uint32_t tiles)
{
    WorkLimits limits = {};
    limits.step = tile.keys;
    limits.tile_rows = tile.rows;
    limits.k_len = p.k_len;
    limits.runs = caps.dispatch_runs;
    limits.min_piece = roundUp(tile.work_keys ? tile.work_keys : kMinPieceKeys, tile.keys);
    const uint64_t room = kMaxPartialBytes / partialBytes(p, tile) * 2 / 3;
    const uint64_t wanted = tile.work_keys ? room : uint64_t(caps.parallel_groups) * kItemsPerGroup;
    limits.target = uint32_t(std::max<uint64_t>(std::min(room, wanted), 1));
    const uint64_t all_tiles = uint64_t(tiles) * p.heads();
    while (all_tiles * unitsOf(p.k_len, limits) > kMaxUnits && limits.unit_shift < 20)
        ++limits.unit_shift;
    return limits;
}

constexpr AttendItem kEmptyItem = {0, 0, 0, kNone, 0, 0, 0, 0};

// Items in the order in which they are to run.
struct Items
{
    std::vector<AttendItem> classes[kLengthClasses];
    std::vector<MergeItem> merges;
    uint32_t slots = 0;

    std::vector<AttendItem> inOrder(uint32_t runs) const
    {
        std::vector<AttendItem> ranked;
        for (const std::vector<AttendItem>& items : classes)
            ranked.insert(ranked.end(), items.begin(), items.end());
        std::vector<AttendItem> placed(roundUp(uint32_t(ranked.size()), runs), kEmptyItem);
        for (uint32_t rank = 0; rank < ranked.size(); ++rank)
            placed[placeOf(rank, uint32_t(placed.size()), runs)] = ranked[rank];
        return placed;
    }
};

// The keys of each part of a row; begin, end, head and slot are left open.
std::vector<AttendItem> splitRow(const KeySpans& spans, uint32_t index, uint32_t part_keys)
{
    std::vector<AttendItem> parts;
    uint32_t left = 0; // of the part that is being filled
    for (uint32_t i = spans.first[index]; i < spans.first[index + 1]; ++i)
        for (uint32_t key = spans.spans[i].begin; key < spans.spans[i].end;)
        {
            if (left == 0)
            {
                parts.push_back({0, 0, 0, 0, i, 0, key, key});
                left = part_keys;
            }
            const uint32_t keys = std::min(left, spans.spans[i].end - key);
            key += keys;
            left -= keys;
            parts.back().count = i - parts.back().first + 1;
            parts.back().high = key;
        }
    return parts;
}

void addRow(Items& items, const KeySpans& spans, uint32_t index, const TokenOrder& order,
            uint32_t piece, const WorkLimits& limits)
{
    const uint32_t row = index % spans.rows, head = index / spans.rows;
    const uint32_t keys = uint32_t(spans.keys(index));
    const uint32_t part_keys = partLength(keys, piece, limits);
    const uint32_t parts = partCount(keys, part_keys);
    std::vector<AttendItem>& into = items.classes[lengthClass(part_keys, piece)];
    const std::vector<AttendItem> split =
        parts > 1 ? splitRow(spans, index, part_keys) : std::vector<AttendItem>();
    for (uint32_t begin = order.borders[row]; begin < order.borders[row + 1];
         begin += limits.tile_rows)
    {
        const uint32_t end = std::min(begin + limits.tile_rows, order.borders[row + 1]);
        if (parts == 1)
        {
            const uint32_t first = spans.first[index];
            into.push_back(
                {begin, end, head, kNone, first, spans.first[index + 1] - first, 0, kNone});
            continue;
        }
        items.merges.push_back({begin, end, head, items.slots, parts, 0});
        for (AttendItem item : split)
        {
            item.begin = begin;
            item.end = end;
            item.head = head;
            item.slot = items.slots++;
            into.push_back(item);
        }
    }
}

void makeOnHost(PlanBuilder& b, const AttendInputs& in, const AttendTile& tile,
                const WorkLimits& limits, Work& work)
{
    const KeySpans& spans = *in.list.known;
    uint64_t units = 0;
    for (uint32_t index = 0; index < spans.heads * spans.rows; ++index)
        units += uint64_t(tileCount(in.q_order.blockSize(index % spans.rows), limits)) *
                 unitsOf(uint32_t(spans.keys(index)), limits);
    const uint32_t piece = pieceOf(uint32_t(units), limits);

    Items items;
    for (uint32_t index = 0; index < spans.heads * spans.rows; ++index)
        addRow(items, spans, index, in.q_order, piece, limits);
    const std::vector<AttendItem> ordered = items.inOrder(limits.runs);
    work.items = b.constants(ordered);
    work.item_count = uint32_t(ordered.size());
    work.merge_count = uint32_t(items.merges.size());
    work.text = std::to_string(work.item_count) + " items made with the plan, " +
                std::to_string(work.merge_count) + " tiles of queries are split";
    if (work.merge_count == 0)
        return;
    work.slots = items.slots;
    work.merges = b.constants(items.merges);
    work.partials = b.workspace(partialBytes(b.problem(), tile) * work.slots * work.shares);
}

// The rows are too much alike, or too short, for any to be split.
bool isEven(const List& list, const WorkLimits& limits, uint64_t tiles)
{
    const uint32_t least = uint32_t(tiles * unitsOf(list.min_keys, limits));
    return limits.target < kMinTarget ||
           std::min(list.max_keys, limits.k_len) <= 2 * pieceOf(least, limits);
}

// The items are known but for the spans, which the kernel looks up.
void makeUnsplit(PlanBuilder& b, const AttendInputs& in, const WorkLimits& limits, Work& work)
{
    std::vector<AttendItem> items;
    for (uint32_t row = 0; row < in.q_order.blocks(); ++row)
        for (uint32_t begin = in.q_order.borders[row]; begin < in.q_order.borders[row + 1];
             begin += limits.tile_rows)
            items.push_back({begin, std::min(begin + limits.tile_rows, in.q_order.borders[row + 1]),
                             0, kNone, row, kNone, 0, kNone});
    work.shares = b.problem().heads();
    work.items = b.constants(items);
    work.item_count = uint32_t(items.size());
    work.text = std::to_string(work.item_count) + " items, one per tile of queries: no row is split";
}

void makeOnDevice(PlanBuilder& b, const AttendInputs& in, const AttendTile& tile,
                  const WorkLimits& limits, uint64_t tiles, Work& work)
{
    const uint64_t list_heads = listHeads(b.problem(), in.list);
    const uint64_t parts = ceilDivide(limits.k_len, limits.min_piece);
    work.slots = uint32_t(std::min(uint64_t(limits.target) * 3 / 2, tiles * list_heads * parts));
    work.merge_count = work.slots / 3; // a split row has three parts or more
    work.item_count = roundUp(uint32_t(tiles * list_heads) + work.slots, b.caps().dispatch_runs);
    work.text = "up to " + std::to_string(work.item_count) +
                " items made on the device, which splits rows with more than two fair shares";

    WorkPush push = {};
    push.rows = in.q_order.blocks();
    push.all_rows = uint32_t(list_heads * push.rows);
    push.head_stride = in.list.head_stride;
    push.item_capacity = work.item_count;
    push.merge_capacity = work.merge_count;
    push.limits = limits;
    const Slot borders = b.constants(in.q_order.borders);
    const Slot keys = b.workspace(uint64_t(push.all_rows) * sizeof(uint32_t));
    const Slot offsets = b.workspace(uint64_t(push.all_rows) * 4 * sizeof(uint32_t));
    const Slot totals = b.workspace(2 * sizeof(uint32_t));
    work.items = b.workspace(uint64_t(work.item_count) * sizeof(AttendItem));
    work.merges = b.workspace(uint64_t(work.merge_count) * sizeof(MergeItem));
    work.partials = b.workspace(partialBytes(b.problem(), tile) * work.slots * work.shares);

    const uint32_t row_groups = ceilDivide(push.all_rows, kThreads);
    b.pass(Shader::work_keys, "kept keys of each row")
        .attend()
        .spec({kThreads})
        .push(push)
        .read(offsetof(WorkPush, ranges), in.list.ranges)
        .read(offsetof(WorkPush, spans), in.list.spans)
        .write(offsetof(WorkPush, keys), keys)
        .flatGroups(row_groups, offsetof(WorkPush, first_group));
    b.pass(Shader::work_offsets, "places of work items")
        .attend()
        .spec({std::min(kOffsetThreads, b.caps().max_threads)})
        .push(push)
        .read(offsetof(WorkPush, keys), keys)
        .read(offsetof(WorkPush, borders), borders)
        .write(offsetof(WorkPush, offsets), offsets)
        .write(offsetof(WorkPush, totals), totals)
        .groups(1);
    b.pass(Shader::work_items, "work items")
        .attend()
        .spec({kThreads})
        .push(push)
        .read(offsetof(WorkPush, ranges), in.list.ranges)
        .read(offsetof(WorkPush, spans), in.list.spans)
        .read(offsetof(WorkPush, borders), borders)
        .read(offsetof(WorkPush, keys), keys)
        .read(offsetof(WorkPush, offsets), offsets)
        .read(offsetof(WorkPush, totals), totals)
        .write(offsetof(WorkPush, items), work.items)
        .write(offsetof(WorkPush, merges), work.merges)
        .flatGroups(row_groups, offsetof(WorkPush, first_group));
}

} // namespace

Work makeWork(PlanBuilder& b, const AttendInputs& inputs, const AttendTile& tile)
{
    const Problem& p = b.problem();
    Work work;
    work.shares = p.heads() / listHeads(p, inputs.list);
    const uint32_t tiles = countTiles(inputs.q_order, tile.rows);
    // The list tells of one head that shares it; the device is filled by all of them.
    WorkLimits limits = makeLimits(b.caps(), p, tile, tiles);
    limits.target = std::max(limits.target / work.shares, 1u);
    if (uint64_t(tiles) * p.heads() > kMaxUnits)
        b.fail(LACUNA_ERROR_UNSUPPORTED,
               "the plan has " + std::to_string(uint64_t(tiles) * p.heads()) +
                   " tiles of queries, expected at most " + std::to_string(kMaxUnits));
    else if (inputs.list.known)
        makeOnHost(b, inputs, tile, limits, work);
    else if (isEven(inputs.list, limits, uint64_t(tiles) * listHeads(p, inputs.list)))
        makeUnsplit(b, inputs, limits, work);
    else
        makeOnDevice(b, inputs, tile, limits, tiles, work);
    b.describeWork(work.text);
    return work;
}

void mergeWork(PlanBuilder& b, const Work& work, const AttendTile& tile, Slot order,
               uint32_t order_head, Slot sinks)
{
    if (work.merge_count == 0)
        return;
    const Problem& p = b.problem();
    MergePush push = {};
    push.item_count = work.merge_count;
    push.slots = work.slots;
    push.tile_rows = tile.rows;
    push.q_len = p.q_len;
    push.q_heads = p.q_heads;
    push.order_head = order_head;
    push.out_batch = uint32_t(p.out.batch / 8);
    push.out_head = uint32_t(p.out.head / 8);
    push.out_token = uint32_t(p.out.token / 8);
    const uint32_t chunks = ceilDivide(tile.rows * p.head_dim / 4, kThreads);
    b.pass(Shader::attend_merge, "merge split rows")
        .attend()
        .spec({kThreads, p.head_dim, uint32_t(p.out_dtype), chunks})
        .push(push)
        .read(offsetof(MergePush, merges), work.merges)
        .read(offsetof(MergePush, order), order)
        .read(offsetof(MergePush, partials), work.partials)
        .write(offsetof(MergePush, result), PlanBuilder::caller(Caller::Out))
        .write(offsetof(MergePush, lse), PlanBuilder::caller(Caller::Lse))
        .read(offsetof(MergePush, sinks), sinks)
        .flatGroups(uint64_t(work.merge_count) * work.shares * chunks, offsetof(MergePush, first_group));
}

} // namespace lacuna

// named_order.cpp - one table of names and curves.
//
// SPDX-License-Identifier: Apache-2.0

#include "named_order.h"

#include "curves.h"
#include "token_order.h"

#include <algorithm>
#include <numeric>

namespace lacuna
{
namespace
{

using Curve = std::vector<uint32_t>;

template <AxisOrder kOrder>
Curve axes(const Size3& size, const Size3&)
{
    return axisCurve(size, kOrder);
}

Curve tiles(const Size3& size, const Size3& box)
{
    Curve curve = tileOrder({size}, box).perm;
    if (curve.empty()) // the identity
    {
        curve.resize(size.volume());
        std::iota(curve.begin(), curve.end(), 0u);
    }
    return curve;
}

struct NamedOrder
{
    const char* name;
    bool has_box;
    Curve (*curve)(const Size3& size, const Size3& box);
};

constexpr NamedOrder kOrders[] = {
    {"thw", false, axes<AxisOrder::THW>},
    {"twh", false, axes<AxisOrder::TWH>},
    {"hwt", false, axes<AxisOrder::HWT>},
    {"htw", false, axes<AxisOrder::HTW>},
    {"wht", false, axes<AxisOrder::WHT>},
    {"wth", false, axes<AxisOrder::WTH>},
    {"tile", true, tiles},
    {"voxel", true, voxelCurve},
    {"hilbert", false, [](const Size3& size, const Size3&) { return hilbertCurve(size); }},
    {"gilbert", false, [](const Size3& size, const Size3&) { return gilbertCurve(size); }},
    {"sliced_gilbert", false,
     [](const Size3& size, const Size3&) { return slicedGilbertCurve(size); }},
    {"rotated", false, [](const Size3& size, const Size3&) { return rotatedCurve(size); }},
};

std::string boxText(const Size3& box)
{
    return std::to_string(box.t) + "x" + std::to_string(box.h) + "x" + std::to_string(box.w);
}

} // namespace

std::vector<uint32_t> namedOrder(const std::string& name, const VideoGrid& grid, const Size3* box,
                                 std::string& sentence)
{
    const auto* const found =
        std::find_if(std::begin(kOrders), std::end(kOrders),
                     [&](const NamedOrder& order) { return name == order.name; });
    if (found == std::end(kOrders))
    {
        std::string names;
        for (const NamedOrder& order : kOrders)
            names += (names.empty() ? "" : ", ") + std::string(order.name);
        sentence = "name is '" + name + "', expected one of " + names;
        return {};
    }
    if (found->has_box != (box != nullptr))
    {
        sentence = std::string("box is ") + (box ? boxText(*box) : "NULL") + ", expected " +
                   (found->has_box ? "frames, rows and columns" : "NULL") + " with '" + name + "'";
        return {};
    }
    if (box && box->volume() == 0)
    {
        sentence = "box is " + boxText(*box) + ", expected sides of at least 1";
        return {};
    }
    std::vector<uint32_t> order(grid.tokens());
    std::iota(order.begin(), order.end(), 0u);
    const Curve curve = found->curve(grid.size, box ? *box : Size3{});
    for (size_t i = 0; i < curve.size(); ++i)
        order[grid.text_before + i] = grid.text_before + curve[i];
    return order;
}

} // namespace lacuna

// ctest: label=vk timeout=60 app
// test_order_tool.cpp - `lacuna order`: the index and its inverse as arrays.
//
// SPDX-License-Identifier: Apache-2.0
#include "run_tool.h"

#include <lacuna/lacuna.h>

#include <cstddef>
#include <span>

using namespace lacuna;
using namespace lacuna::test;

TEST_CASE("lacuna order: what the library says, and wrong arguments")
{
    const Folder folder("test_orders_files");
    const Ran ran = runTool(folder.path, "order hilbert --grid 3x5x7 --text-before 2 -o " +
                                             folder.file("o.npy") + " --inverse " +
                                             folder.file("i.npy"));
    INFO(ran.err);
    REQUIRE(ran.status == 0);
    const tool::Array order = tool::readNpy(folder.file("o.npy")),
                      inverse = tool::readNpy(folder.file("i.npy"));
    REQUIRE(order.shape == std::vector<uint64_t>{107});
    REQUIRE(order.dtype == tool::Dtype::U32);
    const LacunaVideoGrid grid = {3, 5, 7, 2, 0};
    std::vector<uint32_t> wanted(107), wanted_inverse(107);
    lacunaGetTokenOrder("hilbert", &grid, nullptr, wanted.data(), wanted_inverse.data(), nullptr,
                        nullptr);
    const auto isSame = [](const tool::Array& array, const std::vector<uint32_t>& index)
    {
        const auto bytes = std::as_bytes(std::span(index));
        return std::equal(array.bytes.begin(), array.bytes.end(), bytes.begin(), bytes.end());
    };
    CHECK(isSame(order, wanted));
    CHECK(isSame(inverse, wanted_inverse));
    const std::string flags = " -o " + folder.file("x.npy");
    checkToolRefuses(folder.path, "order spiral --grid 3x5x7" + flags, "'spiral'");
    checkToolRefuses(folder.path, "order tile --grid 3x5x7" + flags, "box is NULL");
    checkToolRefuses(folder.path, "order thw --grid 3x5" + flags, "--grid is '3x5'");
    checkToolRefuses(folder.path, "order thw --grid 4096x4096x4096" + flags, "tokens");
}

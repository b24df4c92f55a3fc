// order.cpp - `lacuna order`: the tokens of a video in another order, as an index for your own
// tables.
//
// SPDX-License-Identifier: Apache-2.0
#include "command.h"
#include "npy.h"
#include "output.h"

#include <fmt/format.h>

#include <limits>

namespace lacuna::tool
{
namespace
{

struct Flags
{
    std::string name, grid, box, output, inverse;
    uint32_t text_before = 0, text_after = 0;
};

Array indexArray(const std::vector<uint32_t>& index)
{
    const auto bytes = std::as_bytes(std::span(index));
    return {Dtype::U32, {index.size()}, {bytes.begin(), bytes.end()}};
}

void run(const Flags& flags)
{
    const std::vector<uint32_t> sizes = parseSizes(flags.grid, 3, "--grid");
    const LacunaVideoGrid grid = {sizes[0], sizes[1], sizes[2], flags.text_before,
                                  flags.text_after};
    std::vector<uint32_t> box;
    if (!flags.box.empty())
        box = parseSizes(flags.box, 3, "--box");
    const uint32_t* const sides = box.empty() ? nullptr : box.data();

    Messages messages;
    const auto get = [&](uint32_t* order, uint32_t* inverse)
    {
        messages.check(lacunaGetTokenOrder(flags.name.c_str(), &grid, sides, order, inverse,
                                           Messages::receive, &messages));
    };
    get(nullptr, nullptr); // refuses a grid that is too large before there is memory for it
    const size_t tokens = size_t(grid.frames) * grid.height * grid.width + grid.text_before +
                          grid.text_after;
    std::vector<uint32_t> order(tokens), inverse(tokens);
    get(order.data(), inverse.data());

    OutputFile order_file(flags.output);
    order_file.write(formatNpy(indexArray(order)));
    if (!flags.inverse.empty())
    {
        OutputFile inverse_file(flags.inverse);
        inverse_file.write(formatNpy(indexArray(inverse)));
        inverse_file.commit();
    }
    order_file.commit();
    fmt::print("{} {} [{}]\n", flags.name, flags.grid, tokens);
}

} // namespace

void addOrder(CLI::App& app)
{
    CLI::App* const command = app.add_subcommand(
        "order", "an order of a video's tokens, to reorder hidden states and RoPE tables with");
    const auto flags = std::make_shared<Flags>();
    command->add_option("name", flags->name, "thw, hwt, ..., tile, voxel, hilbert, gilbert, "
                                             "sliced_gilbert or rotated")
        ->required();
    command->add_option("--grid", flags->grid, "the video tokens: frames, rows and columns")
        ->required()
        ->type_name("TxHxW");
    command->add_option("--text-before", flags->text_before, "text tokens, which keep their place")
        ->type_name("N");
    command->add_option("--text-after", flags->text_after, "text tokens after the video")
        ->type_name("N");
    command->add_option("--box", flags->box, "of tile and voxel: frames, rows and columns")
        ->type_name("TxHxW");
    command->add_option("-o,--output", flags->output, "uint32 .npy: the token at each place")
        ->required()
        ->type_name("FILE");
    command->add_option("--inverse", flags->inverse, "uint32 .npy: the place of each token")
        ->type_name("FILE");
    command->callback([flags] { run(*flags); });
}

} // namespace lacuna::tool

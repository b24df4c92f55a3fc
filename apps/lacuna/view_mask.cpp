// view_mask.cpp - `lacuna view-mask`: one page that shows which keys a query token keeps.
//
// SPDX-License-Identifier: Apache-2.0
#include "mask_page.h"
#include "output.h"
#include "selection.h"

#include <fmt/format.h>

#include <memory>

namespace lacuna::tool
{
namespace
{

struct Flags
{
    SelectionFlags selection;
    std::string level = "token";
    std::string output;
};

// Sizes that a browser can draw, one pixel a token.
void checkGrid(const LacunaVideoGrid& grid)
{
    const struct
    {
        const char* what;
        uint32_t value, most;
    } sizes[] = {{"--grid has {} frames", grid.frames, 1024},
                 {"--grid has {} rows", grid.height, 4096},
                 {"--grid has {} columns", grid.width, 4096},
                 {"--text-before is {}", grid.text_before, 65536},
                 {"--text-after is {}", grid.text_after, 65536}};
    for (const auto& [what, value, most] : sizes)
        if (value > most)
            throw InputError(fmt::format("{}, the page shows at most {}",
                                         fmt::format(fmt::runtime(what), value), most));
}

MaskPageText describe(const Flags& flags)
{
    const TensorFlags& tensors = flags.selection.tensors;
    MaskPageText text = {
        flags.selection.method.method, flags.selection.method.settings, {}, flags.level};
    const std::pair<const char*, std::string> files[] = {
        {"q", tensors.q}, {"k", tensors.k}, {"q and k", tensors.qkv}};
    for (const auto& [name, path] : files)
        if (!path.empty())
            text.inputs.push_back(fmt::format("{} from {}", name, path));
    return text;
}

void run(Flags& flags)
{
    if (flags.selection.method.grid.empty())
        throw InputError("--grid is missing: the page shows the frames of a video");
    const Selection selection(flags.selection);
    const LacunaVideoGrid& grid = selection.desc().grid;
    checkGrid(grid);
    OutputFile file(flags.output);

    host::Device device = flags.selection.device.open();
    const host::Attention::Kept kept = selection.run(device);
    const std::string page = formatMaskPage(kept, grid, describe(flags));
    file.write(page);
    flags.selection.device.checkValidation(device);
    file.commit();
    fmt::print("{} {} heads {} bytes {} density {:.4f}\n", flags.selection.method.method,
               flags.level, kept.heads, page.size(), kept.density());
}

} // namespace

void addViewMask(CLI::App& app)
{
    CLI::App* const command =
        app.add_subcommand("view-mask", "a page that shows which keys each token of a video keeps");
    const auto flags = std::make_shared<Flags>();
    flags->selection.add(*command, false);
    command
        ->add_option("--level", flags->level,
                     "token: each key; block: whole key blocks, a smaller page")
        ->check(CLI::IsMember({"token", "block"}));
    command->add_option("-o,--output", flags->output, "one .html that needs no other file")
        ->required()
        ->type_name("FILE");
    command->callback([flags] { run(*flags); });
}

} // namespace lacuna::tool

// mask.cpp - `lacuna mask`: which keys a method keeps, as an array and as a picture.
//
// SPDX-License-Identifier: Apache-2.0
#include "command.h"
#include "npy.h"
#include "output.h"
#include "png.h"
#include "registry.h"
#include "tensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

namespace lacuna::tool
{
namespace
{

struct Flags
{
    DeviceFlags device;
    MethodFlags method;
    TensorFlags tensors;
    uint32_t heads = 1;
    uint32_t tokens = 0;
    std::string level = "token";
    std::string output;
    std::string png;
};

// A mask [heads, rows, columns] of 0 and 1.
struct Mask
{
    std::vector<uint8_t> kept;
    uint64_t heads = 0, rows = 0, columns = 0;
};

// The shape from --q and --k, else from --grid or --tokens; static methods need no values.
LacunaPlanDesc describe(Flags& flags, std::optional<Qkv>& qkv)
{
    LacunaPlanDesc desc = {};
    flags.method.apply(desc);
    if (flags.tensors.given())
    {
        qkv = loadQkv(flags.tensors, false);
        qkv->describe(desc);
        desc.dtype = qkv->q.dtype == Dtype::F32 ? LACUNA_DTYPE_F32 : LACUNA_DTYPE_F16;
        return desc;
    }
    const std::string kind = registryRow(flags.method.method)["kind"];
    if (kind == "given")
        throw InputError(fmt::format(
            "method '{}' takes its list from the program that calls it, there is none here",
            flags.method.method));
    if (kind == "dynamic")
        throw InputError(
            fmt::format("method '{}' decides by q and k: --q and --k (or --qkv) are missing",
                        flags.method.method));
    const LacunaVideoGrid& g = desc.grid;
    const uint64_t tokens = flags.method.grid.empty() ? flags.tokens
                                                      : uint64_t(g.frames) * g.height * g.width +
                                                            g.text_before + g.text_after;
    if (tokens == 0 || tokens > 0x7fffffff)
        throw InputError(fmt::format(
            "the number of tokens is {}, expected 1 .. 2147483647: give --grid, --tokens, "
            "or --q and --k",
            tokens));
    desc.batch = 1;
    desc.q_heads = flags.heads;
    desc.q_len = desc.k_len = uint32_t(tokens);
    desc.head_dim = 64; // of no consequence: nothing is attended to
    desc.dtype = LACUNA_DTYPE_F16;
    return desc;
}

host::Buffer upload(host::Device& device, const Tensor& tensor)
{
    const Array array = arrayOfFloats(tensor.values, tensor.shape, tensor.dtype);
    host::Buffer buffer = device.createBuffer(array.bytes.size());
    device.upload(buffer, array.bytes);
    return buffer;
}

host::Attention::Kept select(host::Device& device, const LacunaPlanDesc& desc,
                             const std::optional<Qkv>& qkv)
{
    const host::Attention attention(device, desc);
    host::Buffer q, k;
    if (qkv)
    {
        q = upload(device, qkv->q);
        k = upload(device, qkv->k);
    }
    else
    {
        const uint64_t bytes = uint64_t(desc.q_heads) * desc.q_len * desc.head_dim * 2;
        q = device.createBuffer(bytes);
        k = device.createBuffer(bytes);
    }
    device.run([&](host::Commands& commands)
               { attention.recordSelect(commands, q.memory(), k.memory()); });
    return attention.kept();
}

Mask maskOf(const host::Attention::Kept& kept, const std::string& level)
{
    constexpr double kMaxBytes = 0x1p34;
    const double bytes =
        double(kept.heads) * double(kept.q_order.size()) * double(kept.k_order.size());
    if (level == "token" && bytes > kMaxBytes)
        throw InputError(
            fmt::format("the mask of {} heads and {} x {} tokens has more than {} bytes: "
                        "--level block is smaller",
                        kept.heads, kept.q_order.size(), kept.k_order.size(), kMaxBytes));
    if (level == "token")
        return {kept.tokenMask(), kept.heads, kept.q_order.size(), kept.k_order.size()};
    return {kept.blockMask(), kept.heads, kept.row_borders.size() - 1, kept.key_borders.size() - 1};
}

// White is kept; heads below each other with a grey line between. Small masks are magnified, large
// ones averaged.
std::vector<std::byte> draw(const Mask& mask)
{
    constexpr uint64_t kLargest = 2048, kSmallest = 512;
    const uint64_t longest = std::max(mask.rows, mask.columns);
    const uint64_t shrink = (longest + kLargest - 1) / kLargest;
    const uint64_t grow = std::max<uint64_t>(1, kSmallest / longest);
    const uint64_t height = (mask.rows + shrink - 1) / shrink * grow;
    const uint64_t width = (mask.columns + shrink - 1) / shrink * grow;
    std::vector<uint8_t> pixels(width * (mask.heads * (height + 1) - 1), 128);
    for (uint64_t head = 0; head < mask.heads; ++head)
        for (uint64_t y = 0; y < height; ++y)
            for (uint64_t x = 0; x < width; ++x)
            {
                uint64_t sum = 0, count = 0;
                const uint64_t row = y / grow * shrink, column = x / grow * shrink;
                for (uint64_t i = row; i < std::min(row + shrink, mask.rows); ++i)
                    for (uint64_t j = column; j < std::min(column + shrink, mask.columns);
                         ++j, ++count)
                        sum += mask.kept[(head * mask.rows + i) * mask.columns + j];
                pixels[(head * (height + 1) + y) * width + x] = uint8_t(sum * 255 / count);
            }
    return formatPng(pixels, uint32_t(width), uint32_t(pixels.size() / width), 1);
}

void run(Flags& flags)
{
    std::optional<Qkv> qkv;
    const LacunaPlanDesc desc = describe(flags, qkv);
    OutputFile array_file(flags.output);
    std::optional<OutputFile> png_file;
    if (!flags.png.empty())
        png_file.emplace(flags.png);

    host::Device device = flags.device.open();
    const host::Attention::Kept kept = select(device, desc, qkv);
    throwIfInterrupted();
    Mask mask = maskOf(kept, flags.level);

    if (png_file)
        png_file->write(draw(mask));
    Array array;
    array.dtype = Dtype::U8;
    array.shape = {mask.heads, mask.rows, mask.columns};
    const auto bytes = std::as_bytes(std::span(mask.kept));
    array.bytes.assign(bytes.begin(), bytes.end());
    array_file.write(formatNpy(array));
    flags.device.checkValidation(device);
    array_file.commit();
    if (png_file)
        png_file->commit();
    fmt::print("{} {} level {} density {:.4f}\n", flags.method.method, flags.level,
               array.shapeText(), kept.density());
}

} // namespace

void addMask(CLI::App& app)
{
    CLI::App* const command =
        app.add_subcommand("mask", "which keys a method keeps, as an array and as a picture");
    const auto flags = std::make_shared<Flags>();
    flags->method.add(*command);
    flags->tensors.add(*command, false);
    command->add_option("--heads", flags->heads, "heads, when there is no --q")
        ->check(CLI::PositiveNumber);
    command->add_option("--tokens", flags->tokens,
                        "tokens of a plain sequence, when there is no --grid and no --q");
    command
        ->add_option("--level", flags->level,
                     "token: [B*H, Nq, Nk] in your order; block: [B*H, Mq, Mk]")
        ->check(CLI::IsMember({"token", "block"}));
    command->add_option("-o,--output", flags->output, "uint8 .npy, 1 is kept")
        ->required()
        ->type_name("FILE");
    command->add_option("--png", flags->png, "a picture, white is kept")->type_name("FILE");
    flags->device.add(*command);
    command->callback([flags] { run(*flags); });
}

} // namespace lacuna::tool

// selection.cpp - what a method keeps: flags, a device, a list of spans, and the mask made of it.
//
// SPDX-License-Identifier: Apache-2.0
#include "selection.h"

#include "registry.h"

#include <fmt/format.h>

namespace lacuna::tool
{
namespace
{

host::Buffer upload(host::Device& device, const Tensor& tensor)
{
    const Array array = arrayOfFloats(tensor.values, tensor.shape, tensor.dtype);
    host::Buffer buffer = device.createBuffer(array.bytes.size());
    device.upload(buffer, array.bytes);
    return buffer;
}

void refuseGiven(const std::string& method)
{
    if (registryRow(method)["kind"] == "given")
        throw InputError(fmt::format(
            "method '{}' takes its list from the program that calls it, there is none here",
            method));
}

bool readsV(const std::string& method)
{
    return registryRow(method)["reads_v"];
}

// Without values only what the shape decides can be shown.
void requireStatic(const host::Attention& attention, const std::string& method)
{
    LacunaList list = {};
    lacunaGetPlanList(attention.plan(), &list);
    if (list.region == LACUNA_REGION_CONSTANTS && list.k_order_heads != 0)
        return;
    throw InputError(fmt::format("method '{}' decides by {} (or --qkv) are missing", method,
                                 readsV(method) ? "q, k and v: --q, --k and --v"
                                                : "q and k: --q and --k"));
}

} // namespace

void SelectionFlags::add(CLI::App& command, bool with_tokens)
{
    method.add(command);
    tensors.add(command, true);
    command.add_option("--heads", heads, "heads, when there is no --q")->check(CLI::PositiveNumber);
    if (with_tokens)
        command.add_option("--tokens", tokens,
                           "tokens of a plain sequence, when there is no --grid and no --q");
    device.add(command);
}

Selection::Selection(SelectionFlags& flags)
{
    flags.method.apply(desc_);
    desc_.max_workspace_bytes = UINT64_MAX; // the lists of all heads are wanted together
    if (flags.tensors.given())
    {
        qkv_ = loadQkv(flags.tensors, readsV(flags.method.method));
        qkv_->describe(desc_);
        desc_.dtype = qkv_->dtype();
        return;
    }
    refuseGiven(flags.method.method);
    const LacunaVideoGrid& g = desc_.grid;
    const uint64_t tokens = flags.method.grid.empty() ? flags.tokens
                                                      : uint64_t(g.frames) * g.height * g.width +
                                                            g.text_before + g.text_after;
    if (tokens == 0 || tokens > 0x7fffffff)
        throw InputError(fmt::format(
            "the number of tokens is {}, expected 1 .. 2147483647: give --grid, --tokens, "
            "or --q and --k",
            tokens));
    desc_.batch = 1;
    desc_.q_heads = flags.heads;
    desc_.q_len = desc_.k_len = uint32_t(tokens);
    desc_.head_dim = 64; // of no consequence: nothing is attended to
    desc_.dtype = LACUNA_DTYPE_F16;
}

host::Attention Selection::select(host::Device& device) const
{
    host::Attention attention(device, desc_);
    host::Buffer q, k, v;
    if (qkv_)
    {
        q = upload(device, qkv_->q);
        k = upload(device, qkv_->k);
        if (!qkv_->v.values.empty())
            v = upload(device, qkv_->v);
    }
    else
    {
        requireStatic(attention, desc_.method);
        const uint64_t bytes = uint64_t(desc_.q_heads) * desc_.q_len * desc_.head_dim * 2;
        q = device.createBuffer(bytes);
        k = device.createBuffer(bytes);
    }
    device.run([&](host::Commands& commands)
               { attention.recordSelect(commands, q.memory(), k.memory(), v.memory()); });
    throwIfInterrupted();
    return attention;
}

Mask maskOf(const host::Attention::Kept& kept, const std::string& level)
{
    constexpr double kMaxBytes = 0x1p34;
    const double bytes = double(kept.heads) * kept.queries() * kept.keys();
    if (level == "token" && bytes > kMaxBytes)
        throw InputError(
            fmt::format("the mask of {} heads and {} x {} tokens has more than {} bytes: "
                        "--level block is smaller",
                        kept.heads, kept.queries(), kept.keys(), kMaxBytes));
    if (level == "token")
        return {kept.tokenMask(), kept.heads, kept.queries(), kept.keys()};
    return {kept.blockMask(), kept.heads, kept.row_borders.size() - 1, kept.key_borders.size() - 1};
}

} // namespace lacuna::tool

// selection.h - the flags that say whose mask is wanted, and the selection itself on a device.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "command.h"
#include "tensors.h"

#include <optional>

namespace lacuna::tool
{

// --method, --set, --grid, --text-before, --text-after, --q, --k, --v, --qkv, --heads, --device.
struct SelectionFlags
{
    DeviceFlags device;
    MethodFlags method;
    TensorFlags tensors;
    uint32_t heads = 1;
    uint32_t tokens = 0; // --tokens

    void add(CLI::App& command, bool with_tokens = true);
};

// One selection, described by the flags before a device is opened.
class Selection
{
public:
    // The shape comes from --q and --k, else from --grid or --tokens: static methods need no
    // values. Throws InputError. `flags` must outlive this object.
    explicit Selection(SelectionFlags& flags);

    const LacunaPlanDesc& desc() const { return desc_; }
    host::Attention select(host::Device& device) const; // its kept() is there
    host::Attention::Kept run(host::Device& device) const { return select(device).kept(); }

private:
    LacunaPlanDesc desc_ = {};
    std::optional<Qkv> qkv_;
};

// uint8 [heads, rows, columns], 1 is kept.
struct Mask
{
    std::vector<uint8_t> kept;
    uint64_t heads = 0, rows = 0, columns = 0;
};

// `level` is token (the caller's order) or block (the method's). Throws InputError when it is too
// large.
Mask maskOf(const host::Attention::Kept& kept, const std::string& level);

} // namespace lacuna::tool

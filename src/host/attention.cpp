// attention.cpp - host::Attention: a plan with its memory, and the one-call form for host arrays.
//
// SPDX-License-Identifier: Apache-2.0
#include "choice.h"
#include "impl.h"
#include "slicer.h"

namespace lacuna::host
{

namespace
{

// An error about the kernel names who chose it.
Plan makePlan(Device& device, const Choice& choice)
{
    LacunaPlan plan = nullptr;
    try
    {
        device.check(lacunaCreatePlan(device.context(), &choice.desc(), &plan));
    }
    catch (const Error& error)
    {
        const std::string sentence = error.what();
        if (choice.chosenBy().empty() || sentence.find("tier '") == std::string::npos)
            throw;
        throw Error(error.result(), choice.chosenBy() + ": " + sentence);
    }
    return Plan(plan);
}

} // namespace

Attention::Attention() = default;
Attention::Attention(Attention&&) noexcept = default;
Attention& Attention::operator=(Attention&&) noexcept = default;
Attention::~Attention() = default;

Attention::Attention(Device& device, const LacunaPlanDesc& desc) : device_(&device)
{
    const Choice choice(desc, device.impl_->tuned);
    device.impl_->has_new_kernels = true;
    plan_ = makePlan(device, choice);
    const LacunaPlan plan = plan_.get();
    device.check(lacunaGetPlanInfo(plan, &info_));
    heads_ = desc.batch * desc.q_heads;
    if (info_.constants_bytes != 0)
    {
        std::vector<std::byte> constants(info_.constants_bytes);
        device.check(lacunaWritePlanConstants(plan, constants.data()));
        constants_ = device.createBuffer(info_.constants_bytes);
        device.upload(constants_, constants);
    }
    if (info_.workspace_bytes != 0)
        workspace_ = device.createBuffer(info_.workspace_bytes);
    slicer_ = std::make_unique<Slicer>(device, plan, info_);
}

std::string Attention::explain() const
{
    return text([&](size_t* size, char* json)
                { return lacunaExplainPlan(plan_.get(), size, json); });
}

void Attention::record(Commands& commands, LacunaAttentionBuffers buffers) const
{
    buffers.constants = constants_.memory();
    buffers.workspace = workspace_.memory();
    commands.barrier();
    device_->check(lacunaCmdAttention(commands.handle(), plan_.get(), &buffers));
    commands.barrier();
}

Slices Attention::runSliced(Commands& commands, LacunaAttentionBuffers buffers,
                            double slice_ms) const
{
    buffers.constants = constants_.memory();
    buffers.workspace = workspace_.memory();
    return slicer_->run(commands, buffers, slice_ms);
}

void Attention::recordTimed(Commands& commands, LacunaAttentionBuffers buffers) const
{
    struct Clock
    {
        Commands& commands;
        std::string running; // the pass whose time is being taken

        void next(const char* name)
        {
            if (!running.empty())
                commands.endTimer(running);
            running = name;
            if (!running.empty())
                commands.beginTimer(running);
        }
    } clock = {commands, {}};
    buffers.before_pass = [](void* user, VkCommandBuffer, const char* name)
    {
        static_cast<Clock*>(user)->next(name);
    };
    buffers.before_pass_user = &clock;
    record(commands, buffers);
    clock.next("");
}

static LacunaAttentionBuffers buffersOf(const LacunaMemory& q, const LacunaMemory& k,
                                        const LacunaMemory& v, const LacunaMemory& out,
                                        const LacunaMemory& lse)
{
    LacunaAttentionBuffers buffers = {};
    buffers.q = q;
    buffers.k = k;
    buffers.v = v;
    buffers.out = out;
    buffers.lse = lse;
    return buffers;
}

void Attention::record(Commands& commands, const LacunaMemory& q, const LacunaMemory& k,
                       const LacunaMemory& v, const LacunaMemory& out,
                       const LacunaMemory& lse) const
{
    record(commands, buffersOf(q, k, v, out, lse));
}

void Attention::recordReuse(Commands& commands, const LacunaMemory& q, const LacunaMemory& k,
                            const LacunaMemory& v, const LacunaMemory& out,
                            const LacunaMemory& lse) const
{
    LacunaAttentionBuffers buffers = buffersOf(q, k, v, out, lse);
    buffers.constants = constants_.memory();
    buffers.workspace = workspace_.memory();
    commands.barrier();
    device_->check(lacunaCmdReuse(commands.handle(), plan_.get(), &buffers));
    commands.barrier();
}

void Attention::recordSelect(Commands& commands, const LacunaMemory& q, const LacunaMemory& k,
                             const LacunaMemory& v) const
{
    LacunaAttentionBuffers buffers = {};
    buffers.q = q;
    buffers.k = k;
    buffers.v = v;
    buffers.constants = constants_.memory();
    buffers.workspace = workspace_.memory();
    commands.barrier();
    device_->check(lacunaCmdSelect(commands.handle(), plan_.get(), &buffers));
    commands.barrier();
}

namespace
{

Buffer uploadFloats(Device& device, const char* name, std::span<const float> values,
                    uint64_t expected, LacunaDtype dtype)
{
    if (values.size() != expected)
        throw Error(LACUNA_ERROR_INVALID_ARGUMENT,
                    std::string("attend: ") + name + " has " + std::to_string(values.size()) +
                        " elements, expected " + std::to_string(expected));
    const std::vector<std::byte> bytes = packFloats(values, dtype);
    Buffer buffer = device.createBuffer(bytes.size());
    device.upload(buffer, bytes);
    return buffer;
}

std::vector<float> downloadFloats(Device& device, const Buffer& buffer, LacunaDtype dtype)
{
    std::vector<std::byte> bytes(buffer.size());
    device.download(buffer, bytes);
    return unpackFloats(bytes, dtype);
}

bool isDense(const LacunaStrides& s)
{
    return s.batch == 0 && s.head == 0 && s.token == 0;
}

} // namespace

Result attend(Device& device, const LacunaPlanDesc& desc, std::span<const float> q,
              std::span<const float> k, std::span<const float> v)
{
    if (!isDense(desc.q_strides) || !isDense(desc.k_strides) || !isDense(desc.v_strides) ||
        !isDense(desc.out_strides))
        throw Error(LACUNA_ERROR_INVALID_ARGUMENT,
                    "attend: strides are given, expected dense host arrays");
    const Attention attention(device, desc); // checks the rest of desc

    const uint64_t kv_heads = desc.kv_heads ? desc.kv_heads : desc.q_heads;
    const uint64_t k_len = desc.k_len ? desc.k_len : desc.q_len;
    const uint64_t rows = uint64_t(desc.batch) * desc.q_heads * desc.q_len;
    const uint64_t keys = uint64_t(desc.batch) * kv_heads * k_len;
    const LacunaDtype out_dtype = desc.out_dtype ? desc.out_dtype : desc.dtype;
    const Buffer q_buffer = uploadFloats(device, "q", q, rows * desc.head_dim, desc.dtype);
    const Buffer k_buffer = uploadFloats(device, "k", k, keys * desc.head_dim, desc.dtype);
    const Buffer v_buffer = uploadFloats(device, "v", v, keys * desc.head_dim, desc.dtype);
    const Buffer out =
        device.createBuffer(rows * desc.head_dim * (out_dtype == LACUNA_DTYPE_F32 ? 4 : 2));
    const Buffer lse = device.createBuffer(rows * 4);

    const std::vector<Timing> timings = device.run(
        [&](Commands& commands)
        {
            commands.beginTimer("attend");
            attention.record(commands, q_buffer.memory(), k_buffer.memory(), v_buffer.memory(),
                             out.memory(), lse.memory());
            commands.endTimer("attend");
        });

    Result result;
    result.out = downloadFloats(device, out, out_dtype);
    result.lse = downloadFloats(device, lse, LACUNA_DTYPE_F32);
    result.ms = timings.empty() ? 0 : timings.front().ms;
    result.density =
        attention.info().part_count > 1 ? attention.info().max_density : attention.kept().density();
    result.explain = attention.explain();
    return result;
}

} // namespace lacuna::host

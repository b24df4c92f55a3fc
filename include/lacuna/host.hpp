// host.hpp - the host runtime: Lacuna for programs that have no Vulkan of their own.
//
// SPDX-License-Identifier: Apache-2.0
//
//   host::Device device({});                        // picks a GPU, self-tests it, owns everything below
//   auto q = device.createBuffer(bytes); ...        // device memory with an address
//   host::Attention attention(device, plan_desc);   // plan + constants + workspace
//   device.run([&](host::Commands& c) { attention.record(c, q, k, v, out); });
//
// Errors are thrown as lacuna::Error. Threads: one Device may be used by one thread at a time.
#pragma once

#include "lacuna.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lacuna::host
{

class Device;
class Slicer;
class Tuner;

// What one device is, and which tiers it gets. `describe_json` is lacunaDescribeContext's object.
struct DeviceInfo
{
    uint32_t index = 0;
    std::string name;
    std::string driver; // name and version
    std::string uuid;   // 32 hex digits
    bool is_cpu = false;
    bool is_usable = false;      // false: `reason` says which requirement it lacks
    std::string reason;
    std::string describe_json;   // empty unless usable
};

// Told in one sentence, by the thread that waits, of what may take a minute and happens once: the self-test of a new
// device, driver or build, and kernels that the driver compiles as they first run.
using Notice = std::function<void(const std::string& sentence)>;

// Every Vulkan device of this machine in the loader's order; makes and destroys a VkDevice for each usable one.
// self_test and notice: as in DeviceOptions, so that describe_json says which tiers the device really gets.
std::vector<DeviceInfo> listDevices(bool self_test = true, const Notice& notice = {});

// The same without making a VkDevice: names only, is_usable and describe_json are not filled in.
std::vector<DeviceInfo> listDeviceNames();

struct DeviceOptions
{
    int index = -1;          // as in listDevices; -1: LACUNA_DEVICE, else the first discrete, integrated, other, CPU device
    bool validation = false; // validation and synchronization layers; messages go to validationMessages()
    bool self_test = true;   // known-answer test of each tier; a tier that fails is refused with the reason.
                             // The outcome is kept per device, driver and library under the XDG cache folder
    bool tuned = true;       // plans that leave tier and tuning open get the tile that `lacuna tune` measured here;
                             // it is kept in the same folder
    uint32_t max_shared_bytes = 0; // as in LacunaContextDesc
    Notice notice = {};            // empty: silence
};

enum class Memory
{
    Device,   // fastest for the device; upload() and download() stage as needed
    Upload,   // host writes, device reads; mapped
    Readback, // device writes, host reads; mapped
};

// Device memory with an address. Movable; the Device must outlive it.
class Buffer
{
public:
    Buffer();
    Buffer(Buffer&&) noexcept;
    Buffer& operator=(Buffer&&) noexcept;
    ~Buffer();

    VkDeviceAddress address() const { return address_; }
    uint64_t size() const { return size_; }
    std::byte* mapped() const { return mapped_; } // NULL for Memory::Device
    LacunaMemory memory(uint64_t offset = 0) const { return {address_ + offset, size_ - offset}; }
    LacunaMemory memory(uint64_t offset, uint64_t size) const { return {address_ + offset, size}; }
    explicit operator bool() const { return address_ != 0; }

private:
    friend class Device;
    friend class Commands;
    struct Impl;
    std::unique_ptr<Impl> impl_;
    VkDeviceAddress address_ = 0;
    uint64_t size_ = 0;
    std::byte* mapped_ = nullptr;
};

// A compute pipeline of the program's own: push constants only, buffers by address, entry point `main`.
class Kernel
{
public:
    Kernel();
    Kernel(Kernel&&) noexcept;
    Kernel& operator=(Kernel&&) noexcept;
    ~Kernel();

private:
    friend class Device;
    friend class Commands;
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

struct KernelDesc
{
    const char* name = "";               // shown in captures and validation messages
    std::span<const uint32_t> spirv;     // not copied beyond the call
    std::span<const uint32_t> constants; // specialization constants 0, 1, 2, ...: pass every one
    uint32_t push_bytes = 0;             // <= 128
    uint32_t subgroup_size = 0;          // 0: the device's own choice
};

// A command buffer in recording state. Every dispatch and every attention is ordered after the ones before it.
class Commands
{
public:
    VkCommandBuffer handle() const { return cmd_; }

    void dispatch(const Kernel& kernel, const void* push, uint32_t x, uint32_t y = 1, uint32_t z = 1);
    template <typename Push>
    void dispatch(const Kernel& kernel, const Push& push, uint32_t x, uint32_t y = 1, uint32_t z = 1)
    {
        dispatch(kernel, static_cast<const void*>(&push), x, y, z);
    }
    void copy(const Buffer& from, uint64_t from_offset, const Buffer& to, uint64_t to_offset, uint64_t bytes);
    void fill(const Buffer& buffer, uint64_t offset, uint64_t bytes, uint32_t word);

    // Makes all earlier work visible to all later work. dispatch, copy and Attention::record do it themselves.
    void barrier();

    // Submits what was recorded so far, waits for it, and goes on recording: what follows is a submission of its own.
    void submit();

    // Time between begin and end on the device; spans of one name add up. No-ops when the device has no timestamps.
    void beginTimer(std::string_view name);
    void endTimer(std::string_view name);

private:
    friend class Device;
    friend class Slicer;
    bool hasTimestamps() const;
    uint32_t mark();                                        // a timestamp, after all earlier work
    double betweenMarks(uint32_t begin, uint32_t end) const; // milliseconds, after submit()

    Device* device_ = nullptr;
    VkCommandBuffer cmd_ = VK_NULL_HANDLE;
};

struct Timing
{
    std::string name;
    double ms = 0;
    uint32_t count = 0;
};

// What the program needs for Vulkan calls of its own.
struct Handles
{
    PFN_vkGetInstanceProcAddr get_instance_proc_addr;
    VkInstance instance;
    VkPhysicalDevice physical_device;
    VkDevice device;
    VkQueue queue;
    uint32_t queue_family;
};

class Device
{
public:
    explicit Device(const DeviceOptions& options = {}); // throws Error(LACUNA_ERROR_UNSUPPORTED) when there is none
    ~Device();
    Device(const Device&) = delete;
    Device& operator=(const Device&) = delete;

    const DeviceInfo& info() const;
    const Handles& handles() const;
    LacunaContext context() const;

    Buffer createBuffer(uint64_t bytes, Memory memory = Memory::Device); // zero bytes is an error
    Kernel createKernel(const KernelDesc& desc);

    void upload(const Buffer& buffer, std::span<const std::byte> bytes, uint64_t offset = 0);
    void download(const Buffer& buffer, std::span<std::byte> bytes, uint64_t offset = 0);

    // Records, submits, waits; returns the timers of this run. A lost device throws and stays lost.
    std::vector<Timing> run(const std::function<void(Commands&)>& record);

    // What the validation layers said so far; empty means silence.
    std::vector<std::string> validationMessages() const;

    // The sentence of the last failed call into the context; for Error.
    void check(LacunaResult result) const;

private:
    friend class Attention;
    friend class Commands;
    friend class Buffer;
    friend class Kernel;
    friend class Tuner;
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

// The submissions of attentions that were run in slices.
struct Slices
{
    uint64_t count = 0;
    double ms = 0;         // of all, on the device; by the wall clock where it has no timestamps
    double longest_ms = 0; // of one
    void add(const Slices& other);
};

// One plan with its constants and workspace in device memory. Where desc leaves both tier and tuning open, LACUNA_TIER
// ("scalar") and LACUNA_TILE ("rows_per_lane=2,keys=8") of the environment say what they are, else DeviceOptions::tuned.
class Attention
{
public:
    Attention();
    Attention(Device& device, const LacunaPlanDesc& desc);
    Attention(Attention&&) noexcept;
    Attention& operator=(Attention&&) noexcept;
    ~Attention();

    const LacunaPlanInfo& info() const { return info_; }
    LacunaPlan plan() const { return plan_.get(); }
    std::string explain() const;

    // As lacunaCmdAttention, with barriers before and after.
    void record(Commands& commands, const LacunaMemory& q, const LacunaMemory& k, const LacunaMemory& v,
                const LacunaMemory& out, const LacunaMemory& lse = {}) const;
    // As lacunaCmdReuse: with the keys that were kept last time.
    void recordReuse(Commands& commands, const LacunaMemory& q, const LacunaMemory& k, const LacunaMemory& v,
                     const LacunaMemory& out, const LacunaMemory& lse = {}) const;
    // v is for methods that decide by it.
    void recordSelect(Commands& commands, const LacunaMemory& q, const LacunaMemory& k,
                      const LacunaMemory& v = {}) const;
    // All buffers given, for method `key_spans`; constants and workspace are filled in.
    void record(Commands& commands, LacunaAttentionBuffers buffers) const;
    // The same with a timer around each pass, of its name. Passes that could overlap then do not.
    void recordTimed(Commands& commands, LacunaAttentionBuffers buffers) const;

    // The same bits in submissions of about slice_ms milliseconds on the device, each waited for, so that no watchdog
    // ends it and others get their turn between. What was recorded before is submitted first. Sizes follow from the
    // times of the slices before, also of earlier calls: a first call begins with short ones. The shortest slice is
    // one workgroup, or one column of them.
    Slices runSliced(Commands& commands, LacunaAttentionBuffers buffers, double slice_ms) const;

    // The kept keys after record or recordSelect, downloaded: spans per (b * Hq + h, row), in the method's order. A row
    // is one query where the method lets the queries of its rows differ (LacunaList::windows, boxes). As recordReuse and
    // recordSelect not for a plan in parts, see LacunaPlanDesc::max_workspace_bytes.
    struct Span
    {
        uint32_t begin;
        uint32_t end;
    };
    struct Kept
    {
        uint32_t heads = 0;                   // B * Hq
        std::vector<uint32_t> row_borders;    // [rows + 1]
        std::vector<uint32_t> key_borders;    // [key blocks + 1]
        std::vector<uint32_t> q_order;        // [Nq] or [Hq, Nq], method's position -> caller's token
        std::vector<uint32_t> k_order;        // [Nk], [Hq, Nk] or [B * Hq, Nk]
        std::vector<std::vector<Span>> spans; // [heads * rows]
        uint32_t queries() const { return row_borders.back(); } // Nq
        uint32_t keys() const { return key_borders.back(); }    // Nk
        // The caller's token at a position of the method's order, for slice b * Hq + h.
        uint32_t queryToken(uint32_t slice, uint32_t position) const
        {
            return q_order[uint64_t(slice) * queries() % q_order.size() + position];
        }
        uint32_t keyToken(uint32_t slice, uint32_t position) const
        {
            return k_order[uint64_t(slice) * keys() % k_order.size() + position];
        }
        double density() const;               // kept pairs / all pairs
        // uint8 [heads, Nq, Nk] in the caller's order / [heads, rows, key blocks] in the method's order
        std::vector<uint8_t> tokenMask() const;
        std::vector<uint8_t> blockMask() const;
    };
    Kept kept() const;

private:
    Device* device_ = nullptr;
    Plan plan_;
    LacunaPlanInfo info_ = {};
    uint32_t heads_ = 0; // B * Hq
    Buffer constants_;
    Buffer workspace_;
    std::unique_ptr<Slicer> slicer_;
};

// One call for host arrays; fp32 in and out, computed as desc.dtype says (fp16 inputs are rounded on upload).
struct Result
{
    std::vector<float> out; // [B, Hq, Nq, D]
    std::vector<float> lse; // [B, Hq, Nq]
    double ms = 0;          // device time of lacunaCmdAttention, 0 where the device has no timestamps
    double density = 0;     // for a plan in parts LacunaPlanInfo::max_density
    std::string explain;    // lacunaExplainPlan
};
Result attend(Device& device, const LacunaPlanDesc& desc, std::span<const float> q, std::span<const float> k,
              std::span<const float> v);

// One kernel on one small attention against the double-precision reference.
struct SelfTestRow
{
    std::string tier;  // "scalar"
    std::string shape; // "dense H=2/1 N=77x77 D=64 f16"
    double error = 0;  // largest over the output, and what rounding alone may cost
    double bound = 0;
    double lse_error = 0;
    double lse_bound = 0;
    std::string skipped; // the reason why it did not run; empty when it did
    bool passed() const; // within both bounds, or skipped
};

// thorough: more head dims, lengths, fp32 inputs and a sparse method. Open the device without self_test to see a tier
// that would be refused.
std::vector<SelfTestRow> selfTest(Device& device, LacunaTier tier, bool thorough);

// One tile of the micro-benchmark.
struct TuneRow
{
    std::string tier;    // "scalar"
    std::string tuning;  // "rows_per_lane=2,keys=8"; empty: the tier's default
    std::string tile;    // as explain() describes it
    double ms = 0;       // median
    std::string refused; // why it takes no part: its result is wrong, say; empty: it does
    bool is_default = false; // what runs without tuning
    bool is_best = false;
};

// Times a handful of tiles of each tier that the device gets by itself, on a dense attention. The best one, if it beats
// the default by more than noise, is what plans with this dtype and head_dim get from now on, also in later runs.
// `progress` hears how many of how many runs are done.
std::vector<TuneRow> tune(Device& device, LacunaDtype dtype, uint32_t head_dim,
                          const std::function<void(size_t done, size_t all)>& progress = {});
// The tiers that are tested when a device is opened: not coopmat2 on a CPU, which takes minutes to compile it and never
// gets it unasked.
std::vector<LacunaTier> testedTiers(const Device& device);

// "auto", "scalar", "coopmat", "coopmat2"; nothing for other names.
const char* tierName(LacunaTier tier);
std::optional<LacunaTier> tierNamed(std::string_view name);

// IEEE half precision, round to nearest even.
uint16_t toHalf(float value);
float fromHalf(uint16_t bits);
// The upper 16 bits of an fp32, likewise.
uint16_t toBfloat16(float value);
float fromBfloat16(uint16_t bits);

// The bytes of a tensor of that type, and back.
std::vector<std::byte> packFloats(std::span<const float> values, LacunaDtype dtype);
std::vector<float> unpackFloats(std::span<const std::byte> bytes, LacunaDtype dtype);

} // namespace lacuna::host

// test_host.cpp - the host runtime: devices, memory, commands, timers, and errors that leave it usable.
//
// SPDX-License-Identifier: Apache-2.0
// ctest: label=vk timeout=300
#include "harness.h"

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>

using namespace lacuna;
using namespace lacuna::test;

namespace
{

// The sentence of the Error that `call` throws; empty when it does not.
template <typename Call>
std::string errorOf(const Call& call)
{
    try
    {
        call();
        return "";
    }
    catch (const Error& error)
    {
        return error.what();
    }
}

bool contains(const std::string& text, const std::string& part)
{
    return text.find(part) != std::string::npos;
}

std::vector<std::byte> pattern(size_t size)
{
    std::vector<std::byte> bytes(size);
    for (size_t i = 0; i < size; ++i)
        bytes[i] = std::byte(i * 7 + i / 251);
    return bytes;
}

LacunaPlanDesc smallPlan()
{
    LacunaPlanDesc desc = {};
    desc.method = "dense";
    desc.batch = desc.q_heads = 1;
    desc.q_len = 20;
    desc.head_dim = 16;
    desc.dtype = LACUNA_DTYPE_F32;
    return desc;
}

} // namespace

TEST_CASE("half precision: every value survives, ties go to even, the ends saturate")
{
    for (uint32_t bits = 0; bits < 65536; ++bits)
    {
        const float value = host::fromHalf(uint16_t(bits));
        if (std::isnan(value))
            CHECK(std::isnan(host::fromHalf(host::toHalf(value))));
        else if (host::toHalf(value) != bits)
            FAIL("half ", bits, " becomes ", host::toHalf(value));
    }
    CHECK(host::toHalf(1 + 0x1p-11f) == host::toHalf(1));
    CHECK(host::fromHalf(host::toHalf(1 + 3 * 0x1p-11f)) == 1 + 0x1p-9f);
    CHECK(host::fromHalf(host::toHalf(65519)) == 65504);
    CHECK(std::isinf(host::fromHalf(host::toHalf(65520))));
    CHECK(host::fromHalf(host::toHalf(0x1p-24f)) == 0x1p-24f);
    CHECK(host::toHalf(0x1p-25f) == 0);
    CHECK(host::toHalf(-0x1.8p-25f) == 0x8001);
}

TEST_CASE("devices are listed with what they can do")
{
    const std::vector<host::DeviceInfo> devices = host::listDevices(false);
    REQUIRE(!devices.empty());
    for (size_t i = 0; i < devices.size(); ++i)
    {
        CHECK(devices[i].index == i);
        CHECK(!devices[i].name.empty());
        CHECK(devices[i].uuid.size() == 32);
        CHECK(devices[i].is_usable == devices[i].reason.empty());
        CHECK(devices[i].is_usable == !devices[i].describe_json.empty());
    }
    CHECK(contains(errorOf([] { host::Device device({.index = 1000}); }), "device 1000 does not exist"));
}

#ifndef _WIN32
TEST_CASE("LACUNA_DEVICE chooses by index and by a part of the name")
{
    const std::vector<host::DeviceInfo> devices = host::listDeviceNames();
    setenv("LACUNA_DEVICE", "0", 1);
    CHECK(host::Device({.self_test = false}).info().index == 0);
    setenv("LACUNA_DEVICE", devices[0].name.substr(0, 4).c_str(), 1);
    CHECK(host::Device({.self_test = false}).info().name.substr(0, 4) == devices[0].name.substr(0, 4));
    setenv("LACUNA_DEVICE", "no such device", 1);
    CHECK(contains(errorOf([] { host::Device device({.self_test = false}); }),
                   "LACUNA_DEVICE is 'no such device', expected the index or a part of the name of one of 0 ("));
    unsetenv("LACUNA_DEVICE");
}
#endif

TEST_CASE("bytes reach the device and come back, in every kind of memory and in pieces")
{
    const std::vector<std::byte> bytes = pattern(1000);
    for (const host::Memory memory : {host::Memory::Device, host::Memory::Upload, host::Memory::Readback})
    {
        const host::Buffer buffer = device().createBuffer(1500, memory);
        CHECK(buffer.address() % 256 == 0);
        CHECK((buffer.mapped() == nullptr) == (memory == host::Memory::Device));
        device().upload(buffer, bytes, 100);
        std::vector<std::byte> back(400);
        device().download(buffer, back, 350);
        CHECK(std::memcmp(back.data(), bytes.data() + 250, back.size()) == 0);
    }
}

TEST_CASE("copy and fill are ordered as recorded")
{
    const std::vector<std::byte> bytes = pattern(64);
    const host::Buffer a = device().createBuffer(64), b = device().createBuffer(64);
    device().upload(a, bytes);
    device().run(
        [&](host::Commands& commands)
        {
            commands.copy(a, 0, b, 32, 32);
            commands.fill(a, 0, 64, 0x01020304);
            commands.copy(a, 0, b, 0, 32);
        });
    std::vector<std::byte> back(64);
    device().download(b, back);
    CHECK(back[0] == std::byte(4));
    CHECK(std::memcmp(back.data() + 32, bytes.data(), 32) == 0);
}

TEST_CASE("ranges outside a buffer, empty buffers and odd fills are refused")
{
    const host::Buffer buffer = device().createBuffer(64);
    std::vector<std::byte> bytes(32);
    constexpr uint64_t kHuge = std::numeric_limits<uint64_t>::max() - 8;
    CHECK(contains(errorOf([&] { device().createBuffer(0); }), "0 bytes"));
    CHECK(contains(errorOf([&] { device().createBuffer(1ull << 50); }), "the size is 1125899906842624 bytes"));
    CHECK(contains(errorOf([&] { device().upload(buffer, bytes, 33); }), "bytes 33 .. 65"));
    CHECK(contains(errorOf([&] { device().download(buffer, bytes, kHuge); }), "outside a buffer of 64 bytes"));
    const auto record = [&](auto&& what) { return errorOf([&] { device().run(what); }); };
    CHECK(contains(record([&](host::Commands& c) { c.copy(buffer, 0, buffer, 60, 8); }), "60 .. 68"));
    CHECK(contains(record([&](host::Commands& c) { c.fill(buffer, 2, 4, 0); }), "multiples of 4"));
    CHECK(contains(record([&](host::Commands& c) { c.endTimer("x"); }), "'x' was not begun"));
    CHECK(contains(record([&](host::Commands& c) { c.beginTimer("x"); }), "'x' was not ended"));
    CHECK(contains(errorOf([&] { device().createKernel({.name = "k"}); }), "createKernel 'k': the SPIR-V is empty"));
    const uint32_t word = 0x07230203;
    CHECK(contains(errorOf([&] { device().createKernel({.name = "k", .spirv = {&word, 1}, .push_bytes = 132}); }),
                   "push_bytes is 132"));
    device().run([&](host::Commands& c) { c.fill(buffer, 0, 64, 0); }); // still usable
}

TEST_CASE("timers of one name add up, and many fit")
{
    const host::Buffer buffer = device().createBuffer(64);
    const std::vector<host::Timing> timings = device().run(
        [&](host::Commands& commands)
        {
            commands.beginTimer("outer");
            for (int i = 0; i < 300; ++i)
            {
                commands.beginTimer("inner");
                commands.fill(buffer, 0, 64, uint32_t(i));
                commands.endTimer("inner");
            }
            commands.endTimer("outer");
        });
    if (timings.empty())
        return skip("timers", "the device has no timestamps");
    REQUIRE(timings.size() == 2);
    CHECK(timings[0].name == "outer");
    CHECK(timings[0].count == 1);
    CHECK(timings[1].count == 300);
    CHECK(timings[1].ms > 0);
    CHECK(timings[0].ms >= timings[1].ms);
    CHECK(device().run([](host::Commands&) {}).empty());
}

TEST_CASE("one call serves host arrays, and says what does not fit")
{
    const LacunaPlanDesc desc = smallPlan();
    const std::vector<float> q(20 * 16, 0.5f), v(20 * 16, 2);
    const host::Result result = host::attend(device(), desc, q, q, v);
    CHECK(result.out.size() == v.size());
    for (const float value : result.out)
        CHECK(value == doctest::Approx(2));
    CHECK(result.lse[0] == doctest::Approx(0.25 * 16 / 4 + std::log(20.0)));
    CHECK(result.density == 1);
    CHECK(contains(result.explain, "\"dense\""));
    CHECK(contains(errorOf([&] { host::attend(device(), desc, q, {}, v); }), "k has 0 elements, expected 320"));
    LacunaPlanDesc strided = desc;
    strided.q_strides.token = 32;
    CHECK(contains(errorOf([&] { host::attend(device(), strided, q, q, v); }), "strides"));
    LacunaPlanDesc wrong = desc;
    wrong.head_dim = 12;
    CHECK(contains(errorOf([&] { host::attend(device(), wrong, q, q, v); }), "head_dim is 12"));
}

TEST_CASE("the quick self-test passes on this device")
{
    for (const LacunaTier tier : {LACUNA_TIER_SCALAR, LACUNA_TIER_COOPMAT})
        for (const host::SelfTestRow& row : host::selfTest(device(), tier, false))
        {
            INFO(row.tier, " ", row.shape, " error ", row.error, " LSE ", row.lse_error);
            if (!row.skipped.empty())
                skip(row.tier + " " + row.shape, row.skipped);
            CHECK(row.passed());
        }
    host::SelfTestRow bad;
    bad.error = std::numeric_limits<double>::quiet_NaN();
    bad.bound = 1;
    CHECK(!bad.passed());
}

#ifndef _WIN32
// Puts `content` into a cache file, behind a header that tells the truth about it.
void forge(const std::filesystem::path& file, const std::string& content)
{
    uint64_t header[3] = {0x3165686361636c6cull, content.size(), 0xcbf29ce484222325ull};
    for (const char c : content)
        header[2] = (header[2] ^ uint8_t(c)) * 0x100000001b3ull;
    std::ofstream(file, std::ios::binary).write(reinterpret_cast<const char*>(header), sizeof(header))
        << content;
}

TEST_CASE("a remembered self-test counts for the same shaders only")
{
    namespace fs = std::filesystem;
    const fs::path root = fs::absolute("test_host_outcome");
    fs::remove_all(root);
    const char* const before = std::getenv("XDG_CACHE_HOME");
    const std::string saved = before ? before : "";
    setenv("XDG_CACHE_HOME", root.c_str(), 1);
    const auto open = [] { return host::Device({.validation = false}).info().describe_json; };
    const std::string honest = open();
    fs::path file;
    for (const fs::directory_entry& entry : fs::directory_iterator(root / "lacuna"))
        if (entry.path().filename().string().starts_with("selftest-"))
            file = entry.path();
    REQUIRE(!file.empty());

    forge(file, honest + "\ncoopmat\tbroken by hand\n");
    CHECK(contains(open(), "broken by hand"));
    std::string other = honest;
    const std::string key = "\"shaders\": \"";
    const size_t digit = other.find(key) + key.size();
    REQUIRE(digit < other.size());
    other[digit] = other[digit] == '0' ? '1' : '0';
    forge(file, other + "\ncoopmat\tbroken by hand\n");
    CHECK(open() == honest);
    fs::remove_all(root);
    saved.empty() ? unsetenv("XDG_CACHE_HOME") : setenv("XDG_CACHE_HOME", saved.c_str(), 1);
}

TEST_CASE("caches are made, used, and harmless when damaged or switched off")
{
    namespace fs = std::filesystem;
    const fs::path root = fs::absolute("test_host_cache");
    fs::remove_all(root);
    const char* const before = std::getenv("XDG_CACHE_HOME");
    const std::string saved = before ? before : "";
    setenv("XDG_CACHE_HOME", root.c_str(), 1);
    setenv("LACUNA_NO_CACHE", "1", 1);
    {
        host::Device quiet({.self_test = false});
    }
    CHECK(!fs::exists(root / "lacuna"));
    unsetenv("LACUNA_NO_CACHE");
    const auto open = [] { return host::Device({.validation = false}).info().describe_json; };
    const std::string first = open();
    REQUIRE(fs::exists(root / "lacuna"));
    for (const fs::directory_entry& entry : fs::directory_iterator(root / "lacuna"))
        fs::resize_file(entry.path(), fs::file_size(entry.path()) / 2);
    CHECK(open() == first);
    CHECK(open() == first);
    fs::remove_all(root);
    saved.empty() ? unsetenv("XDG_CACHE_HOME") : setenv("XDG_CACHE_HOME", saved.c_str(), 1);
}
#endif

// cache.cpp - cache files: one folder, a checksum, whole replacement.
//
// SPDX-License-Identifier: Apache-2.0
#include "cache.h"

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>

namespace lacuna::host
{
namespace
{

namespace fs = std::filesystem;

constexpr uint64_t kMagic = 0x3165686361636c6cull; // "llcache1"

struct Header
{
    uint64_t magic = kMagic;
    uint64_t size_bytes = 0;
    uint64_t checksum = 0;
};

std::string environment(const char* name)
{
    const char* value = std::getenv(name);
    return value ? value : "";
}

bool isSwitchedOff()
{
    const std::string value = environment("LACUNA_NO_CACHE");
    return !value.empty() && value != "0";
}

fs::path folder()
{
    if (const std::string xdg = environment("XDG_CACHE_HOME"); fs::path(xdg).is_absolute())
        return fs::path(xdg) / "lacuna";
#ifdef _WIN32
    const std::string home = environment("LOCALAPPDATA");
    return home.empty() ? fs::path() : fs::path(home) / "lacuna" / "cache";
#else
    const std::string home = environment("HOME");
    return home.empty() ? fs::path() : fs::path(home) / ".cache" / "lacuna";
#endif
}

// FNV-1a: finds damage, not malice; the folder is as trusted as the program.
uint64_t checksum(std::span<const std::byte> bytes)
{
    uint64_t hash = 0xcbf29ce484222325ull;
    for (const std::byte byte : bytes)
        hash = (hash ^ uint64_t(byte)) * 0x100000001b3ull;
    return hash;
}

} // namespace

std::optional<std::vector<std::byte>> readCache(const std::string& name)
{
    if (isSwitchedOff() || folder().empty())
        return std::nullopt;
    std::ifstream file(folder() / name, std::ios::binary);
    std::vector<char> chars((std::istreambuf_iterator<char>(file)),
                            std::istreambuf_iterator<char>());
    Header header;
    if (!file || chars.size() < sizeof(header))
        return std::nullopt;
    std::memcpy(&header, chars.data(), sizeof(header));
    const auto bytes = std::as_bytes(std::span(chars)).subspan(sizeof(header));
    if (header.magic != kMagic || header.size_bytes != bytes.size() ||
        header.checksum != checksum(bytes))
        return std::nullopt;
    return std::vector<std::byte>(bytes.begin(), bytes.end());
}

void writeCache(const std::string& name, std::span<const std::byte> bytes)
{
    if (isSwitchedOff() || folder().empty())
        return;
    std::error_code error;
    fs::create_directories(folder(), error);
    const fs::path path = folder() / name;
    const fs::path temporary = path.string() + "." + std::to_string(std::random_device()());
    {
        std::ofstream file(temporary, std::ios::binary);
        const Header header = {kMagic, bytes.size(), checksum(bytes)};
        file.write(reinterpret_cast<const char*>(&header), sizeof(header));
        file.write(reinterpret_cast<const char*>(bytes.data()), std::streamsize(bytes.size()));
        file.close();
        if (!file)
        {
            fs::remove(temporary, error);
            return;
        }
    }
    fs::rename(temporary, path, error);
    if (error)
        fs::remove(temporary, error);
}

} // namespace lacuna::host

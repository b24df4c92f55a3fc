// vector_width.cpp - looks at the machine in a child process, since lavapipe fixes its vector width
// at first sight.
//
// SPDX-License-Identifier: Apache-2.0
#include "vector_width.h"

#include <lacuna/host.hpp>

#include <algorithm>
#include <cstdlib>
#include <string_view>
#include <vector>

#if defined(__linux__) && defined(__x86_64__)
#include <sys/wait.h>
#include <unistd.h>
#endif

namespace lacuna::tool
{
namespace
{

using namespace std::string_view_literals;

#if defined(__linux__) && defined(__x86_64__)

bool isSet(const char* name)
{
    const char* const value = std::getenv(name);
    return value && *value;
}

bool allAreLavapipe()
{
    const std::vector<host::DeviceInfo> devices = host::listDeviceNames();
    return !devices.empty() &&
           std::all_of(devices.begin(), devices.end(), [](const host::DeviceInfo& device)
                       { return device.name.starts_with("llvmpipe"); });
}

// In a child, which dies with all that the driver fixed.
bool allAreLavapipeInChild()
{
    const pid_t child = fork();
    if (child == 0)
    {
        bool yes = false;
        try
        {
            yes = allAreLavapipe();
        }
        catch (const Error&) // no Vulkan: the command will say so
        {
        }
        _exit(yes ? 0 : 1);
    }
    int status = 1;
    return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) &&
           WEXITSTATUS(status) == 0;
}

// coopmat needs the default width: Mesa 26.1's lavapipe advertises 8x8x8 at 512 bits and crashes on
// it.
bool runsScalarOnly(int argc, const char* const* argv)
{
    const std::vector<std::string_view> words(argv + 1, argv + argc);
    // The rows of a list may follow the kernel's tile, and that the width: all that show or run one
    // agree.
    constexpr std::string_view kCommands[] = {"attend",   "bench",    "calibrate", "generate",
                                              "mask", "simulate", "tune",      "view-mask"};
    const bool computes = !words.empty() && std::find(std::begin(kCommands), std::end(kCommands),
                                                      words[0]) != std::end(kCommands);
    if (const char* const tier = std::getenv("LACUNA_TIER"); tier && tier == "coopmat"sv)
        return false;
    for (size_t i = 1; i < words.size(); ++i)
        if ((words[i].starts_with("--tier=") || words[i - 1] == "--tier") &&
            words[i].find("coopmat") != std::string_view::npos)
            return false;
    return computes;
}

#endif

} // namespace

#if defined(__linux__) && defined(__x86_64__)

void chooseVectorWidth(int argc, const char* const* argv)
{
    if (isSet("LP_NATIVE_VECTOR_WIDTH") || !__builtin_cpu_supports("avx512f") ||
        !runsScalarOnly(argc, argv) || !allAreLavapipeInChild())
        return;
    setenv("LP_NATIVE_VECTOR_WIDTH", "512", 1);
}

std::string explainVectorWidth()
{
    if (isSet("LP_NATIVE_VECTOR_WIDTH") || !__builtin_cpu_supports("avx512f") || !allAreLavapipe())
        return "";
    return "commands that run or show a method set LP_NATIVE_VECTOR_WIDTH=512 on this CPU, where the "
           "scalar tier is faster and coopmat would crash; --tier coopmat, or a value of your own, "
           "keeps the driver's 256.";
}

#else

void chooseVectorWidth(int, const char* const*) {}

std::string explainVectorWidth()
{
    return "";
}

#endif

} // namespace lacuna::tool

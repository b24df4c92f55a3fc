// test_tool_device.cpp - the tool and its device: what it is, its self-test, a first run, Ctrl-C,
// and none at all. ctest: label=vk timeout=400 app
//
// SPDX-License-Identifier: Apache-2.0
#include "run_tool.h"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <cstdlib>
#include <filesystem>

using namespace lacuna::test;
namespace fs = std::filesystem;
using Json = nlohmann::json;

namespace
{

const fs::path kFolder = "test_tool_device_files";

} // namespace

TEST_CASE("devices: text, JSON, and a wrong LACUNA_DEVICE")
{
    const Folder folder(kFolder);
    const Ran text = runTool(kFolder, "devices");
    CHECK(text.status == 0);
    CHECK(contains(text.out, "scalar"));
    CHECK(contains(text.out, "coopmat"));
    const Ran json = runTool(kFolder, "devices --json");
    CHECK(json.status == 0);
    const Json parsed = Json::parse(json.out);
    REQUIRE(!parsed["devices"].empty());
    const Json& device = parsed["devices"][0];
    for (const char* key : {"index", "device", "driver", "uuid", "usable", "reason", "tiers"})
        CHECK(device.contains(key));
    for (const Json& tier : device["tiers"])
        CHECK((tier["available"].get<bool>() || tier["reason"] != ""));
}

TEST_CASE("selftest prints a table and passes")
{
    const Folder folder(kFolder);
    const Ran ran = runTool(kFolder, "selftest --quick");
    INFO(ran.out, ran.err);
    CHECK(ran.status == 0);
    CHECK(contains(ran.out, "scalar   dense"));
    CHECK(contains(ran.out, " 0 failed"));
    CHECK(Json::parse(runTool(kFolder, "selftest --quick --tier scalar --json").out)["failed"] ==
          0);
    checkToolRefuses(kFolder, "selftest --device 999", "device 999 does not exist");
    checkToolRefuses(kFolder, "selftest --tier fast", "fast");
}

#ifndef _WIN32
TEST_CASE("a first run says what it waits for")
{
    const Folder folder(kFolder);
    const std::string cache = fs::absolute(folder.file("cache")).string();
    const auto attend = [&](const std::string& variables)
    {
        return runCommand(kFolder, "XDG_CACHE_HOME=" + cache + variables + " \"" + LACUNA_TOOL +
                                       "\" attend --method dense --random 1x1x16x64 --sums f16");
    };
    const Ran untested = attend("");
    INFO(untested.err);
    CHECK(untested.status == 0);
    CHECK(contains(untested.notes, "note: the first run on "));
    // No kernel compiles longer.
    const Ran cold = attend(" MESA_SHADER_CACHE_DISABLE=true");
    INFO(cold.err);
    CHECK(cold.status == 0);
    CHECK(!contains(cold.notes, "note: the first run on "));
    if (contains(cold.out, "llvmpipe"))
        CHECK(contains(cold.notes, "has to compile them"));
    fs::remove_all(cache);
}

TEST_CASE("Ctrl-C ends a run with status 130 and leaves no file behind")
{
    const Folder folder(kFolder);
    const auto before = std::distance(fs::directory_iterator(kFolder), fs::directory_iterator());
    const std::string script = std::string("\"") + LACUNA_TOOL +
                               "\" attend --method dense --random 1x1x512x64 " +
                               "--repeat 10000 -o " + folder.file("o.npy") + " 2>" +
                               folder.file("stderr") + " & sleep 3; kill -INT $!; wait $!";
    const int status = std::system(script.c_str());
    CHECK(WEXITSTATUS(status) == 130);
    std::string err = lacuna::tool::readFile(folder.file("stderr"));
    takeNotes(err);
    CHECK(err == "lacuna: interrupted\n");
    fs::remove(folder.file("stderr"));
    CHECK(std::distance(fs::directory_iterator(kFolder), fs::directory_iterator()) == before);
}

TEST_CASE("a machine without Vulkan has status 3")
{
    const Folder folder(kFolder);
    const char* const saved = std::getenv("VK_DRIVER_FILES");
    const std::string before = saved ? saved : "";
    setenv("VK_DRIVER_FILES", "/nonexistent.json", 1);
    const Ran ran = runTool(kFolder, "attend --method dense --random 1x1x8x8");
    CHECK(ran.status == 3);
    CHECK(contains(ran.err, "Vulkan"));
    CHECK(runTool(kFolder, "devices").status == 3);
    before.empty() ? unsetenv("VK_DRIVER_FILES") : setenv("VK_DRIVER_FILES", before.c_str(), 1);
}
#endif

// test_page.cpp - clicks through the page of `lacuna view-mask` in headless Chromium.
//
// SPDX-License-Identifier: Apache-2.0
// ctest: label=vk timeout=300 app
//
// `./dev page` runs it where Chromium is installed. LACUNA_CHROMIUM names the program; when it is
// set, a missing one is a failure and no skip.
#include "harness.h"
#include "run_tool.h"

#include <lacuna/npy.h>

#include <nlohmann/json.hpp>

using namespace lacuna;
using namespace lacuna::test;
using namespace lacuna::tool;
namespace fs = std::filesystem;
using Json = nlohmann::json;

namespace
{

const fs::path kFolder = "test_page_files";

std::string file(const char* name)
{
    return (kFolder / name).string();
}

// "0110..." for each row of each head.
Json linesOf(const Array& mask)
{
    Json heads = Json::array();
    for (uint64_t i = 0; i < mask.shape[0] * mask.shape[1]; ++i)
    {
        if (i % mask.shape[1] == 0)
            heads.push_back(Json::array());
        std::string line;
        for (uint64_t j = 0; j < mask.shape[2]; ++j)
            line += mask.bytes[i * mask.shape[2] + j] == std::byte(1) ? '1' : '0';
        heads.back().push_back(line);
    }
    return heads;
}

// The page with the masks that it should show and the script that clicks at its end.
std::string pageThatClicks()
{
    const std::string arguments = "--method block_topk --set tile=2x2x2 --set keep_ratio=0.3 " +
                                  writeSmallQk(kFolder) + " -o ";
    const std::string outputs[] = {"view-mask " + arguments + file("page.html"),
                                   "mask " + arguments + file("token.npy"),
                                   "mask --level block " + arguments + file("block.npy")};
    for (const std::string& command : outputs)
    {
        const Ran ran = runTool(kFolder, command);
        INFO(command, "\n", ran.err);
        REQUIRE(ran.status == 0);
    }
    const Json wanted = {{"token", linesOf(readNpy(file("token.npy")))},
                         {"block", linesOf(readNpy(file("block.npy")))}};
    return readFile(file("page.html")) + "<script>const wanted = " + wanted.dump() + ";\n" +
           readFile(LACUNA_TEST_DIR "/view_mask_clicks.js") + "</script>\n";
}

} // namespace

TEST_CASE("clicks, keys and the scrub bar show what the mask says")
{
    fs::remove_all(kFolder);
    fs::create_directory(kFolder);
    const char* const named = std::getenv("LACUNA_CHROMIUM");
    const std::string chromium = named ? named : "chromium";
    const bool is_there = runCommand(kFolder, "command -v '" + chromium + "'").status == 0;
    if (!is_there && !named)
    {
        skip("the page in Chromium", "there is no program 'chromium' here, ./dev page has one");
        return;
    }
    INFO("LACUNA_CHROMIUM is ", chromium);
    REQUIRE(is_there);

    writeFile(file("clicks.html"), pageThatClicks());
    const std::string common =
        "'" + chromium +
        "' --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --user-data-dir=" +
        fs::absolute(kFolder / "profile").string() + " --window-size=1200,900 --dump-dom ";
    for (const char* scheme : {"light", "dark"})
    {
        const Ran ran = runCommand(
            kFolder, common + "--blink-settings=preferredColorScheme=" +
                         (std::string(scheme) == "dark" ? "0" : "1") + " 'file://" +
                         fs::absolute(file("clicks.html")).string() + "#" + scheme + "'");
        const size_t from = ran.out.find("<pre id=\"result\">"), to = ran.out.find("</pre>", from);
        INFO(scheme, ", stderr of Chromium: ", ran.err);
        REQUIRE(ran.status == 0);
        REQUIRE(from != std::string::npos);
        const std::string result = ran.out.substr(from + 17, to - from - 17);
        MESSAGE(scheme, ": ", result);
        CHECK(result.ends_with(" checks, 0 failures"));
    }
    fs::remove_all(kFolder);
}

// ctest: label=vk timeout=300 app
// test_policy_tool.cpp - `lacuna attend` and `lacuna generate` with --policy.
//
// SPDX-License-Identifier: Apache-2.0
#include "run_tool.h"

#include <nlohmann/json.hpp>

using namespace lacuna::test;
using namespace lacuna::tool;
namespace fs = std::filesystem;
using Json = nlohmann::json;

namespace
{

} // namespace

TEST_CASE("lacuna attend --policy: the example, its groups, wrong arguments")
{
    const Folder folder("test_policy_files");
    const std::string example = LACUNA_SOURCE_DIR "/docs/example-policy.json";
    const std::string tokens = " --grid 4x8x8 --random 1x2x256x16 ";
    const std::string attend = "attend --policy " + example + tokens;
    const Ran ran = runTool(
        folder.path, attend + "--steps 10 --at 6,1 --max-error 1e-3 -o " + folder.file("o.npy") +
                         " --lse " + folder.file("l.npy") + " --report " + folder.file("r.json"));
    INFO(ran.err);
    REQUIRE(ran.status == 0);
    CHECK(contains(ran.out, "group      block_topk keep_ratio=0.15: heads [0], density 0.25"));
    const Json report = Json::parse(readFile(folder.file("r.json")));
    REQUIRE(report["groups"].size() == 2);
    CHECK(report["launches"] == 2);
    CHECK(report["groups"][0]["options"]["keep_ratio"] == "0.15");
    CHECK(report["groups"][0]["density"] == 0.25); // one of four blocks
    CHECK(report["groups"][1]["method"] == "sliding_tile");
    CHECK(report["groups"][1]["heads"] == Json::array({1}));
    CHECK(report["groups"][1]["explain"]["method"] == "sliding_tile");
    CHECK(report["density"].get<double>() ==
          doctest::Approx(0.125 + report["groups"][1]["density"].get<double>() / 2));
    CHECK(report["selection"]["pairs_apart"] == 0);
    CHECK(readNpy(folder.file("l.npy")).shape == std::vector<uint64_t>{1, 2, 256});

    checkToolRefuses(folder.path, attend, "--steps");
    checkToolRefuses(folder.path, attend + "--steps 10 --at 10,0", "expected a step in 0..9");
    checkToolRefuses(folder.path, attend + "--steps 10 --at 1", "--at is '1'");
    checkToolRefuses(folder.path, attend + "--method dense", "--policy");
    checkToolRefuses(folder.path, "attend" + tokens, "--method or --policy is missing");
    checkToolRefuses(folder.path, "attend --method dense --at 0,0" + tokens, "--at");
    checkToolRefuses(folder.path, "attend --policy " + folder.file("none.json") + tokens,
                     "cannot read");
    checkToolRefuses(folder.path, "attend --policy " + example + " --steps 10 --random 1x1x256x16",
                     "rules[2].heads[0] names 1, expected 0..0");
}

TEST_CASE("lacuna generate --policy: that of --method and --dense-steps, and the example")
{
    const Folder folder("test_policy_files");
    const std::string generate = "generate --model " LACUNA_TEST_DIR
                                 "/golden/dit_tiny.safetensors --prompt \"a red circle\" --frames 8"
                                 " --height 32 --width 32 --json -o ";
    writeFile(folder.file("p.json"), std::string_view(R"({"lacuna_policy": 1, "layers": 2,
        "rules": [{"method": "block_topk", "density": 0.25},
                  {"steps": ["0%-33%"], "method": "dense"}, {"layers": [1], "method": "dense"}]})"));
    const std::string flags =
        " --steps 3 --method block_topk --set keep_ratio=0.25 --dense-steps 1";
    const Ran by_file = runTool(folder.path, generate + folder.file("a.y4m") +
                                                 " --steps 3 --policy " + folder.file("p.json"));
    INFO(by_file.err);
    REQUIRE(by_file.status == 0);
    // Layer 1 has the number that --dense-layers cannot name, so the flags make another clip ...
    REQUIRE(runTool(folder.path, generate + folder.file("b.y4m") + flags).status == 0);
    CHECK(readFile(folder.file("a.y4m")) != readFile(folder.file("b.y4m")));
    // ... and the same one when the file says what they say.
    writeFile(folder.file("p.json"), std::string_view(R"({"lacuna_policy": 1, "rules": [
        {"method": "block_topk", "density": 0.25}, {"steps": [0], "method": "dense"}]})"));
    REQUIRE(runTool(folder.path, generate + folder.file("c.y4m") + " --steps 3 --policy " +
                                     folder.file("p.json"))
                .status == 0);
    CHECK(readFile(folder.file("c.y4m")) == readFile(folder.file("b.y4m")));
    const Json one = Json::parse(by_file.out);
    CHECK(one["density"] == 0.25);
    CHECK(one["density_in_all"].get<double>() == doctest::Approx(0.75)); // 2 of 6 layers at 0.25
    CHECK(one["dense_steps"] == 1);

    const Ran ran = runTool(folder.path, generate + folder.file("d.y4m") +
                                             " --compare dense --policy " LACUNA_SOURCE_DIR
                                             "/docs/example-policy.json");
    INFO(ran.err);
    REQUIRE(ran.status == 0);
    const Json report = Json::parse(ran.out);
    CHECK(report["steps"] == 4);
    CHECK(report["dense_steps"] == 2); // 0 % and 25 % are before 30 %
    REQUIRE(report["groups"].size() == 3);
    CHECK(report["groups"][0] == Json({{"name", "dense"}, {"share", 0.75}, {"density", 1.0}}));
    CHECK(report["groups"][1]["name"] == "block_topk keep_ratio=0.15");
    CHECK(report["groups"][1]["density"] == 0.25); // two of eight blocks
    CHECK(report["groups"][2]["share"] == 0.125);
    CHECK(report["sparse"]["steps"].get<uint32_t>() >= 1);
    CHECK(report["ssim"] < 1);

    const std::string out = generate + folder.file("e.y4m");
    checkToolRefuses(folder.path, out + " --policy " + folder.file("none.json"), "cannot read");
    checkToolRefuses(folder.path, out + flags + " --policy " + folder.file("p.json"), "--policy");
    writeFile(
        folder.file("p.json"),
        std::string_view(R"({"lacuna_policy": 1, "rules": [{"layers": [2], "method": "dense"}]})"));
    checkToolRefuses(folder.path, out + " --policy " + folder.file("p.json"),
                     "rules[0].layers[0] names 2, expected 0..1");
    writeFile(folder.file("p.json"), std::string_view(R"({"lacuna_policy": 1, "rules": []})"));
    checkToolRefuses(folder.path, out + " --compare dense --policy " + folder.file("p.json"),
                     "keeps all dense");
}

// ctest: label=vk timeout=300 app
// test_calibrate.cpp - the choice of a candidate for each head, and `lacuna calibrate`.
//
// SPDX-License-Identifier: Apache-2.0
#include "run_tool.h"

#include "lacuna/calibration.h"
#include "lacuna/errors.h"
#include "lacuna/safetensors.h"

#include <nlohmann/json.hpp>

#include <cmath>
#include <limits>

using namespace lacuna::test;
using namespace lacuna::tool;
namespace fs = std::filesystem;
using Json = nlohmann::json;

namespace
{

const std::vector<HeadChoice> kCandidates = {{},
                                             {"block_topk", {{"keep_ratio", "0.5"}}, ""},
                                             {"block_topk", {{"keep_ratio", "0.25"}}, ""},
                                             {"axial", {}, ""}};

// Dense, then the three others: {density, error}.
std::vector<CandidateCost> costs(double half, double quarter, double axial)
{
    return {{1, 0, 1, 0},
            {0.5, half, 1 - half, half * half},
            {0.25, quarter, 1 - quarter, quarter * quarter},
            {0.1, axial, 1 - axial, axial * axial}};
}

// Two layers of two heads; layer 1 is captured in steps 2 and 6 of 10, layer 0 in step 4.
Calibration example()
{
    Calibration calibration({10, 3, 2}, kCandidates);
    calibration.add({2, 1, 0}, costs(0.01, 0.02, 0.04));
    calibration.add({2, 1, 1}, costs(0.10, 0.20, 0.90));
    calibration.add({6, 1, 0}, costs(0.01, 0.02, 0.04));
    calibration.add({6, 1, 1}, costs(0.01, 0.02, 0.04));
    calibration.add({4, 0, 0}, costs(0.30, 0.20, 0.50)); // denser is not always better
    calibration.add({4, 0, 1}, costs(NAN, NAN, NAN));
    return calibration;
}

uint32_t chosen(const Calibration& calibration, const HeadPlace& place)
{
    return calibration.heads().at(place).chosen;
}

} // namespace

TEST_CASE("a target error: the sparsest candidate within it, head by head")
{
    Calibration calibration = example();
    calibration.chooseByError(0.2);
    CHECK(chosen(calibration, {2, 1, 0}) == 3);
    CHECK(chosen(calibration, {2, 1, 1}) == 2);
    CHECK(chosen(calibration, {4, 0, 0}) == 2);
    CHECK(chosen(calibration, {4, 0, 1}) == 0);
    CHECK(calibration.largestError() == 0.2);
    // Steps that each stands for: 4 of (2, 1), 4 of (6, 1), 6 of (4, 0).
    CHECK(calibration.heads().at({2, 1, 0}).steps == 4);
    CHECK(calibration.heads().at({6, 1, 0}).steps == 4);
    CHECK(calibration.heads().at({4, 0, 0}).steps == 6);
    const double kept = 4 * (0.1 + 0.25) + 4 * (0.1 + 0.1) + 6 * (0.25 + 1);
    CHECK(calibration.density() == doctest::Approx(kept / 28));
    CHECK(calibration.densityInAll() == doctest::Approx((60 - 28 + kept) / 60));
    calibration.chooseByError(0.001);
    CHECK(calibration.density() == 1);
    CHECK(calibration.policy()["rules"].empty());
}

TEST_CASE("a target density: what removes most error per pair comes first")
{
    Calibration calibration = example();
    calibration.chooseByDensity(1);
    CHECK(calibration.largestError() == 0);
    double last = std::numeric_limits<double>::infinity();
    for (const double target : {0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9})
    {
        CAPTURE(target);
        calibration.chooseByDensity(target);
        CHECK(calibration.density() <= target + 2e-12);
        double error = 0;
        for (const auto& [place, head] : calibration.heads())
            error += head.costs[head.chosen].error * head.steps;
        CHECK(error <= last);
        last = error;
    }
    calibration.chooseByDensity(0.36);
    CHECK(chosen(calibration, {2, 1, 1}) == 2); // from 0.1 to 0.25 takes away most of its error
    CHECK(chosen(calibration, {2, 1, 0}) == 3);
    CHECK_THROWS_AS(calibration.chooseByDensity(0.1), CheckFailed); // one head has no candidate
}

TEST_CASE("samples of one head are averaged")
{
    Calibration calibration({10, 3, 2}, kCandidates);
    calibration.add({2, 1, 0}, costs(0.1, 0.2, 0.3));
    calibration.add({2, 1, 0}, costs(0.3, 0.2, 0.7));
    const auto& head = calibration.heads().at({2, 1, 0});
    CHECK(head.samples == 2);
    CHECK(head.costs[1].error == doctest::Approx(0.2));
    CHECK(head.costs[3].recall == doctest::Approx(0.5));
    CHECK(head.costs[0].density == 1);
}

TEST_CASE("the nearest candidate, in each step or for all of them")
{
    Calibration calibration = example();
    calibration.add({6, 1, 0}, costs(0.9, 0.1, 0.9)); // a mean square of 0.41, 0.005 and 0.4
    calibration.chooseNearest(false);
    CHECK(chosen(calibration, {2, 1, 0}) == 1);
    CHECK(chosen(calibration, {6, 1, 0}) == 2);
    CHECK(chosen(calibration, {4, 0, 0}) == 2);
    CHECK(chosen(calibration, {4, 0, 1}) == 0); // none is finite
    calibration.chooseNearest(true);
    CHECK(chosen(calibration, {2, 1, 0}) == 2);
    CHECK(chosen(calibration, {6, 1, 0}) == 2);
    CHECK(chosen(calibration, {2, 1, 1}) == 1);
    CHECK(chosen(calibration, {6, 1, 1}) == 1);
}

TEST_CASE("the least loss, and dense where every one is too large")
{
    Calibration calibration = example();
    calibration.chooseByLoss(0.2, 1);
    // Square error + density / 5: 0.11, 0.09 and 0.83; 0.19, 0.09 and 0.27.
    CHECK(chosen(calibration, {2, 1, 1}) == 2);
    CHECK(chosen(calibration, {4, 0, 0}) == 2);
    CHECK(chosen(calibration, {2, 1, 0}) == 3);
    CHECK(chosen(calibration, {4, 0, 1}) == 0); // NaN
    calibration.chooseByLoss(0.2, 0.05);
    CHECK(chosen(calibration, {2, 1, 1}) == 0);
    CHECK(chosen(calibration, {2, 1, 0}) == 3); // 0.0216
    calibration.chooseByLoss(0, 1);
    CHECK(chosen(calibration, {2, 1, 1}) == 1); // the nearest
}

TEST_CASE("the file says for every head what was chosen, and dense before and beside")
{
    Calibration calibration = example();
    calibration.chooseByError(0.2);
    Policy policy = Policy::parse(calibration.policy().dump(), "made.json");
    policy.bind({10, 3, 2});
    for (uint32_t step = 0; step < 10; ++step)
        for (uint32_t layer = 0; layer < 3; ++layer)
            for (uint32_t head = 0; head < 2; ++head)
            {
                uint32_t wanted = 0;
                for (const auto& [place, row] : calibration.heads())
                    if (place.layer == layer && place.head == head && step >= place.step &&
                        step < place.step + row.steps)
                        wanted = row.chosen;
                CHECK(policy.choices()[policy.choicesOf(step, layer)[head]].name() ==
                      kCandidates[wanted].name());
            }
}

TEST_CASE("lacuna calibrate on captures, and generate with what it wrote")
{
    const Folder folder("test_calibrate_files");
    const std::string generate = "generate --model " LACUNA_TEST_DIR
                                 "/golden/dit_tiny.safetensors --prompt \"a red circle\" --steps 3"
                                 " --frames 8 --height 32 --width 32 --json ";
    const Ran captured = runTool(folder.path, generate + "-o " + folder.file("a.y4m") +
                                                  " --at 1,all --at 2,0 --capture-qkv " +
                                                  folder.file("qkv.safetensors"));
    INFO(captured.err);
    REQUIRE(captured.status == 0);
    CHECK(Json::parse(captured.out)["files"].size() == 4);
    const std::string first = folder.file("qkv-1-0.safetensors");
    const std::string files =
        first + " " + folder.file("qkv-1-1.safetensors") + " " + folder.file("qkv-2-0.safetensors");
    const std::string flags =
        "calibrate --qkv " + files +
        " --candidate \"block_topk keep_ratio=0.25\" --candidate "
        "\"block_topk keep_ratio=0.5\" --candidate \"sliding_tile window=1x1x1\" -o " +
        folder.file("p.json") + " --report " + folder.file("r.json");
    const Ran ran = runTool(folder.path, flags + " --target-density 0.5");
    INFO(ran.err);
    REQUIRE(ran.status == 0);
    const Json report = Json::parse(readFile(folder.file("r.json")));
    CHECK(report["density"].get<double>() <= 0.5);
    REQUIRE(report["heads"].size() == 6);
    for (const Json& head : report["heads"])
    {
        REQUIRE(head["candidates"].size() == 4);
        CHECK(head["candidates"][0]["density"] == 1.0);
        CHECK(head["candidates"][1]["density"] == 0.25); // two of eight blocks
        CHECK(head["candidates"][3]["density"] == 0.125);
        for (size_t i = 1; i < 4; ++i)
        {
            const double recall = head["candidates"][i]["recall"],
                         error = head["candidates"][i]["error"];
            CHECK(recall > head["candidates"][i]["density"].get<double>() / 4);
            CHECK(recall < 1);
            CHECK(error > 0);
            CHECK(error < 10);
        }
        // More blocks of one ranking hold more mass.
        CHECK(head["candidates"][2]["recall"] > head["candidates"][1]["recall"]);
    }
    const Ran sparse = runTool(folder.path, generate + "-o " + folder.file("b.y4m") + " --policy " +
                                                folder.file("p.json"));
    INFO(sparse.err);
    REQUIRE(sparse.status == 0);
    CHECK(Json::parse(sparse.out)["density_in_all"].get<double>() ==
          doctest::Approx(report["density_in_all"].get<double>()));

    checkToolRefuses(folder.path, flags, "--target-error");
    checkToolRefuses(folder.path, flags + " --target-error 0.1 --target-density 0.5", "both given");
    checkToolRefuses(folder.path, flags + " --search svg1", "one of --candidate and --search");
    checkToolRefuses(folder.path, flags + " --target-density 0.1", "keep 0.125", 1);
    checkToolRefuses(folder.path, flags + " --target-density 2", "2");
    const std::string one = "calibrate --target-error 0.1 -o " + folder.file("x.json") + " --qkv ";
    checkToolRefuses(folder.path, one + first, "--candidate");
    checkToolRefuses(folder.path, one + first + " --candidate denze", "'denze'");
    checkToolRefuses(folder.path, one + first + " --candidate key_spans", "another method");
    checkToolRefuses(folder.path, one + first + " --candidate \"block_topk keep_ratio=7\"", "0..1");
    checkToolRefuses(folder.path, one + first + " --candidate \"block_topk keep\"", "'keep'");
    Tensors tensors = readSafetensors(first);
    const auto refuses = [&](const char* name, const char* value, const std::string& part)
    {
        Tensors other = tensors;
        other.metadata[name] = value;
        writeSafetensors(folder.file("other.safetensors"), other);
        checkToolRefuses(folder.path,
                         one + first + " " + folder.file("other.safetensors") +
                             " --candidate \"block_topk keep_ratio=0.25\"",
                         part);
    };
    refuses("step", "3", "'3' as its step, expected 0..2");
    refuses("layer", "-1", "'-1' as its layer");
    refuses("steps", "99999999999", "as its steps, expected 1..1048576");
    refuses("grid", "8x8", "'8x8'");
    refuses("layers", "7", "7 layers, expected");
}

TEST_CASE("lacuna generate --calibrate: the report and the policy that captures give")
{
    const Folder folder("test_calibrate_files");
    const std::string generate = "generate --model " LACUNA_TEST_DIR
                                 "/golden/dit_tiny.safetensors --prompt \"a red circle\" --steps 3"
                                 " --frames 8 --height 32 --width 32 --json -o " +
                                 folder.file("a.y4m");
    const std::string wanted = " --candidate \"block_topk keep_ratio=0.25\" --candidate "
                               "\"sliding_tile window=1x1x1\" --target-density 0.5";
    const Ran captured = runTool(folder.path, generate + " --at 0,all --at 1,all --at 2,all"
                                                         " --capture-qkv " +
                                                  folder.file("qkv.safetensors"));
    INFO(captured.err);
    REQUIRE(captured.status == 0);
    const Ran by_file =
        runTool(folder.path, "calibrate --qkv " + folder.file("qkv-*.safetensors") + wanted +
                                 " -o " + folder.file("p.json") + " --report " +
                                 folder.file("r.json"));
    INFO(by_file.err);
    REQUIRE(by_file.status == 0);
    const Ran at_once = runTool(folder.path, generate + wanted + " --calibrate " +
                                                 folder.file("q.json") + " --report " +
                                                 folder.file("s.json"));
    INFO(at_once.err);
    REQUIRE(at_once.status == 0);
    CHECK(Json::parse(at_once.out)["sparse"].is_null());
    CHECK(readFile(folder.file("p.json")) == readFile(folder.file("q.json")));
    const Json a = Json::parse(readFile(folder.file("r.json"))),
               b = Json::parse(readFile(folder.file("s.json")));
    CHECK(a["heads"] == b["heads"]);
    CHECK(a["heads"].size() == 3 * 2 * 2); // steps, layers, heads
    CHECK(b["files"] == Json::array({"a red circle"}));

    // Two prompts, one place: the mean of two samples.
    writeFile(folder.file("prompts.txt"), std::string_view("a red circle\na blue star\n"));
    std::string two = generate;
    two.replace(two.find("--prompt \"a red circle\""), 23, "--prompts " + folder.file("prompts.txt"));
    two.replace(two.find("a.y4m"), 5, "clips/");
    const Ran averaged = runTool(folder.path, two + " --search svg1 --at 1,0 --calibrate " +
                                                  folder.file("t.json") + " --report " +
                                                  folder.file("t-report.json"));
    INFO(averaged.err);
    REQUIRE(averaged.status == 0);
    const Json means = Json::parse(readFile(folder.file("t-report.json")));
    REQUIRE(means["heads"].size() == 2);
    CHECK(means["heads"][0]["samples"] == 2);
    CHECK(means["search"] == "svg1");

    const std::string calibrate = generate + " --calibrate " + folder.file("x.json");
    checkToolRefuses(folder.path, generate + " --search svg1", "belong to --calibrate");
    checkToolRefuses(folder.path, calibrate, "--candidate");
    checkToolRefuses(folder.path, calibrate + " --search svg2", "'svg2', expected one of sta");
    checkToolRefuses(folder.path, calibrate + " --search svg1 --method dense", "--method");
    checkToolRefuses(folder.path, calibrate + " --search svg1 --at 3,0", "--at is '3,0'");
}

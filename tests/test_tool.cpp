// test_tool.cpp - the tool as a script sees it: exit status, one sentence on stderr, files whole or
// absent.
//
// SPDX-License-Identifier: Apache-2.0
// ctest: label=vk timeout=400 app
#include "run_tool.h"

#include <lacuna/npy.h>
#include <lacuna/output.h>
#include <lacuna/safetensors.h>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <filesystem>
#include <sstream>

using namespace lacuna::test;
using namespace lacuna::tool;
namespace fs = std::filesystem;
using Json = nlohmann::json;

namespace
{

const fs::path kFolder = "test_tool_files";

Ran run(const std::string& arguments)
{
    return runTool(kFolder, arguments);
}

std::string file(const char* name)
{
    return (kFolder / name).string();
}

void checkRefused(const std::string& arguments, const std::string& part, int status = 2)
{
    checkToolRefuses(kFolder, arguments, part, status);
}

// q, k, v of two heads and 48 tokens, as .npy and as one .safetensors.
struct Files
{
    Files()
    {
        fs::remove_all(kFolder);
        fs::create_directory(kFolder);
        Tensors tensors;
        for (const char* name : {"q", "k", "v"})
        {
            std::vector<float> values(2 * 48 * 16);
            for (size_t i = 0; i < values.size(); ++i)
                values[i] = float((i * 7919 + size_t(name[0]) * 31) % 101) / 50 - 1;
            tensors.arrays[name] = arrayOfFloats(values, {1, 2, 48, 16}, Dtype::F16);
            writeNpy(file((std::string(name) + ".npy").c_str()), tensors.arrays[name]);
        }
        writeSafetensors(file("qkv.safetensors"), tensors);
        writeNpy(file("short.npy"),
                 arrayOfFloats(std::vector<float>(2 * 40 * 16), {1, 2, 40, 16}, Dtype::F16));
        writeNpy(file("wide.npy"),
                 arrayOfFloats(std::vector<float>(48 * 24), {1, 1, 48, 24}, Dtype::F16));
        writeNpy(file("flat.npy"), arrayOfFloats(std::vector<float>(48), {48}, Dtype::F16));
        writeFile(file("text.npy"), "no numbers here");
    }
    ~Files() { fs::remove_all(kFolder); }
};

std::string qkv()
{
    return "--q " + file("q.npy") + " --k " + file("k.npy") + " --v " + file("v.npy");
}

} // namespace

TEST_CASE("no or unknown subcommands, help and version")
{
    const Files files;
    CHECK(run("--help").status == 0);
    CHECK(contains(run("--version").out, "lacuna 0."));
    CHECK(contains(run("attend --help").out, "--set"));
    checkRefused("", "subcommand");
    checkRefused("paint", "paint");
    checkRefused("devices --colour", "--colour");
}

TEST_CASE("bench attend: checked, in turns with dense and with a peer, as JSON lines")
{
    const Files files;
    const std::string small =
        "bench attend --shape 1x2x150x32 --density 0.5 --block 32 --repeat 3 ";
    writeFile(file("peer.sh"), "while read line; do case $line in\n"
                               "*shape*) echo '{\"description\": \"fixed\"}' ;;\n"
                               "*) echo '{\"ms\": 2.5}' ;;\nesac; done\n");
    const std::string peer = "=sh " + file("peer.sh") + "' ";
    const Ran ran = run(small + "--format jsonl --peer 'other" + peer + "--peer 'second" + peer +
                        "-o " + file("b.jsonl"));
    INFO("stderr: ", ran.err);
    REQUIRE(ran.status == 0);
    CHECK(readFile(file("b.jsonl")) == ran.out);
    std::vector<Json> rows;
    std::istringstream lines(ran.out);
    for (std::string line; std::getline(lines, line);)
        rows.push_back(Json::parse(line));
    REQUIRE(rows.size() == 4);
    CHECK(rows[0]["mask"] == "dense");
    CHECK(rows[0]["density"] == 1.0);
    CHECK(rows[1]["mask"] == "random blocks of 32");
    CHECK(rows[1]["density"].get<double>() > 0.4); // 3 of 5 blocks, of which the last is short
    CHECK(rows[1]["density"].get<double>() < 0.65);
    for (int i = 0; i < 2; ++i)
    {
        CHECK(rows[i]["ms_all"].size() == 3);
        CHECK(rows[i]["error_max"].get<double>() < 2e-3); // values of up to about 2 as fp16
        CHECK(rows[i]["lse_error_max"].get<double>() < 1e-5);
    }
    CHECK(rows[2]["tier"] == "other");
    CHECK(rows[2]["tile"] == "fixed");
    CHECK(rows[2]["ms"] == 2.5);
    CHECK(rows[3]["tier"] == "second");

    const std::string skewed = run(small + "--skew --format jsonl").out;
    CHECK(skewed.find("random blocks of 32, one row keeps all") != std::string::npos);
    CHECK(run(small + "--density 1").out.find("| 1x2x150x32 | dense |") != std::string::npos);
    checkRefused("bench attend --shape 1x1x64", "1x1x64");
    checkRefused("bench attend --density 1.5", "1.5");
    checkRefused(small + "--peer nameonly", "nameonly");
    checkRefused(small + "--peer 'p=echo hi'", "'hi'"); // it has ended before or after the question
    checkRefused(small + "--peer 'p=exec <&-; echo hi; sleep 1'", "'hi'"); // surely not listening
    checkRefused(small + "--peer 'p=exit 3'", "expected one line of JSON");
}

TEST_CASE("bench attend: methods, pass by pass")
{
    const Files files;
    const std::string command =
        "bench attend --shape 1x2x150x32 --density 1 --repeat 3 --grid 6x5x5 "
        "--method 'sliding_tile tile=2x5x5 window=1x1x1' "
        "--method 'block_topk keep_ratio=0.3' --format jsonl";
    const Ran ran = run(command);
    INFO("stderr: ", ran.err);
    REQUIRE(ran.status == 0);
    std::vector<Json> rows;
    std::istringstream lines(ran.out);
    for (std::string line; std::getline(lines, line);)
        rows.push_back(Json::parse(line));
    REQUIRE(rows.size() == 3);
    CHECK(rows[0]["overhead_of_dense"].is_null());
    CHECK(rows[1]["mask"] == "sliding_tile tile=2x5x5 window=1x1x1");
    CHECK(rows[1]["density"].get<double>() == doctest::Approx(1 / 3.0));
    double selection_ms = 0;
    for (const Json& pass : rows[2]["passes"])
        if (!pass["is_attend"])
            selection_ms += pass["ms"].get<double>();
    CHECK(selection_ms > 0);
    CHECK(rows[2]["overhead_of_dense"].get<double>() > 0);
    checkRefused("bench attend --shape 1x1x64x32 --method nosuch", "nosuch");
    checkRefused("bench attend --shape 1x1x64x32 --method 'dense x'", "'x'");
}

TEST_CASE("attend: a soft cap and sink logits, checked against double precision")
{
    const Files files;
    writeNpy(file("sinks.npy"), arrayOfFloats(std::vector<float>{1, -2}, {2}, Dtype::F32));
    const std::string random = "attend --method dense --random 1x2x70x32 --max-error 1e-3 ";
    const Ran plain = run(random + "-o " + file("plain.npy"));
    const Ran ran = run(random + "--soft-cap 0.5 --sink-logits " + file("sinks.npy") + " -o " +
                        file("capped.npy"));
    INFO("stderr: ", ran.err);
    REQUIRE(ran.status == 0);
    REQUIRE(plain.status == 0);
    CHECK(readFile(file("plain.npy")) != readFile(file("capped.npy")));
    checkRefused(random + "--soft-cap -1", "-1");
    writeNpy(file("three.npy"), arrayOfFloats(std::vector<float>{1, 2, 3}, {3}, Dtype::F32));
    checkRefused(random + "--sink-logits " + file("three.npy"), "expected 2");
}

TEST_CASE("attend: a mask and scores of one's own, and what does not compile")
{
    const Files files;
    writeFile(file("mask.glsl"),
              "bool mask_mod(uint b, uint h, uint q, uint k)\n{\n    return k <= q;\n}\n");
    writeFile(file("score.glsl"), "float score_mod(float score, uint b, uint h, uint q, uint k)\n"
                                  "{\n    return scroe;\n}\n");
    const std::string random = "attend --random 1x2x70x32 --method ";
    const Ran own = run(random + "dense --mask-mod " + file("mask.glsl") + " -o " +
                        file("own.npy") + " --report " + file("own.json"));
    if (contains(own.err, "need lacuna::jit"))
        return; // built without it
    INFO("stderr: ", own.err);
    REQUIRE(own.status == 0);
    CHECK(contains(own.out, "not measured"));
    CHECK(Json::parse(readFile(file("own.json")))["explain"]["has_own_kernel"] == true);
    REQUIRE(run(random + "causal -o " + file("causal.npy")).status == 0);
    const std::vector<float> a = readNpy(file("own.npy")).toFloats(),
                             b = readNpy(file("causal.npy")).toFloats();
    REQUIRE(a.size() == b.size());
    float difference = 0;
    for (size_t i = 0; i < a.size(); ++i)
        difference = std::max(difference, std::abs(a[i] - b[i]));
    CHECK(difference <= 2e-3f);

    const Ran wrong = run(random + "dense --score-mod " + file("score.glsl"));
    CHECK(wrong.status == 2);
    CHECK(contains(wrong.err, "score.glsl:3: error: 'scroe' : undeclared identifier"));
    checkRefused(random + "dense --mask-mod " + file("none.glsl"), "none.glsl");
    checkRefused(random + "dense --max-error 1 --mask-mod " + file("mask.glsl"), "--max-error");
}

TEST_CASE("methods: all, one, JSON, Markdown, none of that name")
{
    const Files files;
    const Ran all = run("methods");
    CHECK(all.status == 0);
    for (const char* name : {"dense", "sliding_tile", "block_topk", "keep_ratio"})
        CHECK(contains(all.out, name));
    CHECK(Json::parse(run("methods --json").out).is_array());
    CHECK(Json::parse(run("methods sliding_tile --json").out)["name"] == "sliding_tile");
    CHECK(contains(run("methods --markdown").out, "| `keep_ratio` |"));
    checkRefused("methods slidingtile", "'slidingtile', expected one of dense");
    checkRefused("methods --json --markdown", "--json");
}

TEST_CASE("mask: static and dynamic, tokens and blocks, a picture")
{
    const Files files;
    const Ran token = run("mask --method sliding_tile --set tile=2x2x2 --set window=1x1x1 --grid "
                          "2x4x4 --text-after 3 "
                          "--heads 2 -o " +
                          file("m.npy") + " --png " + file("m.png"));
    INFO(token.err);
    REQUIRE(token.status == 0);
    const Array mask = readNpy(file("m.npy"));
    CHECK(mask.dtype == Dtype::U8);
    CHECK(mask.shape == std::vector<uint64_t>{2, 35, 35});
    CHECK(mask.bytes[0] == std::byte(1));  // itself
    CHECK(mask.bytes[2] == std::byte(0));  // the next tile
    CHECK(mask.bytes[34] == std::byte(1)); // text
    CHECK(readFile(file("m.png")).starts_with("\x89PNG"));

    CHECK(run("mask --method sliding_tile --set tile=2x2x2 --grid 2x4x4 --level block -o " +
              file("b.npy"))
              .status == 0);
    CHECK(readNpy(file("b.npy")).shape == std::vector<uint64_t>{1, 4, 4});
    CHECK(run("mask --method block_topk --set keep_ratio=0.5 --qkv " + file("qkv.safetensors") +
              " -o " + file("d.npy"))
              .status == 0);
    CHECK(readNpy(file("d.npy")).shape == std::vector<uint64_t>{2, 48, 48});
}

TEST_CASE("mask: wrong arguments")
{
    const Files files;
    const std::string out = " -o " + file("x.npy");
    checkRefused("mask --method dense --grid 1x4x4", "--output");
    checkRefused("mask --grid 1x4x4" + out, "--method");
    checkRefused("mask --method denze --grid 1x4x4" + out, "'denze'");
    checkRefused("mask --method block_topk --grid 1x4x4" + out, "--q and --k");
    checkRefused("mask --method key_spans --grid 1x4x4" + out, "'key_spans'");
    checkRefused("mask --method dense" + out, "--grid, --tokens");
    checkRefused("mask --method dense --grid 4x4" + out, "'4x4'");
    checkRefused("mask --method dense --grid 0x4x4" + out, "'0x4x4'");
    checkRefused("mask --method dense --grid 4x-4x4" + out, "'4x-4x4'");
    checkRefused("mask --method dense --grid 99999999x99999999x99999999" + out, "tokens");
    checkRefused("mask --method dense --text-before 4" + out, "--grid is missing");
    checkRefused("mask --method sliding_tile --set window=9 --grid 1x4x4" + out, "'window'");
    checkRefused("mask --method sliding_tile --set window --grid 1x4x4" + out,
                 "'window', expected name=value");
    checkRefused("mask --method sliding_tile --set size=3 --grid 1x4x4" + out, "'size'");
    checkRefused("mask --method dense --grid 1x4x4 --level word" + out, "word");
    checkRefused("mask --method dense --grid 1x4x4 --heads 0" + out, "--heads");
    checkRefused("mask --method dense --grid 1x4x4 -o " + file("none") + "/x.npy", "cannot write");
    checkRefused("mask --method dense --grid 1x4x4 --png " + file("none") + "/x.png" + out,
                 "cannot write");
    checkRefused("mask --method dense --q " + file("q.npy") + out, "--k is missing");
    checkRefused("mask --method dense --grid 1x4x4 --q " + file("q.npy") + " --k " + file("k.npy") +
                     out,
                 "grid");
}

TEST_CASE("attend: from npy, from safetensors, from a seed, with a report")
{
    const Files files;
    const Ran ran = run("attend --method dense " + qkv() + " -o " + file("o.npy") + " --lse " +
                        file("l.npy") + " --report " + file("r.json"));
    INFO(ran.err);
    REQUIRE(ran.status == 0);
    CHECK(ran.err == "");
    const Array out = readNpy(file("o.npy"));
    CHECK(out.dtype == Dtype::F16);
    CHECK(out.shape == std::vector<uint64_t>{1, 2, 48, 16});
    CHECK(readNpy(file("l.npy")).shape == std::vector<uint64_t>{1, 2, 48});
    const Json report = Json::parse(readFile(file("r.json")));
    CHECK(report["density"] == 1);
    CHECK(report["error"]["max"] < 1e-3);
    CHECK(report["lse_error_max"] < 1e-5);
    CHECK(report["queries_compared"] == 48);
    CHECK(report["explain"]["method"] == "dense");

    CHECK(run("attend --method dense --qkv " + file("qkv.safetensors") + " --precision f32 -o " +
              file("p.npy"))
              .status == 0);
    CHECK(readNpy(file("p.npy")).dtype == Dtype::F32);
    const Ran sparse =
        run("attend --method block_topk --set keep_ratio=0.5 --random 1x1x96x16 --tier scalar "
            "--output-precision f32 --max-error 1e-3 --reference-budget 1e5 --report " +
            file("s.json"));
    INFO(sparse.err);
    CHECK(sparse.status == 0);
    const Json sampled = Json::parse(readFile(file("s.json")));
    CHECK(sampled["queries_compared"] < 96);
    CHECK(sampled["density"] < 0.9);
}

TEST_CASE("attend: a check that fails has status 1")
{
    const Files files;
    checkRefused("attend --method denze --random 1x1x48x16", "'denze'");
    const Ran ran = run("attend --method dense --random 1x1x48x16 --max-error 1e-12");
    CHECK(ran.status == 1);
    CHECK(contains(ran.err, "--max-error"));
}

TEST_CASE("attend: wrong arguments and files")
{
    const Files files;
    const std::string out = " -o " + file("x.npy");
    const std::string q = "--q " + file("q.npy"), k = " --k " + file("k.npy"),
                      v = " --v " + file("v.npy");
    checkRefused("attend --method dense" + out, "--q is missing");
    checkRefused("attend --method dense " + q + k + out, "--v is missing");
    checkRefused("attend --method dense " + q + k + " --v " + file("no.npy") + out, "no.npy");
    checkRefused("attend --method dense " + q + k + " --v " + file("text.npy") + out, "not a .npy");
    checkRefused("attend --method dense " + q + k + " --v " + file("flat.npy") + out, "shape 48");
    checkRefused("attend --method dense " + q + k + " --v " + file("short.npy") + out,
                 "[1, 2, 40, 16]");
    checkRefused("attend --method dense " + q + v + " --k " + file("wide.npy") + out,
                 "[1, 1, 48, 24]");
    checkRefused("attend --method dense --qkv " + file("q.npy") + out, "expected a .safetensors");
    checkRefused("attend --method dense " + qkv() + " --random 1x1x8x8" + out, "--random");
    checkRefused("attend --method dense --random 1x1x48" + out, "'1x1x48'");
    checkRefused("attend --method dense --random 1x1x48x12" + out, "head_dim is 12");
    checkRefused("attend --method dense --random 60000x60000x60000x64" + out,
                 "at most 1073741824 elements");
    checkRefused("attend --method dense " + qkv() + " --precision f8" + out, "f8");
    checkRefused("attend --method dense " + qkv() + " --tune speed=9" + out, "'speed'");
    checkRefused("attend --method dense " + qkv() + " --tune rows" + out,
                 "'rows', expected name=value");
    checkRefused("attend --method dense " + qkv() + " --repeat 0" + out, "--repeat");
    checkRefused("attend --method dense " + qkv() + " --grid 1x4x4" + out, "grid has 16 tokens");
    checkRefused("attend --method sliding_tile " + qkv() + out, "needs a video grid");
    checkRefused("attend --method key_spans " + qkv() + out, "'key_spans'");
    checkRefused("attend --method dense " + qkv() + " -o " + file("none") + "/x.npy",
                 "cannot write");
}

// test_choice.cpp - who chooses tier and tile: caller, environment, `lacuna tune`, library.
//
// SPDX-License-Identifier: Apache-2.0
// ctest: label=vk timeout=400 app
#include "run_tool.h"

#include <lacuna/host.hpp>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#ifndef _WIN32

using namespace lacuna;
using namespace lacuna::test;
using Json = nlohmann::json;

namespace
{

// A variable of the environment as long as this lives.
class Variable
{
public:
    Variable(const char* name, const std::string& value) : name_(name)
    {
        const char* const before = std::getenv(name);
        had_ = before != nullptr;
        saved_ = before ? before : "";
        setenv(name, value.c_str(), 1);
    }
    ~Variable() { had_ ? setenv(name_, saved_.c_str(), 1) : unsetenv(name_); }
    Variable(const Variable&) = delete;
    Variable& operator=(const Variable&) = delete;

private:
    const char* name_;
    bool had_;
    std::string saved_;
};

LacunaPlanDesc smallPlan()
{
    LacunaPlanDesc desc = {};
    desc.method = "dense";
    desc.batch = desc.q_heads = 1;
    desc.q_len = 40;
    desc.head_dim = 16;
    desc.dtype = LACUNA_DTYPE_F16;
    return desc;
}

Json explain(host::Device& device, const LacunaPlanDesc& desc)
{
    return Json::parse(host::Attention(device, desc).explain());
}

std::string errorOf(host::Device& device, const LacunaPlanDesc& desc)
{
    try
    {
        const host::Attention attention(device, desc);
        return "";
    }
    catch (const Error& error)
    {
        CHECK(error.result() == LACUNA_ERROR_INVALID_ARGUMENT);
        return error.what();
    }
}

} // namespace

TEST_CASE("choice: LACUNA_TIER and LACUNA_TILE, for plans that leave both open")
{
    host::Device device({.self_test = false, .tuned = false});
    LacunaPlanDesc desc = smallPlan();
    CHECK(explain(device, desc)["chosen_by"] == "the library");
    {
        const Variable tier("LACUNA_TIER", "scalar");
        CHECK(explain(device, desc)["tier"] == "scalar");
        CHECK(explain(device, desc)["chosen_by"] == "LACUNA_TIER=scalar");
        const Variable tile("LACUNA_TILE", "rows_per_lane=2,keys=2");
        const Json both = explain(device, desc);
        CHECK(contains(both["tile"], "x 2 keys, 2 queries per lane"));
        CHECK(both["chosen_by"] == "LACUNA_TIER=scalar LACUNA_TILE=rows_per_lane=2,keys=2");
        desc.tier = LACUNA_TIER_SCALAR; // the caller's word goes before
        CHECK(explain(device, desc)["chosen_by"] == "the caller");
        CHECK(explain(device, desc)["tile"] != both["tile"]);
        desc.tier = LACUNA_TIER_AUTO;
    }
    for (const char* const wrong : {"fast", "auto", "scalar "})
    {
        const Variable tier("LACUNA_TIER", wrong);
        CHECK(errorOf(device, desc) ==
              std::string("LACUNA_TIER is '") + wrong + "', expected scalar, coopmat or coopmat2");
    }
    for (const char* const wrong : {"x", "=2", "keys=", "keys=2,", ",keys=2"})
    {
        const Variable tile("LACUNA_TILE", wrong);
        CHECK(errorOf(device, desc) ==
              std::string("LACUNA_TILE is '") + wrong + "', expected name=value, joined by commas");
    }
    const Variable tier("LACUNA_TIER", "scalar");
    for (const char* const wrong : {"colour=2", "keys=many", "keys=17", "threads=2000"})
    {
        const Variable tile("LACUNA_TILE", wrong);
        const std::string sentence = errorOf(device, desc);
        INFO(sentence);
        CHECK(sentence.starts_with(std::string("LACUNA_TIER=scalar LACUNA_TILE=") + wrong + ": "));
        CHECK(!contains(sentence, "\n"));
    }
    desc.head_dim = 12; // not the environment's fault
    CHECK(errorOf(device, desc).starts_with("lacunaCreatePlan: head_dim is 12"));
}

TEST_CASE("choice: LACUNA_TIER=coopmat, where the device has matrices")
{
    host::Device device({.self_test = false, .tuned = false});
    const Variable tier("LACUNA_TIER", "coopmat");
    try
    {
        CHECK(explain(device, smallPlan())["tier"] == "coopmat");
    }
    catch (const Error& error)
    {
        CHECK(error.result() == LACUNA_ERROR_UNSUPPORTED);
        CHECK(contains(error.what(), "LACUNA_TIER=coopmat: "));
    }
}

TEST_CASE("choice: tune measures tiles, and later devices use the best one")
{
    const Folder folder(std::filesystem::absolute("test_choice_cache"));
    const Variable cache("XDG_CACHE_HOME", folder.path.string());
    host::Device device({.self_test = false});
    LacunaPlanDesc desc = smallPlan();
    CHECK(explain(device, desc)["chosen_by"] == "the library");
    const Json by_itself = explain(device, desc);

    size_t last = 0, all = 0;
    const std::vector<host::TuneRow> rows = host::tune(device, desc.dtype, desc.head_dim,
                                                       [&](size_t done, size_t of)
                                                       {
                                                           CHECK(done == last + 1);
                                                           last = done;
                                                           all = of;
                                                       });
    CHECK(last == all);
    REQUIRE(rows.size() >= 3);
    CHECK(rows[0].is_default);
    CHECK(by_itself["tile"] == rows[0].tile);
    CHECK(std::count_if(rows.begin(), rows.end(), [](const auto& r) { return r.is_best; }) == 1);
    CHECK(std::count_if(rows.begin(), rows.end(), [](const auto& r) { return r.is_default; }) == 1);
    const auto best =
        std::find_if(rows.begin(), rows.end(), [](const auto& r) { return r.is_best; });
    for (const host::TuneRow& row : rows)
    {
        INFO(row.tier, " ", row.tile);
        CHECK(row.refused == "");
        CHECK(row.ms > 0);
    }

    const auto checkUse = [&](host::Device& user)
    {
        const Json json = explain(user, desc);
        CHECK(json["tier"] == best->tier);
        CHECK(json["tile"] == best->tile);
        CHECK(contains(json["chosen_by"], "lacuna tune on 20"));
        LacunaPlanDesc other = desc; // not measured
        other.head_dim = 24;
        CHECK(explain(user, other)["chosen_by"] == "the library");
        other = desc;
        other.sums = LACUNA_SUMS_F16; // nor this, which a device may refuse
        try
        {
            CHECK(explain(user, other)["chosen_by"] == "the library");
        }
        catch (const Error& error)
        {
            CHECK(error.result() == LACUNA_ERROR_UNSUPPORTED);
        }
        const Variable tier("LACUNA_TIER", "scalar");
        CHECK(explain(user, desc)["chosen_by"] == "LACUNA_TIER=scalar");
    };
    checkUse(device);
    host::Device later({.self_test = false});
    checkUse(later);
    host::Device plain({.self_test = false, .tuned = false});
    CHECK(explain(plain, desc)["chosen_by"] == "the library");
    const Variable off("LACUNA_NO_CACHE", "1");
    host::Device forgetful({.self_test = false});
    CHECK(explain(forgetful, desc) == by_itself);
}

TEST_CASE("choice: the tool tells of it")
{
    const Folder folder("test_choice_tool");
    const Variable cache("XDG_CACHE_HOME", std::filesystem::absolute(folder.path).string());
    const std::string attend = "attend --method dense --random 1x1x40x16";
    {
        const Variable tier("LACUNA_TIER", "scalar");
        const Variable tile("LACUNA_TILE", "keys=2");
        CHECK(contains(runTool(folder.path, attend).out,
                       "(chosen by LACUNA_TIER=scalar LACUNA_TILE=keys=2)"));
        checkToolRefuses(folder.path, "attend --method dense --random 1x1x40",
                         "--random is '1x1x40'");
    }
    const Ran sliced = runTool(folder.path, attend + " --slice-ms 0.5");
    INFO(sliced.err);
    CHECK(contains(sliced.out, "of 0.5 ms wanted"));
    checkToolRefuses(folder.path, attend + " --slice-ms 0", "--slice-ms");

    const Ran tuned = runTool(folder.path, "tune --head-dim 16 --json");
    REQUIRE(tuned.status == 0);
    const Json json = Json::parse(tuned.out);
    CHECK(json["rows"].size() >= 3);
    CHECK(json["rows"][0]["is_default"] == true);
    CHECK(contains(runTool(folder.path, attend).out, "(chosen by lacuna tune on 20"));
    checkToolRefuses(folder.path, "tune --head-dim 12", "--head-dim is 12");
    checkToolRefuses(folder.path, "tune --precision f8", "--precision");
}

#endif

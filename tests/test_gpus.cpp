// test_gpus.cpp - `./dev gpus`: each driver's figures under their names, and what counts as worse: a spill, a lost
// matrix instruction, 10 % growth, and nothing less.
//
// SPDX-License-Identifier: Apache-2.0
// ctest: label=cpu timeout=60 app
#include <gpus/figures.h>
#include <gpus/report.h>

#include <doctest/doctest.h>

#include <algorithm>

using namespace lacuna::gpus;

namespace
{

using Json = nlohmann::ordered_json;

Json measured()
{
    const Json kernel = {{"registers", 100},    {"spills", 0},        {"scratch_bytes", 0},       {"shared_bytes", 1000},
                         {"instructions", 500}, {"occupancy", 10},    {"matrix_instructions", 8}, {"is_default", true},
                         {"compile_ms", 12.5},  {"statistics", Json::object()}};
    return {{"target", "navi31"},
            {"device", "a device"},
            {"driver", "a driver 1"},
            {"matrices_are_assumed", false},
            {"kernels", {{"attend f16 D64", kernel}}}};
}

// What compare() says after one figure of the only kernel was changed from the committed one.
std::vector<Difference> after(const char* figure, double value)
{
    Json now = measured();
    now["kernels"]["attend f16 D64"][figure] = value;
    return compare({now}, toCommit({measured()}, Json()));
}

bool isWorse(const std::vector<Difference>& differences)
{
    return std::any_of(differences.begin(), differences.end(), [](const Difference& d) { return d.is_worse; });
}

} // namespace

TEST_CASE("the same figures make no difference, and times are not committed")
{
    const Json committed = toCommit({measured()}, Json());
    CHECK(compare({measured()}, committed).empty());
    CHECK_FALSE(committed["targets"]["navi31"]["kernels"]["attend f16 D64"].contains("compile_ms"));
    CHECK_FALSE(committed["targets"]["navi31"]["kernels"]["attend f16 D64"].contains("statistics"));
}

TEST_CASE("growth up to 10 % is noted, more is worse")
{
    for (const char* figure : {"registers", "shared_bytes", "instructions"})
    {
        CAPTURE(figure);
        const double before = measured()["kernels"]["attend f16 D64"][figure];
        CHECK(after(figure, before * 1.09).size() == 1);
        CHECK_FALSE(isWorse(after(figure, before * 1.09)));
        CHECK(isWorse(after(figure, before * 1.11)));
        CHECK_FALSE(isWorse(after(figure, before * 0.5)));
    }
    CHECK_FALSE(isWorse(after("occupancy", 9.5)));
    CHECK(isWorse(after("occupancy", 8)));
}

TEST_CASE("one spill, one byte of scratch or the last matrix instruction gone is worse")
{
    CHECK(isWorse(after("spills", 1)));
    CHECK(isWorse(after("scratch_bytes", 1)));
    CHECK(isWorse(after("matrix_instructions", 0)));
    CHECK_FALSE(isWorse(after("matrix_instructions", 4)));
}

TEST_CASE("a default kernel that moved to another shader keeps its matrix instructions")
{
    Json now = measured();
    Json kernel = now["kernels"]["attend f16 D64"];
    now["kernels"] = {{"attend_scalar f16 D64", kernel}};
    CHECK_FALSE(isWorse(compare({now}, toCommit({measured()}, Json()))));
    now["kernels"]["attend_scalar f16 D64"]["matrix_instructions"] = 0;
    CHECK(isWorse(compare({now}, toCommit({measured()}, Json()))));
}

TEST_CASE("a target or kernel that is not in the table")
{
    CHECK(isWorse(compare({measured()}, Json::object())));
    Json now = measured();
    now["kernels"]["pool f16 D64"] = {{"spills", 0}};
    CHECK_FALSE(isWorse(compare({now}, toCommit({measured()}, Json()))));
    now["kernels"]["pool f16 D64"] = {{"spills", 2}};
    CHECK(isWorse(compare({now}, toCommit({measured()}, Json()))));
    now["kernels"] = Json::object();
    CHECK(isWorse(compare({now}, toCommit({measured()}, Json())))); // the default kernel of that label is gone
}

TEST_CASE("writing one target keeps the others")
{
    Json other = measured();
    other["target"] = "navi21";
    const Json both = toCommit({measured()}, toCommit({other}, Json()));
    CHECK(compare({measured(), other}, both).empty());
}

TEST_CASE("AMD's figures, by RADV's names")
{
    const Figures f = parseFigures({{"VGPRs", 120},
                                    {"SGPRs", 108},
                                    {"Spilled VGPRs", 2},
                                    {"Spilled SGPRs", 3},
                                    {"Scratch size", 1024},
                                    {"LDS size", 45568},
                                    {"Instructions", 1097},
                                    {"Subgroups per SIMD", 10}},
                                   "BB0:\n"
                                   "\tv_wmma_f32_16x16x16_f16 v[1:8], v[9:16], v[17:24], v[1:8] ; cc404001 1c062309\n"
                                   "\ts_endpgm ; bfb00000\n");
    CHECK(f.registers == 120);
    CHECK(f.spills == 5); // of both kinds
    CHECK(f.scratch_bytes == 1024);
    CHECK(f.shared_bytes == 45568);
    CHECK(f.instructions == 1097);
    CHECK(f.occupancy == 10);
    CHECK(f.matrix_instructions == 1);
    CHECK(f.statistics.at("SGPRs") == 108);
}

TEST_CASE("Intel's figures, by ANV's names")
{
    const Figures f = parseFigures(
        {{"Instruction Count", 2560},
         {"SEND Count", 530},
         {"Loop Count", 9},
         {"Cycle Count", 5990644},
         {"Spill Count", 64},
         {"Fill Count", 40},
         {"Scratch Memory Size", 2048},
         {"Max dispatch width", 16},
         {"Max live registers", 193},
         {"Workgroup Memory Size", 27264}},
        "send(1)         g36UD           g1UD            nullUD          0x6210d500\n"
        "dpas.8x8(16)    g36<1>F         g12<1,1,0>F     g4<1,1,0>HF     g105<1,1,0>HF { align1 WE_all 1H $4 };\n"
        "dpas.8x8(16)    g12<1>F         g20<1,1,0>F     g4<1,1,0>HF     g105<1,1,0>HF { align1 WE_all 1H $14 };\n");
    CHECK(f.registers == 193);
    CHECK(f.spills == 64); // a fill belongs to its spill
    CHECK(f.scratch_bytes == 2048);
    CHECK(f.shared_bytes == 27264);
    CHECK(f.instructions == 2560);
    CHECK_FALSE(f.occupancy.has_value());
    CHECK(f.matrix_instructions == 2);
}

TEST_CASE("NVIDIA's figures, by NVK's names")
{
    const Figures f = parseFigures({{"Instruction count", 2575},
                                    {"Static cycle count", 228552},
                                    {"Max warps/SM", 12},
                                    {"Number of GPRs", 160},
                                    {"SLM size", 152},
                                    {"Spills to memory", 76},
                                    {"Fills from memory", 80},
                                    {"Spills to reg", 4},
                                    {"Fills from reg", 4},
                                    {"Code size", 41200}},
                                   "block.u 0 L1 [] -> {\n"
                                   "      r0..4     = hmma.m16n8k16.f32 r4..8 r8..10 r0..4     // delay=2\n"
                                   "      r0..4     = imma.m16n8k32.s8 r4..8 r8..10 r0..4      // delay=2\n"
                                   "                  exit\n"
                                   "} -> []\n");
    CHECK(f.registers == 160);
    CHECK(f.spills == 76); // a move to another kind of register is none
    CHECK(f.scratch_bytes == 152);
    CHECK_FALSE(f.shared_bytes.has_value());
    CHECK(f.instructions == 2575);
    CHECK(f.occupancy == 12);
    CHECK(f.matrix_instructions == 2);
}

TEST_CASE("a driver without text, or with no known name, leaves the figures out")
{
    const Figures none = parseFigures({{"Code size", 41200}}, "");
    CHECK_FALSE(none.registers.has_value());
    CHECK_FALSE(none.spills.has_value());
    CHECK_FALSE(none.matrix_instructions.has_value());
    CHECK(parseFigures({}, "mov(8) g1<1>UD 0x0UD").matrix_instructions == 0);
    CHECK(parseFigures({}, "// label_dpas:\nx_v_wmma_y").matrix_instructions == 0); // inside other words
}

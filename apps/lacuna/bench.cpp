// bench.cpp - `lacuna bench attend`: time never without error, sparse never without dense, all in
// one run.
//
// SPDX-License-Identifier: Apache-2.0
//
// Every case is checked against double precision first. Then the cases of one shape take turns, so
// that what disturbs the machine disturbs all of them, and medians over the turns are compared.
#include "bench_cases.h"
#include "command.h"
#include "output.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace lacuna::tool
{
namespace
{

using Json = nlohmann::json;

void timeCases(std::vector<BenchCase>& cases, uint32_t repeat, const std::string& label)
{
    Progress progress(label, size_t(repeat) * cases.size());
    size_t done = 0;
    for (uint32_t turn = 0; turn < repeat; ++turn)
        for (BenchCase& c : cases)
        {
            throwIfInterrupted();
            if (const auto ms = c.peer ? c.peer->run() : c.measurement->run())
                c.ms.push_back(*ms);
            if (c.is_timed_by_pass)
                for (const host::Timing& pass : c.measurement->runByPass())
                    c.pass_ms[pass.name].push_back(pass.ms);
            progress.step(++done);
        }
}

// Name and median time of each pass, where they were timed.
Json passesOf(const BenchCase& c)
{
    Json passes = Json::array();
    if (!c.pass_ms.empty())
        for (const Json& pass : c.report["passes"])
            passes.push_back({{"name", pass["name"]},
                              {"is_attend", pass["is_attend"]},
                              {"ms", median(c.pass_ms.at(pass["name"]))}});
    return passes;
}

// Milliseconds spent on the order of the tokens and on the selection.
double overheadOf(const Json& passes)
{
    double ms = 0;
    for (const Json& pass : passes)
        if (!pass["is_attend"] || pass["name"].get<std::string>().starts_with("gather"))
            ms += pass["ms"].get<double>();
    return ms;
}

// Medians, and the ratios to the dense case of the same tier.
void finishReports(std::vector<BenchCase>& cases, const LacunaPlanDesc& desc,
                   const host::Device& device, const std::string& shape)
{
    const double dense_flops =
        4.0 * desc.head_dim * desc.batch * desc.q_heads * double(desc.q_len) * desc.k_len;
    for (BenchCase& c : cases)
    {
        const auto dense = std::find_if(cases.begin(), cases.end(), [&](const BenchCase& other)
                                        { return other.tier == c.tier && other.is_dense; });
        const double ms = median(c.ms), density = c.report["density"];
        Json& r = c.report;
        r["version"] = LACUNA_VERSION_TEXT;
        r["device"] = device.info().name;
        r["driver"] = device.info().driver;
        r["shape"] = shape;
        r["ms"] = c.ms.empty() ? Json() : Json(ms); // null: the device has no timestamps
        r["ms_all"] = c.ms;
        r["gflops"] = ms > 0 ? Json(dense_flops * density / ms * 1e-6) : Json();
        const bool has_dense = dense != cases.end() && ms > 0 && &*dense != &c;
        r["speedup"] = has_dense ? Json(median(dense->ms) / ms) : Json();
        r["passes"] = passesOf(c);
        const double overhead = overheadOf(r["passes"]);
        r["overhead_of_dense"] =
            has_dense && !c.pass_ms.empty() ? Json(overhead / median(dense->ms)) : Json();
        r["time_over_density"] = has_dense ? Json(ms / (density * median(dense->ms))) : Json();
    }
}

std::string number(const Json& value, const char* format)
{
    return value.is_null() ? "" : fmt::format(fmt::runtime(format), value.get<double>());
}

const char* const kHeader[] = {"kernel",
                               "shape",
                               "mask",
                               "density",
                               "ms",
                               "GFLOP/s",
                               "speed-up",
                               "time / (density x dense)",
                               "order + selection / dense",
                               "max error",
                               "LSE error",
                               "tile"};

std::vector<std::string> cells(const Json& r)
{
    const auto optional = [&](const char* name)
    {
        return r.contains(name) ? r[name] : Json();
    };
    return {r["tier"],
            r["shape"],
            r["mask"],
            number(r["density"], "{:.3f}"),
            number(r["ms"], "{:.3f}"),
            number(r["gflops"], "{:.1f}"),
            number(r["speedup"], "{:.2f}"),
            number(r["time_over_density"], "{:.2f}"),
            number(r["overhead_of_dense"], "{:.3f}"),
            number(optional("error_max"), "{:.1e}"),
            number(optional("lse_error_max"), "{:.1e}"),
            r["tile"]};
}

void printHeader(const std::string& format, const host::DeviceInfo& device)
{
    if (format == "jsonl")
        return;
    if (format == "csv")
        fmt::print("{}\n", fmt::join(kHeader, ","));
    else
        fmt::print("{}, {}\n\n| {} |\n|{}\n", device.name, device.driver, fmt::join(kHeader, " | "),
                   fmt::join(std::vector<std::string>(std::size(kHeader), "---|"), ""));
}

void print(const std::string& format, const Json& report)
{
    if (format == "jsonl")
        fmt::print("{}\n", report.dump());
    else if (format == "md")
        fmt::print("| {} |\n", fmt::join(cells(report), " | "));
    else
    {
        std::vector<std::string> quoted;
        for (const std::string& cell : cells(report))
            quoted.push_back(cell.find(',') == std::string::npos ? cell : "\"" + cell + "\"");
        fmt::print("{}\n", fmt::join(quoted, ","));
    }
}

std::vector<Json> benchShape(host::Device& device, const BenchFlags& flags,
                             const std::string& shape)
{
    const Qkv qkv = randomQkv(shape, flags.seed, "--shape");
    LacunaPlanDesc desc = {};
    qkv.describe(desc);
    desc.dtype = dtypeOf(flags.precision);
    desc.out_dtype = desc.dtype;
    desc.sums = flags.sums;

    std::vector<BenchCase> cases;
    for (const std::string& tier : flags.tiers)
    {
        cases.push_back(makeDense(device, flags, desc, qkv, tier));
        for (const double density : flags.densities)
            for (const bool is_skewed : {false, true})
                if (density < 1 && is_skewed <= flags.skew)
                    cases.push_back(makeRandom(device, flags, desc, qkv, tier, density, is_skewed));
        for (const std::string& method : flags.methods)
            cases.push_back(makeMethod(device, flags, desc, qkv, tier, method));
    }
    for (const std::string& peer : flags.peers)
        cases.push_back(makePeer(flags, peer, desc));
    timeCases(cases, flags.repeat, shape);
    finishReports(cases, desc, device, shape);
    std::vector<Json> reports;
    for (BenchCase& c : cases)
        reports.push_back(std::move(c.report));
    return reports;
}

void run(const BenchFlags& flags)
{
    std::optional<OutputFile> output;
    if (!flags.output.empty())
        output.emplace(flags.output);
    for (const std::string& shape : flags.shapes) // a wrong one is found before the first is timed
        parseSizes(shape, 4, "--shape");
    host::Device device({.index = flags.device});
    bool is_first = true;
    for (const std::string& shape : flags.shapes)
    {
        const std::vector<Json> reports = benchShape(device, flags, shape);
        if (std::exchange(is_first, false))
            printHeader(flags.format, device.info());
        for (const Json& report : reports)
        {
            print(flags.format, report);
            if (output)
                output->write(report.dump() + "\n");
        }
    }
    if (output)
        output->commit();
}

void addAttendBench(CLI::App& bench)
{
    CLI::App* const command = bench.add_subcommand(
        "attend", "the attention kernels: shapes x tiers x densities, dense and random blocks");
    const auto flags = std::make_shared<BenchFlags>();
    command->add_option("--device", flags->device, "index from `lacuna devices`")
        ->check(CLI::NonNegativeNumber)
        ->type_name("N");
    command->add_option("--shape", flags->shapes, "q, k, v ~ N(0, 1); comma-separated")
        ->delimiter(',')
        ->type_name("BxHxNxD")
        ->capture_default_str();
    command->add_option("--tier", flags->tiers, "kernel families; comma-separated")
        ->delimiter(',')
        ->check(CLI::IsMember({"auto", "scalar", "coopmat", "coopmat2"}))
        ->capture_default_str();
    command
        ->add_option("--density", flags->densities,
                     "shares of the key blocks to keep beside dense; comma-separated")
        ->delimiter(',')
        ->check(CLI::Range(0.0, 1.0))
        ->capture_default_str();
    command->add_flag("--skew", flags->skew,
                      "each density a second time, one row of each head keeping all its blocks and "
                      "the others sharing the rest");
    command
        ->add_option("--method", flags->methods,
                     "a method beside dense and random blocks, timed pass by pass as well; may be "
                     "repeated")
        ->type_name("\"NAME OPTION=VALUE ...\"");
    command->add_option("--grid", flags->grid, "the video tokens for --method, which are N")
        ->type_name("TxHxW");
    command->add_option("--block", flags->block, "tokens of a block of the random masks")
        ->check(CLI::Range(1, 65536))
        ->capture_default_str();
    command->add_option("--key-block", flags->key_block,
                        "tokens of a block of their keys, 1 for single keys; else as --block")
        ->check(CLI::Range(1, 65536));
    command->add_option("--repeat", flags->repeat, "timed turns")
        ->check(CLI::Range(1, 10000))
        ->capture_default_str();
    command->add_option("--seed", flags->seed, "of tensors and masks")->capture_default_str();
    command->add_option("--precision", flags->precision, "of q, k, v and the result")
        ->check(CLI::IsMember({"f16", "bf16", "f32"}))
        ->capture_default_str();
    addSumsFlag(*command, flags->sums);
    command
        ->add_option("--reference-budget", flags->reference_budget,
                     "multiply-adds to spend on checking each case; beyond it a sample of the "
                     "queries is compared")
        ->check(CLI::PositiveNumber)
        ->capture_default_str();
    command
        ->add_option("--peer", flags->peers,
                     "another program to take turns with, dense; may be repeated; see tools/bench")
        ->type_name("NAME=COMMAND");
    command->add_option("--format", flags->format, "of the table on stdout")
        ->check(CLI::IsMember({"md", "csv", "jsonl"}))
        ->capture_default_str();
    command->add_option("-o,--output", flags->output, "the same as JSON lines, with every time")
        ->type_name("FILE");
    command->callback([flags] { run(*flags); });
}

} // namespace

void addBench(CLI::App& app)
{
    CLI::App* const command = app.add_subcommand("bench", "speed, never without error");
    command->require_subcommand(1);
    addAttendBench(*command);
}

} // namespace lacuna::tool

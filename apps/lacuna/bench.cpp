// bench.cpp - `lacuna bench attend`: time never without error, sparse never without dense, all in
// one run.
//
// SPDX-License-Identifier: Apache-2.0
//
// Every case is checked against double precision first. Then the cases of one shape take turns, so
// that what disturbs the machine disturbs all of them, and medians over the turns are compared.
#include "accuracy.h"
#include "command.h"
#include "measure.h"
#include "output.h"
#include "peer.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <memory>
#include <random>
#include <utility>

namespace lacuna::tool
{
namespace
{

using Json = nlohmann::json;

struct Flags
{
    int device = -1;
    std::vector<std::string> shapes = {"1x1x2048x64", "1x4x2048x64", "1x1x2048x128"};
    std::vector<std::string> tiers = {"auto"};
    std::vector<double> densities = {0.25, 0.1};
    std::vector<std::string> peers;
    uint32_t block = 64;
    uint32_t repeat = 9;
    uint64_t seed = 1;
    double reference_budget = 2e8;
    bool skew = false;
    std::string precision = "f16", format = "md", output;
};

// One line of the table.
struct Case
{
    std::string tier;
    double requested = 1; // density; 1 is the method `dense`
    std::unique_ptr<Measurement> measurement;
    std::unique_ptr<Peer> peer; // instead of the measurement
    std::vector<double> ms;
    Json report;
};

// Blocks that row `row` keeps of `rows`, on average `keep`. Skewed: the one in the middle keeps all
// `blocks`, the others share the rest.
uint32_t keptBlocks(uint32_t row, uint32_t rows, uint32_t blocks, uint32_t keep, bool is_skewed)
{
    if (!is_skewed || rows == 1)
        return keep;
    const uint32_t middle = rows / 2, others = rows - 1;
    if (row == middle)
        return blocks;
    const uint64_t rest = uint64_t(keep) * rows - blocks, i = row - (row > middle);
    return uint32_t(rest * (i + 1) / others - rest * i / others);
}

// Key blocks of each row and head, drawn at random; adjacent ones are one span.
host::Attention::Kept randomList(const LacunaPlanDesc& desc, uint32_t block, double density,
                                 bool is_skewed, uint64_t seed)
{
    const auto borders = [&](uint32_t tokens)
    {
        std::vector<uint32_t> result;
        for (uint64_t token = 0; token < tokens; token += block)
            result.push_back(uint32_t(token));
        result.push_back(tokens);
        return result;
    };
    const auto identity = [](uint32_t tokens)
    {
        std::vector<uint32_t> result(tokens);
        for (uint32_t i = 0; i < tokens; ++i)
            result[i] = i;
        return result;
    };
    host::Attention::Kept list;
    list.heads = desc.batch * desc.q_heads;
    list.row_borders = borders(desc.q_len);
    list.key_borders = borders(desc.k_len);
    list.q_order = identity(desc.q_len);
    list.k_order = identity(desc.k_len);

    const uint32_t blocks = uint32_t(list.key_borders.size() - 1);
    const uint32_t average = std::max(1u, uint32_t(density * blocks + 0.5));
    const uint32_t rows = uint32_t(list.row_borders.size() - 1);
    std::mt19937_64 random(seed);
    std::vector<uint32_t> drawn(blocks);
    for (uint64_t row = 0; row < uint64_t(list.heads) * rows; ++row)
    {
        const uint32_t keep = keptBlocks(uint32_t(row % rows), rows, blocks, average, is_skewed);
        for (uint32_t i = 0; i < blocks; ++i)
            drawn[i] = i;
        for (uint32_t i = 0; i < keep; ++i)
            std::swap(drawn[i], drawn[i + random() % (blocks - i)]);
        std::sort(drawn.begin(), drawn.begin() + keep);

        std::vector<host::Attention::Span> spans;
        for (uint32_t i = 0; i < keep; ++i)
        {
            const uint32_t begin = list.key_borders[drawn[i]], end = list.key_borders[drawn[i] + 1];
            if (!spans.empty() && spans.back().end == begin)
                spans.back().end = end;
            else
                spans.push_back({begin, end});
        }
        list.spans.push_back(std::move(spans));
    }
    return list;
}

Case makeCase(host::Device& device, const Flags& flags, LacunaPlanDesc desc, const Qkv& qkv,
              const std::string& tier, double density, bool is_skewed)
{
    const std::string block = std::to_string(flags.block);
    const LacunaOption option = {"block", block.c_str()};
    desc.tier = DeviceFlags{.tier = tier}.tierValue();
    Case made;
    made.tier = tier;
    made.requested = density;
    if (density == 1)
    {
        desc.method = "dense";
        made.measurement = std::make_unique<Measurement>(device, desc, qkv);
    }
    else
    {
        desc.method = "key_spans";
        desc.options = &option;
        desc.option_count = 1;
        made.measurement = std::make_unique<Measurement>(
            device, desc, qkv, randomList(desc, flags.block, density, is_skewed, flags.seed));
    }

    const Measurement& m = *made.measurement;
    const Json explain = Json::parse(m.attention().explain());
    made.measurement->run(); // lavapipe and others finish compiling here
    const Accuracy accuracy =
        measureAccuracy(desc, qkv, m.kept(), m.out(), m.lse(), flags.reference_budget);
    made.report = {{"tier", explain["tier"]},
                   {"tile", explain["tile"]},
                   {"mask", (density == 1 ? "dense" : "random blocks of " + block) +
                                (is_skewed ? ", one row keeps all" : "")},
                   {"density", m.kept().density()},
                   {"error_max", accuracy.kernel.max()},
                   {"error_rel_l1", accuracy.kernel.relativeL1()},
                   {"lse_error_max", accuracy.lse_max},
                   {"queries_compared", accuracy.queries}};
    return made;
}

Case makePeer(const Flags& flags, const std::string& text, const LacunaPlanDesc& desc)
{
    Case made;
    made.peer = std::make_unique<Peer>(text, desc, flags.precision);
    made.report = {{"tier", made.peer->name()},
                   {"tile", made.peer->description()},
                   {"mask", "dense"},
                   {"density", 1.0}};
    return made;
}

void timeCases(std::vector<Case>& cases, uint32_t repeat, const std::string& label)
{
    Progress progress(label, size_t(repeat) * cases.size());
    size_t done = 0;
    for (uint32_t turn = 0; turn < repeat; ++turn)
        for (Case& c : cases)
        {
            throwIfInterrupted();
            if (const auto ms = c.peer ? c.peer->run() : c.measurement->run())
                c.ms.push_back(*ms);
            progress.step(++done);
        }
}

// Medians, and the ratios to the dense case of the same tier.
void finishReports(std::vector<Case>& cases, const LacunaPlanDesc& desc, const host::Device& device,
                   const std::string& shape)
{
    const double dense_flops =
        4.0 * desc.head_dim * desc.batch * desc.q_heads * double(desc.q_len) * desc.k_len;
    for (Case& c : cases)
    {
        const auto dense = std::find_if(cases.begin(), cases.end(), [&](const Case& other)
                                        { return other.tier == c.tier && other.requested == 1; });
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
        r["time_over_density"] = has_dense ? Json(ms / (density * median(dense->ms))) : Json();
    }
}

std::string number(const Json& value, const char* format)
{
    return value.is_null() ? "" : fmt::format(fmt::runtime(format), value.get<double>());
}

const char* const kHeader[] = {"kernel",    "shape",     "mask",     "density",
                               "ms",        "GFLOP/s",   "speed-up", "time / (density x dense)",
                               "max error", "LSE error", "tile"};

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

std::vector<Json> benchShape(host::Device& device, const Flags& flags, const std::string& shape)
{
    const Qkv qkv = randomQkv(shape, flags.seed, "--shape");
    LacunaPlanDesc desc = {};
    qkv.describe(desc);
    desc.dtype = dtypeOf(flags.precision);
    desc.out_dtype = desc.dtype;

    std::vector<Case> cases;
    for (const std::string& tier : flags.tiers)
    {
        cases.push_back(makeCase(device, flags, desc, qkv, tier, 1, false));
        for (const double density : flags.densities)
            for (const bool is_skewed : {false, true})
                if (density < 1 && is_skewed <= flags.skew)
                    cases.push_back(makeCase(device, flags, desc, qkv, tier, density, is_skewed));
    }
    for (const std::string& peer : flags.peers)
        cases.push_back(makePeer(flags, peer, desc));
    timeCases(cases, flags.repeat, shape);
    finishReports(cases, desc, device, shape);
    std::vector<Json> reports;
    for (Case& c : cases)
        reports.push_back(std::move(c.report));
    return reports;
}

void run(const Flags& flags)
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
    const auto flags = std::make_shared<Flags>();
    command->add_option("--device", flags->device, "index from `lacuna devices`")
        ->check(CLI::NonNegativeNumber)
        ->type_name("N");
    command->add_option("--shape", flags->shapes, "q, k, v ~ N(0, 1); comma-separated")
        ->delimiter(',')
        ->type_name("BxHxNxD")
        ->capture_default_str();
    command->add_option("--tier", flags->tiers, "kernel families; comma-separated")
        ->delimiter(',')
        ->check(CLI::IsMember({"auto", "scalar", "coopmat"}))
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
    command->add_option("--block", flags->block, "tokens of a block of the random masks")
        ->check(CLI::Range(1, 65536))
        ->capture_default_str();
    command->add_option("--repeat", flags->repeat, "timed turns")
        ->check(CLI::Range(1, 10000))
        ->capture_default_str();
    command->add_option("--seed", flags->seed, "of tensors and masks")->capture_default_str();
    command->add_option("--precision", flags->precision, "of q, k, v and the result")
        ->check(CLI::IsMember({"f16", "f32"}))
        ->capture_default_str();
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

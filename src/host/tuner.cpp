// tuner.cpp - the micro-benchmark of `lacuna tune`: tiles take turns on one small dense attention.
//
// SPDX-License-Identifier: Apache-2.0
#include "choice.h"
#include "impl.h"

#include <algorithm>
#include <cmath>
#include <ctime>

namespace lacuna::host
{
namespace
{

constexpr uint32_t kTurns = 9;
constexpr double kNoise = 0.03; // a tile must be that much faster than the default

// Few numbers away from the defaults of attend_scalar.cpp and attend_coopmat.cpp. What is the same
// as another one, or does not fit the device, drops out.
constexpr const char* kScalarCpu[] = {"",       "rows_per_lane=2", "rows_per_lane=8",
                                      "keys=2", "keys=8",          "rows_per_lane=2,keys=8"};
constexpr const char* kScalarGpu[] = {"",           "rows_per_lane=1", "rows_per_lane=2",
                                      "threads=64", "threads=256",     "split=2",
                                      "split=4",    "split=8",         "keys=8"};
constexpr const char* kCoopmat[] = {"",
                                    "strips=2",
                                    "strips=8",
                                    "slices=1",
                                    "slices=2",
                                    "slices=4",
                                    "keys=32",
                                    "keys=128",
                                    "pad=0",
                                    "hold=yes",
                                    "strips=2,tiles=2",
                                    "hold=yes,strips=2,tiles=2",
                                    "direct=yes",
                                    "hold=yes,strips=8",
                                    "orientation=rows",
                                    "orientation=columns",
                                    "softmax=shared",
                                    "softmax=shared,strips=8",
                                    "softmax=shared,direct=yes"};
constexpr const char* kCoopmat2[] = {
    "",        "rows=32",  "rows=128",       "keys=32",
    "keys=64", "keys=128", "scope=subgroup", "scope=subgroup,strips=8"};

// Of the explanation, which the library wrote.
std::string tileOf(const std::string& explain)
{
    const std::string name = "\"tile\": \"";
    const size_t begin = explain.find(name) + name.size();
    return explain.substr(begin, explain.find('"', begin) - begin);
}

double median(std::vector<double> values)
{
    std::sort(values.begin(), values.end());
    return (values[(values.size() - 1) / 2] + values[values.size() / 2]) / 2;
}

std::string today()
{
    const std::time_t now = std::time(nullptr);
    char text[16];
    std::strftime(text, sizeof(text), "%Y-%m-%d", std::gmtime(&now));
    return text;
}

} // namespace

class Tuner
{
public:
    Tuner(Device& device, LacunaDtype dtype, uint32_t head_dim);
    std::vector<TuneRow> run(const std::function<void(size_t, size_t)>& progress);

private:
    struct Candidate
    {
        TuneRow row;
        Attention attention;
        std::vector<double> ms;
    };
    void add(LacunaTier tier, const char* tuning);
    void createTensors();
    double time(const Candidate& candidate);
    std::vector<float> result() const;
    void refuseWrong();
    void keep(const TuneRow& best);

    Device& device_;
    LacunaPlanDesc desc_ = {};
    LacunaTier default_tier_;
    std::vector<Candidate> candidates_;
    Buffer q_, k_, v_, out_;
};

// Large enough to fill the device, and to take milliseconds.
Tuner::Tuner(Device& device, LacunaDtype dtype, uint32_t head_dim) : device_(device)
{
    const bool is_cpu = device.info().is_cpu;
    desc_.method = "dense";
    desc_.batch = 1;
    desc_.q_heads = is_cpu ? 1 : 16;
    desc_.q_len = is_cpu ? 1024 : 4096;
    desc_.head_dim = head_dim;
    desc_.dtype = dtype;
    desc_.out_dtype = LACUNA_DTYPE_F32;

    // What a plan gets by itself, whatever the environment and earlier runs say.
    LacunaPlan plan = nullptr;
    LacunaPlanInfo info = {};
    device.check(lacunaCreatePlan(device.context(), &desc_, &plan));
    const Plan owner(plan);
    device.check(lacunaGetPlanInfo(plan, &info));
    default_tier_ = info.tier;
    if (default_tier_ == LACUNA_TIER_COOPMAT2)
        for (const char* const tuning : kCoopmat2)
            add(LACUNA_TIER_COOPMAT2, tuning);
    if (default_tier_ != LACUNA_TIER_SCALAR)
        for (const char* const tuning : kCoopmat)
            add(LACUNA_TIER_COOPMAT, tuning);
    for (const char* const tuning : is_cpu ? std::span<const char* const>(kScalarCpu)
                                           : std::span<const char* const>(kScalarGpu))
        add(LACUNA_TIER_SCALAR, tuning);
    candidates_.front().row.is_default = true;
    createTensors();
}

void Tuner::add(LacunaTier tier, const char* tuning)
{
    const auto pairs = parseTile(tuning, "tuning");
    std::vector<LacunaOption> options;
    for (const auto& [name, value] : pairs)
        options.push_back({name.c_str(), value.c_str()});
    LacunaPlanDesc desc = desc_;
    desc.tier = tier;
    desc.tuning = options.data();
    desc.tuning_count = uint32_t(options.size());
    try
    {
        Candidate candidate = {{}, Attention(device_, desc), {}};
        candidate.row.tier = tierName(tier);
        candidate.row.tuning = tuning;
        candidate.row.tile = tileOf(candidate.attention.explain());
        const bool is_new = std::none_of(candidates_.begin(), candidates_.end(),
                                         [&](const Candidate& other) {
                                             return other.row.tier == candidate.row.tier &&
                                                    other.row.tile == candidate.row.tile;
                                         });
        if (is_new || candidate.row.tuning == "pad=0") // the text does not tell the pad
            candidates_.push_back(std::move(candidate));
    }
    catch (const Error& error)
    {
        if (error.result() != LACUNA_ERROR_UNSUPPORTED)
            throw;
    }
}

// Numbers in -1..1 of a multiplicative hash.
void Tuner::createTensors()
{
    const uint64_t count = uint64_t(desc_.q_heads) * desc_.q_len * desc_.head_dim;
    uint32_t seed = 1;
    for (Buffer* const buffer : {&q_, &k_, &v_})
    {
        std::vector<float> values(count);
        std::vector<uint16_t> halves(count);
        for (uint64_t i = 0; i < count; ++i)
        {
            seed = seed * 1664525 + 1013904223;
            values[i] = float(int32_t(seed)) * 0x1p-31f;
            halves[i] = toHalf(values[i]);
        }
        const auto bytes = desc_.dtype == LACUNA_DTYPE_F16 ? std::as_bytes(std::span(halves))
                                                           : std::as_bytes(std::span(values));
        *buffer = device_.createBuffer(bytes.size());
        device_.upload(*buffer, bytes);
    }
    out_ = device_.createBuffer(count * sizeof(float));
}

double Tuner::time(const Candidate& candidate)
{
    const std::vector<Timing> timings = device_.run(
        [&](Commands& commands)
        {
            commands.beginTimer("tile");
            candidate.attention.record(commands, q_.memory(), k_.memory(), v_.memory(),
                                       out_.memory());
            commands.endTimer("tile");
        });
    if (timings.empty())
        throw Error(LACUNA_ERROR_UNSUPPORTED, "tune: " + device_.info().name +
                                                  " has no timestamps, tiles cannot be compared");
    return timings.front().ms;
}

std::vector<float> Tuner::result() const
{
    std::vector<float> values(out_.size() / sizeof(float));
    device_.download(out_, std::as_writable_bytes(std::span(values)));
    return values;
}

// Runs each once, which also ends the driver's compilation. The default passed the self-test, and
// all must give its numbers up to rounding: each weight to fp16, of values up to 1.
void Tuner::refuseWrong()
{
    std::vector<float> expected;
    for (Candidate& candidate : candidates_)
    {
        time(candidate);
        const std::vector<float> got = result();
        if (expected.empty())
            expected = got;
        double error = 0;
        for (size_t i = 0; i < got.size(); ++i)
        {
            const double difference = std::fabs(double(got[i]) - expected[i]);
            error = difference <= error ? error : difference; // NaN sticks
        }
        if (!(error <= 0x1p-9))
            candidate.row.refused =
                "its result is off by " + std::to_string(error) + " from that of the default tile";
    }
}

// A later run finds the tile by device, driver and library.
void Tuner::keep(const TuneRow& best)
{
    const LacunaTier tier = best.tier == tierName(default_tier_)         ? LACUNA_TIER_AUTO
                            : best.tier == tierName(LACUNA_TIER_COOPMAT) ? LACUNA_TIER_COOPMAT
                                                                         : LACUNA_TIER_SCALAR;
    TunedTiles& tuned = device_.impl_->tuned;
    tuned.read(device_.impl_->cache_key, device_.info().describe_json);
    tuned.set({desc_.dtype, desc_.head_dim, tier, best.tuning, today()});
    tuned.write(device_.impl_->cache_key, device_.info().describe_json);
}

std::vector<TuneRow> Tuner::run(const std::function<void(size_t, size_t)>& progress)
{
    refuseWrong();
    const size_t all = kTurns * candidates_.size();
    size_t done = 0;
    for (uint32_t turn = 0; turn < kTurns; ++turn)
        for (Candidate& candidate : candidates_)
        {
            if (candidate.row.refused.empty())
                candidate.ms.push_back(time(candidate));
            if (progress)
                progress(++done, all);
        }
    std::vector<TuneRow> rows;
    size_t best = 0;
    for (size_t i = 0; i < candidates_.size(); ++i)
    {
        TuneRow& row = candidates_[i].row;
        row.ms = row.refused.empty() ? median(candidates_[i].ms) : 0;
        rows.push_back(row);
        const double limit = best == 0 ? rows[0].ms * (1 - kNoise) : rows[best].ms;
        if (row.refused.empty() && row.ms < limit)
            best = i;
    }
    rows[best].is_best = true;
    keep(rows[best]);
    return rows;
}

std::vector<TuneRow> tune(Device& device, LacunaDtype dtype, uint32_t head_dim,
                          const std::function<void(size_t, size_t)>& progress)
{
    return Tuner(device, dtype, head_dim).run(progress);
}

} // namespace lacuna::host

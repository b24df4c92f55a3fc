// ctest: label=vk timeout=300 app
// test_searches.cpp - `lacuna calibrate --search`: heads with a planted structure are found.
//
// SPDX-License-Identifier: Apache-2.0
#include "run_tool.h"

#include "lacuna/errors.h"
#include "lacuna/safetensors.h"
#include "lacuna/searches.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <numbers>
#include <random>

using namespace lacuna::test;
using namespace lacuna::tool;
using Json = nlohmann::json;

namespace
{

struct Size
{
    uint32_t t, h, w;
    uint32_t tokens() const { return t * h * w; }
};

struct Place
{
    uint32_t t, h, w;
};

constexpr uint32_t kChannels = 64;
using Row = std::array<float, kChannels>;

// What a head looks for at a place, and what it finds there; its values are that much larger.
struct Head
{
    std::function<Row(const Place&)> query, key;
    float values = 1;
};

// A head whose logits fall from 14 to about 0 over `reach` places of an order.
Head nearHead(const std::function<uint32_t(const Place&)>& order, uint32_t reach)
{
    const auto row = [=](const Place& place)
    {
        Row result = {};
        for (uint32_t i = 0; i < kChannels / 2; ++i)
        {
            const double angle =
                std::numbers::pi * order(place) * (i + 1) / (reach * kChannels / 2.0);
            result[2 * i] = float(1.9 * std::cos(angle));
            result[2 * i + 1] = float(1.9 * std::sin(angle));
        }
        return result;
    };
    return {row, row, 4};
}

// A head that looks for keys in the same parts of the axes, or `around` parts away; 0 where an axis
// does not matter.
Head partHead(const Size& part, uint32_t around)
{
    const auto row = [=](const Place& place, uint32_t reach)
    {
        Row result = {};
        const std::array<std::array<uint32_t, 2>, 3> axes = {
            {{place.t, part.t}, {place.h, part.h}, {place.w, part.w}}};
        for (uint32_t axis = 0; axis < 3; ++axis)
        {
            const auto [at, length] = axes[axis];
            const uint32_t own = length > 0 ? at / length : 0;
            for (uint32_t i = own - std::min(own, reach); length > 0 && i <= own + reach; ++i)
                result[20 * axis + i] = 10;
        }
        return result;
    };
    return {[=](const Place& place) { return row(place, around); },
            [=](const Place& place) { return row(place, 0); }, 4};
}

// q, k and v as `generate --capture-qkv` writes them, of one layer in one step.
void writeCapture(const std::string& path, const Size& size, const std::vector<Head>& heads,
                  uint32_t step = 0)
{
    std::mt19937 random(7);
    const auto normal = [&]
    {
        double sum = -6; // of twelve uniform numbers: the same on every machine
        for (int i = 0; i < 12; ++i)
            sum += double(random()) / 4294967296.0;
        return float(sum);
    };
    std::vector<float> q, k, v;
    for (const Head& head : heads)
        for (uint32_t i = 0; i < size.tokens(); ++i)
        {
            const Place place = {i / (size.h * size.w), i / size.w % size.h, i % size.w};
            const Row query = head.query(place), key = head.key(place);
            q.insert(q.end(), query.begin(), query.end());
            k.insert(k.end(), key.begin(), key.end());
            for (uint32_t c = 0; c < kChannels; ++c)
                v.push_back(head.values * normal());
        }
    const std::vector<uint64_t> shape = {1, heads.size(), size.tokens(), kChannels};
    Tensors tensors;
    tensors.arrays["q"] = arrayOfFloats(q, shape, Dtype::F32);
    tensors.arrays["k"] = arrayOfFloats(k, shape, Dtype::F32);
    tensors.arrays["v"] = arrayOfFloats(v, shape, Dtype::F32);
    tensors.metadata = {{"grid", std::to_string(size.t) + "x" + std::to_string(size.h) + "x" +
                                     std::to_string(size.w)},
                        {"step", std::to_string(step)},
                        {"layer", "0"},
                        {"steps", "4"},
                        {"layers", "1"}};
    writeSafetensors(path, tensors);
}

// The choice of each head in the policy that the search writes.
std::vector<std::string> choices(const Folder& folder, const std::string& files,
                                 const std::string& search, uint32_t heads)
{
    const Ran ran = runTool(folder.path, "calibrate --qkv " + files + " --search \"" + search +
                                             "\" -o " + folder.file("p.json"));
    INFO(ran.out, ran.err);
    REQUIRE(ran.status == 0);
    Policy policy = Policy::load(folder.file("p.json"));
    policy.bind({4, 1, heads});
    std::vector<std::string> names;
    for (const uint32_t choice : policy.choicesOf(3, 0))
    {
        std::string name = policy.choices()[choice].method;
        for (const auto& [option, value] : policy.choices()[choice].options)
            if (option == "heads" || option == "window")
                name = value;
        names.push_back(name);
    }
    return names;
}

uint32_t raster(const Size& s, const Place& p)
{
    return (p.t * s.h + p.h) * s.w + p.w;
}

uint32_t tokenMajor(const Size& s, const Place& p)
{
    return (p.h * s.w + p.w) * s.t + p.t;
}

using Names = std::vector<std::string>;

} // namespace

TEST_CASE("svg1: heads that look along the frames and along time")
{
    const Folder folder("test_searches_files");
    const Size size = {8, 8, 8};
    const Head spatial = nearHead([=](const Place& p) { return raster(size, p); }, 64);
    const Head temporal = nearHead([=](const Place& p) { return tokenMajor(size, p); }, 64);
    writeCapture(folder.file("c.safetensors"), size, {temporal, spatial, spatial, temporal});
    CHECK(choices(folder, folder.file("c.safetensors"),
                  "svg1 density=0.2 align=1 block=8 sinks=0",
                  4) == Names{"temporal", "spatial", "spatial", "temporal"});
}

TEST_CASE("paro: each head's order of the axes, one for all steps")
{
    const Folder folder("test_searches_files");
    const Size size = {4, 8, 16};
    const Size* const s = &size;
    std::vector<Head> heads = {
        nearHead([=](const Place& p) { return (p.t * s->h + p.h) * s->w + p.w; }, 32),
        nearHead([=](const Place& p) { return (p.t * s->w + p.w) * s->h + p.h; }, 32),
        nearHead([=](const Place& p) { return (p.h * s->w + p.w) * s->t + p.t; }, 32),
        nearHead([=](const Place& p) { return (p.h * s->t + p.t) * s->w + p.w; }, 32),
        nearHead([=](const Place& p) { return (p.w * s->h + p.h) * s->t + p.t; }, 32),
        nearHead([=](const Place& p) { return (p.w * s->t + p.t) * s->h + p.h; }, 32)};
    const Names names = {"thw", "twh", "hwt", "htw", "wht", "wth"};
    heads[0].values = 0.5f;
    writeCapture(folder.file("0.safetensors"), size, heads);
    CHECK(choices(folder, folder.file("0.safetensors"), "paro block=16 density=0.07", 6) == names);

    // In a later step the first head looks along another order, and louder: that one is for both.
    heads[0] = heads[5];
    writeCapture(folder.file("2.safetensors"), size, heads, 2);
    CHECK(choices(folder, folder.file("0.safetensors") + " " + folder.file("2.safetensors"),
                  "paro block=16 density=0.07",
                  6) == Names{"wth", "twh", "hwt", "htw", "wht", "wth"});
    CHECK(Policy::load(folder.file("p.json")).choices().size() == 6);
}

TEST_CASE("sta: windows that are long where the head is")
{
    const Folder folder("test_searches_files");
    const Size size = {8, 8, 16};
    writeCapture(folder.file("c.safetensors"), size,
                 {partHead({0, 1, 2}, 1), partHead({2, 0, 0}, 0), partHead({0, 0, 2}, 0),
                  partHead({0, 1, 0}, 0)});
    CHECK(choices(folder, folder.file("c.safetensors"), "sta tile=2x1x2", 4) ==
          Names{"1024x3x3", "1x1024x1024", "1024x1024x1", "1024x1x1024"});
}

TEST_CASE("sparse_vdit: five patterns, dense where none does")
{
    const Folder folder("test_searches_files");
    const Size size = {8, 8, 8};
    const Head spatial = nearHead([=](const Place& p) { return raster(size, p); }, 64);
    const Head temporal = nearHead([=](const Place& p) { return tokenMajor(size, p); }, 64);
    const auto only = [](float value)
    {
        Row row = {};
        row[0] = value;
        return row;
    };
    const Head stripe = {[=](const Place&) { return only(10); },
                         [=](const Place& p)
                         { return only(raster(size, p) % 256 < 4 ? 10.0f : 0.0f); }, 2};
    Head silent = spatial; // whatever it attends to says next to nothing
    silent.values = 0.01f;
    // Every query looks for one key far away.
    const auto code = [=](uint32_t token)
    {
        Row row = {};
        for (uint32_t c = 0; c < kChannels; ++c)
            row[c] = (token * 2654435761u >> (c % 16)) * 40503u >> 15 & 1 ? 1.5f : -1.5f;
        for (uint32_t c = 0; c < 9; ++c)
            row[c] = token >> c & 1 ? 4.0f : -4.0f;
        return row;
    };
    const Head scattered = {[=](const Place& p) { return code(raster(size, p)); },
                            [=](const Place& p) { return code(raster(size, p) * 205 % 512); }, 1};
    writeCapture(folder.file("c.safetensors"), size,
                 {spatial, silent, temporal, scattered, stripe});
    const std::string search = "sparse_vdit block=8 lambda=0.1 epsilon=0.4";
    CHECK(choices(folder, folder.file("c.safetensors"), search, 5) ==
          Names{"diagonal", "skip", "multi_diagonal", "dense", "stripe"});
}

TEST_CASE("searches: wrong texts, a target in the place of the search's own choice")
{
    CHECK_THROWS_AS(parseSearch(""), InputError);
    CHECK_THROWS_AS(parseSearch("vsa"), InputError);
    CHECK_THROWS_AS(parseSearch("svg1 density"), InputError);
    CHECK_THROWS_AS(parseSearch("sparse_vdit lambda=-1"), InputError);
    CHECK_THROWS_AS(parseSearch("sparse_vdit epsilon=x"), InputError);
    CHECK(parseSearch("sparse_vdit lambda=0.25").lambda == 0.25);
    CHECK(parseSearch("paro density=0.5").candidates.at(5) == "paro heads=wth density=0.5");

    const Folder folder("test_searches_files");
    const Size size = {2, 4, 4};
    const Head head = nearHead([=](const Place& p) { return raster(size, p); }, 16);
    writeCapture(folder.file("c.safetensors"), size, {head});
    const std::string calibrate = "calibrate --qkv " + folder.file("c.safetensors") + " -o " +
                                  folder.file("p.json") + " --search ";
    const Ran ran = runTool(folder.path, calibrate + "svg1 --target-error 1e-9");
    INFO(ran.err);
    REQUIRE(ran.status == 0);
    CHECK(Json::parse(readFile(folder.file("p.json")))["rules"].empty());
    std::filesystem::remove(folder.file("p.json"));
    checkToolRefuses(folder.path, calibrate + "\"svg1 density=2\"", "density is '2'");
    checkToolRefuses(folder.path, calibrate + "\"svg1 lambda=1\"", "no option 'lambda'");
    checkToolRefuses(folder.path, calibrate + "\"svg1 heads=spatial\"", "heads is given twice");
}

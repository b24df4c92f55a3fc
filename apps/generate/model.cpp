// model.cpp - reads the model file and turns prompts into rows of numbers.
//
// SPDX-License-Identifier: Apache-2.0
#include "model.h"

#include "lacuna/errors.h"
#include "lacuna/safetensors.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <numbers>
#include <sstream>

namespace generate
{

using lacuna::tool::InputError;
namespace fs = std::filesystem;

namespace
{

constexpr const char* kFormat = "lacuna-wan-t2v-pixel-1";

// The metadata of one file; every mistake is told with path, key and value.
struct Metadata
{
    const std::string& path;
    const std::map<std::string, std::string>& values;

    const std::string& text(const char* key) const
    {
        const auto found = values.find(key);
        if (found == values.end())
            throw InputError(
                fmt::format("'{}' is not a video model: its metadata lacks '{}'", path, key));
        return found->second;
    }
    template <typename T>
    T number(const char* key, std::string_view digits, T low, T high) const
    {
        T value = {};
        const auto [end, error] =
            std::from_chars(digits.data(), digits.data() + digits.size(), value);
        if (error != std::errc() || end != digits.data() + digits.size() ||
            !(value >= low && value <= high))
            throw InputError(
                fmt::format("'{}' has {} = '{}' in its metadata, expected a number in {}..{}", path,
                            key, digits, low, high));
        return value;
    }
    uint32_t count(const char* key, uint32_t low, uint32_t high) const
    {
        return number(key, text(key), low, high);
    }
    double real(const char* key, double low, double high) const
    {
        return number(key, text(key), low, high);
    }
    // "24,20,20"
    void counts(const char* key, uint32_t (&out)[3], uint32_t high) const
    {
        std::string_view rest = text(key);
        for (uint32_t& value : out)
        {
            const size_t comma = std::min(rest.find(','), rest.size());
            value = number(key, rest.substr(0, comma), 0u, high);
            rest.remove_prefix(std::min(comma + 1, rest.size()));
        }
        if (!rest.empty())
            throw InputError(
                fmt::format("'{}' has {} = '{}' in its metadata, expected three numbers", path, key,
                            text(key)));
    }
    [[noreturn]] void refuse(const char* key, const std::string& expected) const
    {
        throw InputError(fmt::format("'{}' has {} = '{}' in its metadata, expected {}", path, key,
                                     text(key), expected));
    }
};

std::vector<std::string> vocabularyOf(const Metadata& meta)
{
    const nlohmann::json list = nlohmann::json::parse(meta.text("vocab"), nullptr, false);
    const bool is_list_of_words =
        list.is_array() && !list.empty() &&
        std::all_of(list.begin(), list.end(), [](const auto& word) { return word.is_string(); });
    if (!is_list_of_words)
        meta.refuse("vocab", "a JSON list of words");
    return list.get<std::vector<std::string>>();
}

ModelConfig configOf(const Metadata& meta)
{
    if (meta.text("format") != kFormat)
        meta.refuse("format", fmt::format("'{}'", kFormat));
    ModelConfig c;
    c.dim = meta.count("dim", 64, 8192);
    c.layers = meta.count("layers", 1, 128);
    c.heads = meta.count("heads", 1, 128);
    c.head_dim = meta.count("head_dim", 64, 128);
    c.ffn_dim = meta.count("ffn_dim", 16, 65536);
    c.channels = meta.count("channels", 3, 3);
    c.freq_dim = meta.count("freq_dim", 16, 4096);
    c.text_len = meta.count("text_len", 1, 4096);
    c.text_dim = meta.count("text_dim", 16, 8192);
    c.rope_theta = meta.real("rope_theta", 1.0, 1e9);
    c.position_waves = meta.count("position_waves", 1, 64);
    c.clip = {meta.count("frames", 1, 4096), meta.count("height", 1, 8192),
              meta.count("width", 1, 8192)};
    c.shift = meta.real("shift", 0.01, 100.0);
    c.guidance = meta.real("guidance", 0.0, 100.0);
    c.steps = meta.count("steps", 1, 1000);
    c.vocabulary = vocabularyOf(meta);

    uint32_t patch[3];
    meta.counts("patch", patch, 16);
    if (patch[0] != 1 || patch[1] != patch[2] || patch[1] == 0)
        meta.refuse("patch", "'1,P,P'");
    c.patch = patch[1];
    meta.counts("rope_split", c.rope_split, c.head_dim);
    if (c.rope_split[0] % 2 || c.rope_split[1] % 2 || c.rope_split[2] % 2 ||
        c.rope_split[0] + c.rope_split[1] + c.rope_split[2] != c.head_dim)
        meta.refuse("rope_split", fmt::format("three even numbers with the sum {}", c.head_dim));
    if (c.head_dim % 64 != 0)
        meta.refuse("head_dim", "64 or 128");
    if (c.heads * c.head_dim != c.dim)
        meta.refuse("dim", fmt::format("heads * head_dim = {}", c.heads * c.head_dim));
    for (const auto& [key, value] : {std::pair{"ffn_dim", c.ffn_dim},
                                     {"freq_dim", c.freq_dim},
                                     {"text_dim", c.text_dim},
                                     {"patch", c.patchLength()}})
        if (value % 16 != 0)
            meta.refuse(key, "sizes that are multiples of 16");
    return c;
}

using Shape = std::vector<uint64_t>;

// Every tensor that the model needs, with its shape.
std::map<std::string, Shape> expectedTensors(const ModelConfig& c)
{
    std::map<std::string, Shape> all;
    const auto linear = [&](const std::string& name, uint64_t out, uint64_t in)
    {
        all[name + ".weight"] = {out, in};
        all[name + ".bias"] = {out};
    };
    all["patch_embedding.weight"] = {c.dim, c.channels, 1, c.patch, c.patch};
    all["patch_embedding.bias"] = {c.dim};
    all["position_embedding.weight"] = {c.dim, 3 * uint64_t(c.position_waves)};
    all["text_encoder.embedding.weight"] = {c.vocabulary.size(), c.text_dim};
    all["text_encoder.position.weight"] = {c.text_len, c.text_dim};
    linear("text_embedding.0", c.dim, c.text_dim);
    linear("text_embedding.2", c.dim, c.dim);
    linear("time_embedding.0", c.dim, c.freq_dim);
    linear("time_embedding.2", c.dim, c.dim);
    linear("time_projection.1", 6 * c.dim, c.dim);
    linear("head.head", c.patchLength(), c.dim);
    all["head.modulation"] = {1, 2, c.dim};
    for (uint32_t i = 0; i < c.layers; ++i)
    {
        const std::string block = fmt::format("blocks.{}.", i);
        all[block + "modulation"] = {1, 6, c.dim};
        for (const char* attention : {"self_attn.", "cross_attn."})
        {
            for (const char* part : {"q", "k", "v", "o"})
                linear(block + attention + part, c.dim, c.dim);
            all[block + attention + "norm_q.weight"] = {c.dim};
            all[block + attention + "norm_k.weight"] = {c.dim};
        }
        all[block + "norm3.weight"] = {c.dim};
        all[block + "norm3.bias"] = {c.dim};
        linear(block + "ffn.0", c.ffn_dim, c.dim);
        linear(block + "ffn.2", c.dim, c.ffn_dim);
    }
    return all;
}

} // namespace

Model::Model(const std::string& path)
{
    const lacuna::tool::Tensors file = lacuna::tool::readSafetensors(path);
    config_ = configOf({path, file.metadata});
    for (const auto& [name, shape] : expectedTensors(config_))
    {
        const lacuna::tool::Array& array = file.at(name, path);
        if (array.shape != shape)
            throw InputError(fmt::format("'{}' has the tensor '{}' of shape {}, expected {}", path,
                                         name, array.shapeText(), fmt::join(shape, "x")));
        tensors_[name] = array.toFloats();
    }
}

std::vector<uint32_t> Model::encode(const std::string& prompt) const
{
    const std::vector<std::string>& known = config_.vocabulary;
    std::string lower = prompt;
    std::transform(lower.begin(), lower.end(), lower.begin(),
                   [](unsigned char c) { return char(std::tolower(c)); });
    std::istringstream text(lower);
    std::vector<uint32_t> words;
    for (std::string word; text >> word;)
    {
        const auto found = std::find(known.begin(), known.end(), word);
        if (found == known.end())
            throw InputError(
                fmt::format("the model does not know the word '{}' of the prompt, it knows: {}",
                            word, fmt::join(known, " ")));
        words.push_back(uint32_t(found - known.begin()));
    }
    if (words.size() > config_.text_len)
        throw InputError(fmt::format("the prompt has {} words, the model reads at most {}",
                                     words.size(), config_.text_len));
    return words;
}

std::vector<float> Model::embed(const std::vector<uint32_t>& words) const
{
    const size_t width = config_.text_dim;
    const std::vector<float>& table = tensor("text_encoder.embedding.weight");
    const std::vector<float>& position = tensor("text_encoder.position.weight");
    std::vector<float> rows(config_.text_len * width);
    for (size_t j = 0; j < words.size(); ++j)
        for (size_t i = 0; i < width; ++i)
            rows[j * width + i] = table[words[j] * width + i] + position[j * width + i];
    return rows;
}

std::vector<float> Model::positions(uint32_t frames, uint32_t rows, uint32_t columns) const
{
    const std::vector<float>& weight = tensor("position_embedding.weight");
    const uint32_t waves = config_.position_waves, dim = config_.dim;
    std::vector<float> table;
    table.reserve(size_t(frames) * rows * columns * dim);
    // The three axes add up; each is the sum of cos(pi m u), m = 1.., of the place u in 0..1.
    const auto axis = [&](uint32_t first, uint32_t count)
    {
        std::vector<double> sums(size_t(count) * dim);
        for (uint32_t place = 0; place < count; ++place)
            for (uint32_t m = 0; m < waves; ++m)
            {
                const double wave = std::cos(std::numbers::pi * (m + 1) * (place + 0.5) / count);
                for (uint32_t i = 0; i < dim; ++i)
                    sums[size_t(place) * dim + i] +=
                        wave * weight[size_t(i) * 3 * waves + first + m];
            }
        return sums;
    };
    const std::vector<double> f = axis(0, frames), r = axis(waves, rows),
                              c = axis(2 * waves, columns);
    for (size_t frame = 0; frame < frames; ++frame)
        for (size_t row = 0; row < rows; ++row)
            for (size_t column = 0; column < columns; ++column)
                for (size_t i = 0; i < dim; ++i)
                    table.push_back(
                        float(f[frame * dim + i] + r[row * dim + i] + c[column * dim + i]));
    return table;
}

std::string bundledModelPath()
{
    if (const char* named = std::getenv("LACUNA_MODEL"))
        return named;
    const fs::path file = fs::path("models") / "lacuna-shapes.safetensors";
    std::error_code error;
    const fs::path program = fs::read_symlink("/proc/self/exe", error);
    std::vector<fs::path> places;
    fs::path folder = error ? fs::current_path() : program.parent_path();
    for (int up = 0; up < 4; ++up, folder = folder.parent_path())
    {
        places.push_back(folder / file);
        places.push_back(folder / "share" / "lacuna" / file);
    }
    places.push_back(fs::current_path() / file);
#ifdef LACUNA_SOURCE_DIR
    places.push_back(fs::path(LACUNA_SOURCE_DIR) / file);
#endif
    for (const fs::path& place : places)
        if (fs::exists(place, error))
            return place.string();
    std::vector<std::string> names;
    for (const fs::path& place : places)
        names.push_back(place.string());
    throw InputError(fmt::format(
        "the bundled model is in none of its places ({}); name one with --model or LACUNA_MODEL",
        fmt::join(names, ", ")));
}

} // namespace generate

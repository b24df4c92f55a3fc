// model.h - the bundled video model as its file holds it: sizes, vocabulary, weights.
//
// SPDX-License-Identifier: Apache-2.0
//
// The file is .safetensors with the tensor names of the Wan2.1 text-to-video transformer; the
// metadata gives the sizes. A file is untrusted: every tensor is checked against the sizes.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace generate
{

// What is generated; height and width are multiples of the patch.
struct ClipShape
{
    uint32_t frames = 0;
    uint32_t height = 0;
    uint32_t width = 0;

    uint64_t pixels() const { return uint64_t(frames) * height * width; }
};

struct ModelConfig
{
    uint32_t dim = 0; // width of a token, heads * head_dim
    uint32_t layers = 0;
    uint32_t heads = 0;
    uint32_t head_dim = 0;
    uint32_t ffn_dim = 0;
    uint32_t channels = 0;
    uint32_t patch = 0; // pixels in height and width; 1 frame
    uint32_t freq_dim = 0;
    uint32_t text_len = 0; // rows of the context
    uint32_t text_dim = 0;
    uint32_t rope_split[3] = {}; // channels of a head that turn with frame, row and column
    double rope_theta = 0;
    uint32_t position_waves = 0;         // per axis, of the absolute place of a token
    ClipShape clip;                      // what the model was trained for
    double shift = 0;                    // recommended
    double guidance = 0;                 // recommended
    uint32_t steps = 0;                  // recommended
    std::vector<std::string> vocabulary; // place = row of the embedding

    uint32_t patchLength() const { return channels * patch * patch; }
};

class Model
{
public:
    explicit Model(const std::string& path); // throws tool::InputError

    const ModelConfig& config() const { return config_; }
    const std::vector<float>& tensor(const std::string& name) const { return tensors_.at(name); }

    // Word numbers; throws tool::InputError that names the word and lists the vocabulary.
    std::vector<uint32_t> encode(const std::string& prompt) const;
    // f32 [text_len, text_dim]: embedding + position of each word, then zeros.
    std::vector<float> embed(const std::vector<uint32_t>& words) const;
    // f32 [tokens, dim]: what the absolute place adds to each token, tokens in raster order.
    std::vector<float> positions(uint32_t frames, uint32_t rows, uint32_t columns) const;

private:
    ModelConfig config_;
    std::map<std::string, std::vector<float>> tensors_;
};

// The bundled model: LACUNA_MODEL, else models/lacuna-shapes.safetensors beside or above the
// program, else in the share folder of an installation. Throws tool::InputError that lists the
// places.
std::string bundledModelPath();

} // namespace generate

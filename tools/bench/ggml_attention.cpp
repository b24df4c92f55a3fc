// ggml_attention.cpp - a peer for `lacuna bench attend --peer "ggml=ggml_attention"`: ggml's flash
// attention.
//
// SPDX-License-Identifier: Apache-2.0
//
//   ggml_attention [BACKEND]   Vulkan (the default), CPU, or another part of a device's name
//
// The protocol is in apps/lacuna/peer.h. K and V are fp16 and Q is fp32, as ggml's models have
// them. The time is that of ggml_backend_graph_compute(), which waits for the result.
#include <fmt/format.h>
#include <ggml-backend.h>
#include <ggml.h>
#include <nlohmann/json.hpp>

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

namespace
{

using Json = nlohmann::json;

// The first device whose name or description has `wanted` in it.
ggml_backend_dev_t findDevice(const std::string& wanted)
{
    ggml_backend_load_all();
    std::string known;
    for (size_t i = 0; i < ggml_backend_dev_count(); ++i)
    {
        const ggml_backend_dev_t device = ggml_backend_dev_get(i);
        const std::string name = std::string(ggml_backend_dev_name(device)) + " (" +
                                 ggml_backend_dev_description(device) + ")";
        if (name.find(wanted) != std::string::npos)
            return device;
        known += (known.empty() ? "" : ", ") + name;
    }
    throw std::runtime_error("ggml has no device '" + wanted + "', it has " + known);
}

template <auto kFree>
struct Free
{
    template <typename T>
    void operator()(T* pointer) const
    {
        kFree(pointer);
    }
};

class Attention
{
public:
    // shape: B, H, N, D
    Attention(ggml_backend_dev_t device, const std::vector<int64_t>& shape)
        : backend_(ggml_backend_dev_init(device, nullptr)),
          context_(ggml_init({16 * ggml_tensor_overhead() + ggml_graph_overhead(), nullptr, true}))
    {
        if (!backend_ || !context_)
            throw std::runtime_error("ggml could not be initialized");
        const auto make = [&](ggml_type type)
        {
            return ggml_new_tensor_4d(context_.get(), type, shape[3], shape[2], shape[1], shape[0]);
        };
        ggml_tensor* const q = make(GGML_TYPE_F32);
        ggml_tensor* const k = make(GGML_TYPE_F16);
        ggml_tensor* const v = make(GGML_TYPE_F16);
        ggml_tensor* const out = ggml_flash_attn_ext(context_.get(), q, k, v, nullptr,
                                                     1 / std::sqrt(float(shape[3])), 0, 0);
        if (!ggml_backend_dev_supports_op(device, out))
            throw std::runtime_error("ggml's device does not support this attention");
        graph_ = ggml_new_graph(context_.get());
        ggml_build_forward_expand(graph_, out);
        buffer_.reset(ggml_backend_alloc_ctx_tensors(context_.get(), backend_.get()));
        if (!buffer_)
            throw std::runtime_error("ggml could not allocate the tensors");
        for (ggml_tensor* tensor : {q, k, v})
            fill(tensor);
        description_ = fmt::format("ggml {} flash attention, {}, {}", ggml_version(),
                                   ggml_backend_dev_name(device),
                                   ggml_backend_dev_description(device));
    }

    const std::string& description() const { return description_; }

    double run() // milliseconds
    {
        const auto begin = std::chrono::steady_clock::now();
        if (ggml_backend_graph_compute(backend_.get(), graph_) != GGML_STATUS_SUCCESS)
            throw std::runtime_error("ggml could not compute the graph");
        const std::chrono::duration<double, std::milli> ms =
            std::chrono::steady_clock::now() - begin;
        return ms.count();
    }

private:
    void fill(ggml_tensor* tensor)
    {
        std::mt19937 random(1);
        std::normal_distribution<float> normal;
        std::vector<float> values(size_t(ggml_nelements(tensor)));
        for (float& value : values)
            value = normal(random);
        if (tensor->type == GGML_TYPE_F32)
            ggml_backend_tensor_set(tensor, values.data(), 0, ggml_nbytes(tensor));
        else
        {
            std::vector<ggml_fp16_t> halves(values.size());
            ggml_fp32_to_fp16_row(values.data(), halves.data(), ggml_nelements(tensor));
            ggml_backend_tensor_set(tensor, halves.data(), 0, ggml_nbytes(tensor));
        }
    }

    std::unique_ptr<ggml_backend, Free<ggml_backend_free>> backend_;
    std::unique_ptr<ggml_context, Free<ggml_free>> context_;
    std::unique_ptr<ggml_backend_buffer, Free<ggml_backend_buffer_free>> buffer_;
    ggml_cgraph* graph_ = nullptr; // of the context
    std::string description_;
};

} // namespace

int main(int count, char** arguments)
{
    setenv("GGML_VK_VISIBLE_DEVICES", "0", 0); // else ggml ignores a Vulkan device that is a CPU
    std::unique_ptr<Attention> attention;
    for (std::string line; std::getline(std::cin, line);)
    {
        Json answer;
        try
        {
            const Json question = Json::parse(line);
            if (question.contains("shape"))
            {
                attention = std::make_unique<Attention>(
                    findDevice(count > 1 ? arguments[1] : "Vulkan"), question["shape"]);
                attention->run(); // compiles its shaders
                answer["description"] = attention->description();
            }
            else
                answer["ms"] = attention->run();
        }
        catch (const std::exception& error)
        {
            answer = {{"error", error.what()}};
        }
        std::cout << answer.dump() << std::endl;
    }
}

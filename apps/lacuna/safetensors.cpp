// safetensors.cpp - reads and writes .safetensors; nothing in the file is believed before it is
// checked.
//
// SPDX-License-Identifier: Apache-2.0
#include "safetensors.h"

#include "errors.h"
#include "output.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstring>
#include <optional>

namespace lacuna::tool
{
namespace
{

using Json = nlohmann::json;

constexpr uint64_t kMaxHeaderBytes = 100'000'000; // the limit of the reference implementation

struct Entry
{
    std::string name;
    uint64_t begin = 0;
    uint64_t end = 0;
};

// Everything that can be wrong is told with the path, and the tensor where there is one.
struct Reader
{
    const std::string& path;
    uint64_t data_bytes = 0;

    [[noreturn]] void fail(const std::string& what) const
    {
        throw InputError(fmt::format("'{}' {}", path, what));
    }
    uint64_t integer(const Json& value, const std::string& name, const char* what) const
    {
        if (!value.is_number_unsigned())
            fail(fmt::format(
                "has the tensor '{}' with {} {}, expected a number of at least 0", name, what,
                value.dump(-1, ' ', false, Json::error_handler_t::replace).substr(0, 40)));
        return value.get<uint64_t>();
    }
    Json header(std::span<const std::byte> file) const;
    Dtype dtype(const Json& value, const std::string& name) const;
    Entry entry(const std::string& name, const Json& value, Array& array) const;
    void requireFullCoverage(std::vector<Entry> entries) const;
    void metadata(const Json& value, Tensors& tensors) const;
};

Json Reader::header(std::span<const std::byte> file) const
{
    uint64_t size = 0;
    std::memcpy(&size, file.data(), 8);
    if (size > file.size() - 8 || size > kMaxHeaderBytes)
        fail(fmt::format(
            "claims a header of {} bytes, the file has {} after that number and the limit is {}",
            size, file.size() - 8, kMaxHeaderBytes));
    const char* const text = reinterpret_cast<const char*>(file.data()) + 8;
    if (size == 0 || text[0] != '{')
        fail("is not a .safetensors file: its header does not start with '{'");
    Json json = Json::parse(text, text + size, nullptr, false);
    if (!json.is_object())
        fail("has a header that is not a JSON object");
    return json;
}

Dtype Reader::dtype(const Json& value, const std::string& name) const
{
    constexpr Dtype kAll[] = {Dtype::F16, Dtype::F32,  Dtype::F64, Dtype::U8,  Dtype::I8,
                              Dtype::U16, Dtype::I16,  Dtype::U32, Dtype::I32, Dtype::I64,
                              Dtype::U64, Dtype::Bool, Dtype::BF16};
    const std::string text = value.is_string() ? value.get<std::string>() : "no text";
    for (const Dtype known : kAll)
        if (text == dtypeName(known))
            return known;
    fail(fmt::format("has the tensor '{}' of dtype '{}', which is not supported", name,
                     text.substr(0, 40)));
}

Entry Reader::entry(const std::string& name, const Json& value, Array& array) const
{
    if (!value.is_object() || !value.contains("dtype") || !value.contains("shape") ||
        !value.contains("data_offsets"))
        fail(fmt::format("has the tensor '{}' without one of dtype, shape and data_offsets", name));
    array.dtype = dtype(value["dtype"], name);
    if (!value["shape"].is_array())
        fail(fmt::format("has the tensor '{}' with a shape that is not a list", name));
    for (const Json& size : value["shape"])
        array.shape.push_back(integer(size, name, "a dimension"));
    const Json& offsets = value["data_offsets"];
    if (!offsets.is_array() || offsets.size() != 2)
        fail(fmt::format("has the tensor '{}' with data_offsets that are not two numbers", name));
    const Entry entry = {name, integer(offsets[0], name, "an offset"),
                         integer(offsets[1], name, "an offset")};
    if (entry.begin > entry.end || entry.end > data_bytes)
        fail(fmt::format("has the tensor '{}' at bytes {} .. {}, the file holds {}", name,
                         entry.begin, entry.end, data_bytes));
    const std::optional<uint64_t> needed = byteCount(array.shape, array.dtype);
    if (needed != entry.end - entry.begin)
        fail(fmt::format("has the tensor '{}' of shape {} and dtype {} in {} bytes, expected {}",
                         name, array.shapeText(), dtypeName(array.dtype), entry.end - entry.begin,
                         needed ? std::to_string(*needed) : "more than 64 bits can count"));
    return entry;
}

void Reader::requireFullCoverage(std::vector<Entry> entries) const
{
    std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b)
              { return std::pair(a.begin, a.end) < std::pair(b.begin, b.end); });
    uint64_t covered = 0;
    for (const Entry& entry : entries)
    {
        if (entry.begin != covered)
            fail(fmt::format("has the tensor '{}' at byte {}, expected {}: tensors must neither "
                             "overlap nor leave "
                             "holes",
                             entry.name, entry.begin, covered));
        covered = entry.end;
    }
    if (covered != data_bytes)
        fail(fmt::format("holds {} bytes of data, its tensors cover {}", data_bytes, covered));
}

void Reader::metadata(const Json& value, Tensors& tensors) const
{
    if (!value.is_object())
        fail("has __metadata__ that is not an object");
    for (const auto& [key, text] : value.items())
    {
        if (!text.is_string())
            fail(fmt::format("has the metadata '{}' that is not text", key));
        tensors.metadata[key] = text.get<std::string>();
    }
}

} // namespace

const Array& Tensors::at(const std::string& name, const std::string& path) const
{
    const auto found = arrays.find(name);
    if (found != arrays.end())
        return found->second;
    std::string names;
    for (const auto& [other, array] : arrays)
    {
        names += (names.empty() ? "" : ", ") + other;
        if (names.size() > 200)
        {
            names += ", ...";
            break;
        }
    }
    throw InputError(fmt::format("'{}' has no tensor '{}', it has: {}", path, name,
                                 names.empty() ? "none" : names));
}

Tensors parseSafetensors(std::span<const std::byte> file, const std::string& path)
{
    Reader reader{path};
    if (file.size() < 8)
        reader.fail("is not a .safetensors file: it is shorter than 8 bytes");
    uint64_t header_bytes = 0;
    std::memcpy(&header_bytes, file.data(), 8);
    const Json header = reader.header(file); // checks header_bytes
    const auto data = file.subspan(8 + header_bytes);
    reader.data_bytes = data.size();

    Tensors tensors;
    std::vector<Entry> entries;
    for (const auto& [name, value] : header.items())
    {
        if (name == "__metadata__")
            reader.metadata(value, tensors);
        else
            entries.push_back(reader.entry(name, value, tensors.arrays[name]));
    }
    reader.requireFullCoverage(entries); // before anything is copied: no amplification by overlap
    for (const Entry& entry : entries)
        tensors.arrays[entry.name].bytes.assign(data.begin() + ptrdiff_t(entry.begin),
                                                data.begin() + ptrdiff_t(entry.end));
    return tensors;
}

Tensors readSafetensors(const std::string& path)
{
    const std::string file = readFile(path);
    return parseSafetensors(std::as_bytes(std::span(file)), path);
}

std::vector<std::byte> formatSafetensors(const Tensors& tensors)
{
    Json header = Json::object();
    uint64_t offset = 0;
    for (const auto& [name, array] : tensors.arrays)
    {
        header[name] = {{"dtype", dtypeName(array.dtype)},
                        {"shape", array.shape},
                        {"data_offsets", {offset, offset + array.bytes.size()}}};
        offset += array.bytes.size();
    }
    if (!tensors.metadata.empty())
        header["__metadata__"] = tensors.metadata;
    std::string text = header.dump();
    text.append((8 - text.size() % 8) % 8, ' '); // the data starts at a multiple of 8
    const uint64_t size = text.size();

    std::vector<std::byte> file(8);
    std::memcpy(file.data(), &size, 8);
    const auto head = std::as_bytes(std::span(text));
    file.insert(file.end(), head.begin(), head.end());
    for (const auto& [name, array] : tensors.arrays)
        file.insert(file.end(), array.bytes.begin(), array.bytes.end());
    return file;
}

void writeSafetensors(const std::string& path, const Tensors& tensors)
{
    writeFile(path, formatSafetensors(tensors));
}

} // namespace lacuna::tool

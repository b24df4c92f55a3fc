// npy.cpp - reads and writes NumPy's .npy; nothing in the file is believed before it is checked.
//
// SPDX-License-Identifier: Apache-2.0
#include "npy.h"

#include "errors.h"
#include "output.h"

#include <lacuna/host.hpp>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <optional>
#include <string_view>

namespace lacuna::tool
{

static_assert(std::endian::native == std::endian::little, "the file formats are read in place");

namespace
{

struct DtypeRow
{
    Dtype dtype;
    const char* name;  // safetensors
    const char* descr; // NumPy; NULL when it has none
    size_t size;
};
constexpr DtypeRow kDtypes[] = {
    {Dtype::F16, "F16", "<f2", 2},     {Dtype::F32, "F32", "<f4", 4},
    {Dtype::F64, "F64", "<f8", 8},     {Dtype::U8, "U8", "|u1", 1},
    {Dtype::I8, "I8", "|i1", 1},       {Dtype::U16, "U16", "<u2", 2},
    {Dtype::I16, "I16", "<i2", 2},     {Dtype::U32, "U32", "<u4", 4},
    {Dtype::I32, "I32", "<i4", 4},     {Dtype::I64, "I64", "<i8", 8},
    {Dtype::U64, "U64", "<u8", 8},     {Dtype::Bool, "BOOL", "|b1", 1},
    {Dtype::BF16, "BF16", nullptr, 2},
};

const DtypeRow& row(Dtype dtype)
{
    return *std::find_if(std::begin(kDtypes), std::end(kDtypes),
                         [&](const DtypeRow& r) { return r.dtype == dtype; });
}

constexpr size_t kMaxDimensions = 32; // as NumPy

// The header is a Python dict of three known keys; this reads that and nothing more.
class Header
{
public:
    Header(std::string_view text, const std::string& path) : text_(text), path_(path)
    {
        expect('{');
        while (!take('}'))
        {
            const std::string_view key = quoted();
            expect(':');
            value(key);
            if (!take(','))
            {
                expect('}');
                break;
            }
        }
        space();
        if (at_ != text_.size())
            fail("has text after its header");
        if (!dtype || !has_order_ || !has_shape_)
            fail("lacks one of descr, fortran_order and shape in its header");
    }

    std::optional<Dtype> dtype;
    std::vector<uint64_t> shape;

private:
    [[noreturn]] void fail(const std::string& what) const
    {
        throw InputError(fmt::format("'{}' {}", path_, what));
    }
    void space()
    {
        while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n'))
            ++at_;
    }
    bool take(char c)
    {
        space();
        if (at_ >= text_.size() || text_[at_] != c)
            return false;
        ++at_;
        return true;
    }
    void expect(char c)
    {
        if (!take(c))
            fail(fmt::format("has a broken .npy header: expected '{}' at character {}", c, at_));
    }
    std::string_view quoted()
    {
        expect('\'');
        const size_t end = text_.find('\'', at_);
        if (end == std::string_view::npos)
            fail("has a broken .npy header: a quote is not closed");
        const std::string_view word = text_.substr(at_, end - at_);
        at_ = end + 1;
        return word;
    }
    void value(std::string_view key)
    {
        if (key == "descr" && !dtype)
            readDtype();
        else if (key == "fortran_order" && !has_order_)
            readOrder();
        else if (key == "shape" && !has_shape_)
            readShape();
        else
            fail(fmt::format("has the unexpected or repeated key '{}' in its .npy header", key));
    }
    void readDtype()
    {
        const std::string_view descr = quoted();
        for (const DtypeRow& r : kDtypes)
        {
            const bool is_byte = r.size == 1 && descr.starts_with('<'); // no order to speak of
            if (r.descr && (descr == r.descr || (is_byte && descr.substr(1) == r.descr + 1)))
                dtype = r.dtype;
        }
        if (!dtype)
            fail(fmt::format(
                "has elements of type '{}', expected '<f2', '<f4', '<f8' or an integer type of "
                "little-endian order",
                descr));
    }
    void readOrder()
    {
        space();
        if (text_.substr(at_, 5) != "False")
            fail("is not in C order, save it with numpy.ascontiguousarray");
        at_ += 5;
        has_order_ = true;
    }
    void readShape()
    {
        expect('(');
        while (!take(')'))
        {
            shape.push_back(number());
            if (shape.size() > kMaxDimensions)
                fail(fmt::format("has more than {} dimensions", kMaxDimensions));
            if (!take(','))
            {
                expect(')');
                break;
            }
        }
        has_shape_ = true;
    }
    uint64_t number()
    {
        space();
        uint64_t value = 0;
        const size_t begin = at_;
        for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_)
        {
            const uint64_t digit = uint64_t(text_[at_] - '0');
            if (value > (std::numeric_limits<uint64_t>::max() - digit) / 10)
                fail("has a dimension that does not fit 64 bits");
            value = value * 10 + digit;
        }
        if (at_ == begin)
            fail("has a dimension in its shape that is not a number of at least 0");
        return value;
    }

    std::string_view text_;
    const std::string& path_;
    size_t at_ = 0;
    bool has_order_ = false, has_shape_ = false;
};

// Where the header text begins and ends; checked against the file.
std::string_view headerText(std::span<const std::byte> file, const std::string& path,
                            size_t& data_begin)
{
    const auto* const bytes = reinterpret_cast<const unsigned char*>(file.data());
    if (file.size() < 10 || std::memcmp(bytes, "\x93NUMPY", 6) != 0)
        throw InputError(fmt::format("'{}' is not a .npy file", path));
    const unsigned version = bytes[6];
    if (version < 1 || version > 3 || bytes[7] != 0)
        throw InputError(fmt::format("'{}' is .npy version {}.{}, expected 1.0, 2.0 or 3.0", path,
                                     version, unsigned(bytes[7])));
    const size_t length_bytes = version == 1 ? 2 : 4;
    if (file.size() < 8 + length_bytes)
        throw InputError(fmt::format("'{}' ends inside its header", path));
    size_t length = 0;
    for (size_t i = 0; i < length_bytes; ++i)
        length |= size_t(bytes[8 + i]) << (8 * i);
    data_begin = 8 + length_bytes + length;
    if (data_begin > file.size())
        throw InputError(fmt::format("'{}' ends inside its header of {} bytes", path, length));
    return {reinterpret_cast<const char*>(bytes) + 8 + length_bytes, length};
}

} // namespace

size_t dtypeSize(Dtype dtype)
{
    return row(dtype).size;
}

const char* dtypeName(Dtype dtype)
{
    return row(dtype).name;
}

std::optional<uint64_t> byteCount(const std::vector<uint64_t>& shape, Dtype dtype)
{
    uint64_t total = dtypeSize(dtype);
    if (std::find(shape.begin(), shape.end(), 0u) != shape.end())
        return 0;
    for (const uint64_t size : shape)
    {
        if (size > std::numeric_limits<uint64_t>::max() / total)
            return std::nullopt;
        total *= size;
    }
    return total;
}

uint64_t Array::count() const
{
    return bytes.size() / dtypeSize(dtype);
}

std::string Array::shapeText() const
{
    return shape.empty() ? "scalar" : fmt::format("{}", fmt::join(shape, "x"));
}

std::vector<float> Array::toFloats() const
{
    std::vector<float> values(count());
    const auto element = [&]<typename T>(size_t i, T)
    {
        T value;
        std::memcpy(&value, bytes.data() + i * sizeof(T), sizeof(T));
        return value;
    };
    for (size_t i = 0; i < values.size(); ++i)
        switch (dtype)
        {
        case Dtype::F16:
            values[i] = host::fromHalf(element(i, uint16_t()));
            break;
        case Dtype::BF16:
            values[i] = std::bit_cast<float>(uint32_t(element(i, uint16_t())) << 16);
            break;
        case Dtype::F32:
            values[i] = element(i, float());
            break;
        case Dtype::F64:
            values[i] = float(element(i, double()));
            break;
        default:
            throw InputError(fmt::format("the array holds {}, expected F16, BF16, F32 or F64",
                                         dtypeName(dtype)));
        }
    return values;
}

Array arrayOfFloats(std::span<const float> values, std::vector<uint64_t> shape, Dtype dtype)
{
    Array array;
    array.dtype = dtype;
    array.shape = std::move(shape);
    array.bytes.resize(values.size() * dtypeSize(dtype));
    if (dtype == Dtype::F32)
        std::memcpy(array.bytes.data(), values.data(), values.size_bytes());
    else if (dtype == Dtype::F16)
        for (size_t i = 0; i < values.size(); ++i)
        {
            const uint16_t half = host::toHalf(values[i]);
            std::memcpy(array.bytes.data() + 2 * i, &half, 2);
        }
    else
        throw InputError(
            fmt::format("arrays of floats are written as F16 or F32, not {}", dtypeName(dtype)));
    return array;
}

Array parseNpy(std::span<const std::byte> file, const std::string& path)
{
    size_t begin = 0;
    const Header header(headerText(file, path, begin), path);
    Array array;
    array.dtype = *header.dtype;
    array.shape = header.shape;
    const std::optional<uint64_t> needed = byteCount(array.shape, array.dtype);
    const uint64_t present = file.size() - begin;
    if (needed != present)
        throw InputError(
            fmt::format("'{}' holds {} bytes of data, its shape {} of {} needs {}", path, present,
                        array.shapeText(), dtypeName(array.dtype),
                        needed ? std::to_string(*needed) : "more than 64 bits can count"));
    array.bytes.assign(file.begin() + ptrdiff_t(begin), file.end());
    return array;
}

Array readNpy(const std::string& path)
{
    const std::string file = readFile(path);
    return parseNpy(std::as_bytes(std::span(file)), path);
}

std::vector<std::byte> formatNpy(const Array& array)
{
    if (!row(array.dtype).descr)
        throw InputError(fmt::format(".npy has no {} elements", dtypeName(array.dtype)));
    const char* const comma = array.shape.size() == 1 ? "," : "";
    std::string header = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}{}), }}",
                                     row(array.dtype).descr, fmt::join(array.shape, ", "), comma);
    header.append(63 - (10 + header.size()) % 64, ' '); // the data starts at a multiple of 64
    header += '\n';
    std::string text("\x93NUMPY\x01\x00", 8);
    text += char(header.size() & 255);
    text += char(header.size() >> 8);
    text += header;
    const auto head = std::as_bytes(std::span(text));
    std::vector<std::byte> file(head.begin(), head.end());
    file.insert(file.end(), array.bytes.begin(), array.bytes.end());
    return file;
}

void writeNpy(const std::string& path, const Array& array)
{
    writeFile(path, formatNpy(array));
}

} // namespace lacuna::tool

// test_formats.cpp - npy and safetensors: what is written is read back, and no broken file gets through.
//
// SPDX-License-Identifier: Apache-2.0
// ctest: label=cpu timeout=120 app
#include <lacuna/errors.h>
#include <lacuna/npy.h>
#include <lacuna/output.h>
#include <lacuna/safetensors.h>

#include <doctest/doctest.h>

#include <cstring>
#include <filesystem>
#include <limits>

using namespace lacuna::tool;

namespace
{

using Bytes = std::vector<std::byte>;

Bytes bytesOf(const std::string& text)
{
    const auto span = std::as_bytes(std::span(text));
    return {span.begin(), span.end()};
}

// The one sentence of the failure; empty when the file was accepted.
std::string npyError(const Bytes& file)
{
    try
    {
        parseNpy(file, "f");
        return "";
    }
    catch (const InputError& error)
    {
        return error.what();
    }
}

std::string safetensorsError(const Bytes& file)
{
    try
    {
        parseSafetensors(file, "f");
        return "";
    }
    catch (const InputError& error)
    {
        return error.what();
    }
}

Bytes npy(const std::string& header, size_t data_bytes)
{
    std::string text("\x93NUMPY\x01\x00", 8);
    text += char(header.size() & 255);
    text += char(header.size() >> 8);
    return bytesOf(text + header + std::string(data_bytes, 'x'));
}

Bytes safetensors(const std::string& header, size_t data_bytes)
{
    const uint64_t size = header.size();
    std::string text(8, '\0');
    std::memcpy(text.data(), &size, 8);
    return bytesOf(text + header + std::string(data_bytes, 'x'));
}

bool contains(const std::string& text, const char* part)
{
    return text.find(part) != std::string::npos;
}

Array smallArray()
{
    const float values[] = {1, -2, 0.5f, 65504, 0, 3};
    return arrayOfFloats(values, {1, 2, 3}, Dtype::F16);
}

} // namespace

TEST_CASE("npy: what is written is read back, and lies as NumPy wants it")
{
    const Bytes file = formatNpy(smallArray());
    CHECK(file.size() % 64 == 12); // the header ends at a multiple of 64, then six halves
    const Array back = parseNpy(file, "f");
    CHECK(back.dtype == Dtype::F16);
    CHECK(back.shape == std::vector<uint64_t>{1, 2, 3});
    CHECK(back.toFloats() == std::vector<float>{1, -2, 0.5f, 65504, 0, 3});

    const Array row = arrayOfFloats(std::vector<float>{7}, {1}, Dtype::F32);
    const Bytes one = formatNpy(row);
    const std::string text(reinterpret_cast<const char*>(one.data()), one.size());
    CHECK(contains(text, "'shape': (1,), "));
    CHECK(parseNpy(one, "f").toFloats() == std::vector<float>{7});
}

TEST_CASE("npy: versions 2 and 3, scalars, empty arrays and keys in any order are read")
{
    std::string two("\x93NUMPY\x02\x00", 8);
    const std::string header = "{'shape': (2,), 'descr': '<f4', 'fortran_order': False}\n";
    two += char(header.size());
    two += std::string(3, '\0') + header + std::string(8, '\0');
    CHECK(parseNpy(bytesOf(two), "f").toFloats() == std::vector<float>{0, 0});
    CHECK(npyError(npy("{'descr': '<f8', 'fortran_order': False, 'shape': ()}", 8)) == "");
    CHECK(npyError(npy("{'descr': '|u1', 'fortran_order': False, 'shape': (0, 5), }", 0)) == "");
}

TEST_CASE("npy: a file cut anywhere is refused with one sentence")
{
    const Bytes file = formatNpy(smallArray());
    for (size_t size = 0; size < file.size(); ++size)
    {
        const std::string error = npyError(Bytes(file.begin(), file.begin() + ptrdiff_t(size)));
        INFO("cut at ", size);
        CHECK(contains(error, "'f'"));
        CHECK(!contains(error, "\n"));
    }
    Bytes longer = file;
    longer.push_back(std::byte(0));
    CHECK(contains(npyError(longer), "holds 13 bytes of data"));
}

TEST_CASE("npy: every changed byte of the header is read within bounds")
{
    const Bytes file = formatNpy(smallArray());
    for (size_t at = 0; at < file.size() - 12; ++at)
        for (const int value : {0, 9, 39, 40, 45, 57, 127, 255})
        {
            Bytes changed = file;
            changed[at] = std::byte(value);
            npyError(changed); // refused or not: no crash, no exception of another kind
        }
}

TEST_CASE("npy: what is not supported is named")
{
    const char* const kEnd = ", 'fortran_order': False, 'shape': (2,), }";
    CHECK(contains(npyError(npy(std::string("{'descr': '>f4'") + kEnd, 8)), "'>f4'"));
    CHECK(contains(npyError(npy(std::string("{'descr': '|O'") + kEnd, 8)), "'|O'"));
    CHECK(contains(npyError(npy("{'descr': '<f4', 'fortran_order': True, 'shape': (2,), }", 8)), "C order"));
    CHECK(contains(npyError(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-2,), }", 8)), "shape"));
    CHECK(contains(npyError(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'more': 1}", 8)), "'more'"));
    CHECK(contains(npyError(npy("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", 8)),
                   "repeated"));
    CHECK(contains(npyError(npy("{'descr': '<f4', 'fortran_order': False}", 8)), "lacks"));
    CHECK(contains(npyError(bytesOf("PNG")), "not a .npy"));
}

TEST_CASE("npy: shapes that overflow are refused before anything is allocated")
{
    for (const char* shape : {"4294967296, 4294967296", "18446744073709551615", "18446744073709551616",
                              "9223372036854775807, 3", "99999999999999999999999999"})
    {
        INFO(shape);
        const std::string header =
            std::string("{'descr': '<f4', 'fortran_order': False, 'shape': (") + shape + ",), }";
        CHECK(npyError(npy(header, 8)) != "");
    }
    std::string many;
    for (int i = 0; i < 40; ++i)
        many += "1, ";
    CHECK(contains(npyError(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (" + many + ")}", 4)),
                   "dimensions"));
}

TEST_CASE("safetensors: what is written is read back")
{
    Tensors tensors;
    tensors.arrays["q"] = smallArray();
    tensors.arrays["b"] = arrayOfFloats(std::vector<float>{4}, {}, Dtype::F32);
    tensors.metadata["format"] = "pt";
    const Bytes file = formatSafetensors(tensors);
    uint64_t header = 0;
    std::memcpy(&header, file.data(), 8);
    CHECK((8 + header) % 8 == 0);
    const Tensors back = parseSafetensors(file, "f");
    CHECK(back.arrays.size() == 2);
    CHECK(back.metadata.at("format") == "pt");
    CHECK(back.at("q", "f").toFloats() == smallArray().toFloats());
    CHECK(back.at("b", "f").shape.empty());
    CHECK_THROWS_WITH_AS(back.at("k", "f"), "'f' has no tensor 'k', it has: b, q", InputError);
}

TEST_CASE("safetensors: a file cut anywhere is refused with one sentence")
{
    Tensors tensors;
    tensors.arrays["q"] = smallArray();
    const Bytes file = formatSafetensors(tensors);
    for (size_t size = 0; size < file.size(); ++size)
    {
        INFO("cut at ", size);
        const std::string error = safetensorsError(Bytes(file.begin(), file.begin() + ptrdiff_t(size)));
        CHECK(contains(error, "'f'"));
        CHECK(!contains(error, "\n"));
    }
}

TEST_CASE("safetensors: every changed byte of the header is read within bounds")
{
    Tensors tensors;
    tensors.arrays["q"] = smallArray();
    const Bytes file = formatSafetensors(tensors);
    for (size_t at = 0; at < file.size() - 12; ++at)
        for (const int value : {0, 34, 45, 57, 91, 123, 127, 255})
        {
            Bytes changed = file;
            changed[at] = std::byte(value);
            safetensorsError(changed);
        }
}

TEST_CASE("safetensors: offsets and shapes are not believed")
{
    const auto one = [](const std::string& shape, const std::string& offsets, size_t data)
    {
        return safetensorsError(safetensors(
            R"({"a":{"dtype":"F32","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}}", data));
    };
    CHECK(one("[2]", "[0,8]", 8) == "");
    CHECK(contains(one("[2]", "[8,0]", 8), "bytes 8 .. 0"));
    CHECK(contains(one("[2]", "[-8,0]", 8), "-8"));
    CHECK(contains(one("[2]", "[0,16]", 8), "bytes 0 .. 16"));
    CHECK(contains(one("[2]", "[0,18446744073709551615]", 8), "18446744073709551615"));
    CHECK(contains(one("[2]", "[0,1e1]", 8), "offset"));
    CHECK(contains(one("[2]", "[0]", 8), "two numbers"));
    CHECK(contains(one("[3]", "[0,8]", 8), "expected 12"));
    CHECK(contains(one("[-2]", "[0,8]", 8), "dimension"));
    CHECK(contains(one("[2.5]", "[0,8]", 8), "dimension"));
    CHECK(contains(one("2", "[0,8]", 8), "not a list"));
    CHECK(contains(one("[4294967296,4294967296]", "[0,8]", 8), "64 bits"));
    CHECK(contains(one("[2]", "[4,12]", 12), "holes"));
    CHECK(contains(one("[2]", "[0,8]", 9), "holds 9 bytes"));
}

TEST_CASE("safetensors: overlaps, unknown types and wrong headers are refused")
{
    const char* const kOverlap = R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
                                 R"("b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}})";
    CHECK(contains(safetensorsError(safetensors(kOverlap, 6)), "overlap"));
    const char* const kSame = R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
                              R"("b":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})";
    CHECK(contains(safetensorsError(safetensors(kSame, 4)), "overlap"));
    const char* const kType = R"({"a":{"dtype":"F8_E4M3","shape":[4],"data_offsets":[0,4]}})";
    CHECK(contains(safetensorsError(safetensors(kType, 4)), "'F8_E4M3'"));
    CHECK(contains(safetensorsError(safetensors(R"({"a":3})", 0)), "'a'"));
    CHECK(contains(safetensorsError(safetensors(R"({"__metadata__":{"x":3}})", 0)), "'x'"));
    CHECK(contains(safetensorsError(safetensors("[]", 0)), "'{'"));
    CHECK(contains(safetensorsError(safetensors("{\"a\"", 0)), "JSON"));
    CHECK(safetensorsError(safetensors("{}  ", 0)) == "");
    Bytes huge = safetensors("{}", 0);
    const uint64_t claimed = std::numeric_limits<uint64_t>::max() - 4;
    std::memcpy(huge.data(), &claimed, 8);
    CHECK(contains(safetensorsError(huge), "claims"));
    CHECK(contains(safetensorsError(safetensors(std::string(100000, '{'), 0)), "JSON"));
    CHECK(contains(safetensorsError(safetensors("{\"a\":" + std::string(100000, '['), 0)), "JSON"));
}

TEST_CASE("files appear whole or not at all")
{
    namespace fs = std::filesystem;
    const fs::path folder = fs::path("test_formats_files");
    fs::remove_all(folder);
    fs::create_directory(folder);
    const std::string path = (folder / "a.txt").string();
    {
        OutputFile file(path);
        file.write("half");
    }
    CHECK(fs::is_empty(folder)); // not committed
    writeFile(path, "whole");
    CHECK(readFile(path) == "whole");
    {
        OutputFile file(path);
        file.write("other");
        CHECK(readFile(path) == "whole");
        file.commit();
    }
    CHECK(readFile(path) == "other");
    CHECK(std::distance(fs::directory_iterator(folder), fs::directory_iterator()) == 1);

    CHECK_THROWS_AS(OutputFile((folder / "none" / "a").string()), InputError);
    CHECK_THROWS_AS(OutputFile(folder.string()), InputError);
    CHECK_THROWS_AS(readFile((folder / "none").string()), InputError);
    CHECK_THROWS_AS(readFile(folder.string()), InputError);
    fs::remove_all(folder);
}

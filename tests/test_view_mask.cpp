// test_view_mask.cpp - what `lacuna view-mask` puts into its page, and what `lacuna mask --png`
// draws.
//
// SPDX-License-Identifier: Apache-2.0
// ctest: label=vk timeout=300 app
#include "run_tool.h"

#include <lacuna/errors.h>
#include <lacuna/mask_page.h>
#include <lacuna/npy.h>

#include <nlohmann/json.hpp>

using namespace lacuna;
using namespace lacuna::test;
using namespace lacuna::tool;
namespace fs = std::filesystem;
using Json = nlohmann::json;

namespace
{

const fs::path kFolder = "test_view_mask_files";

std::string file(const char* name)
{
    return (kFolder / name).string();
}

Json dataOf(const std::string& page)
{
    const std::string begin = "<script id=\"mask\" type=\"application/json\">";
    const size_t from = page.find(begin);
    REQUIRE(from != std::string::npos);
    return Json::parse(
        page.substr(from + begin.size(), page.find("</script>", from) - from - begin.size()));
}

// The numbers of one list, as mask_page.cpp describes them.
std::vector<int64_t> numbersOf(const std::string& base64)
{
    const std::string digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::vector<int64_t> numbers;
    uint32_t bits = 0;
    int bit_count = 0, shift = 0;
    int64_t number = 0;
    for (const char c : base64.substr(0, base64.find('=')))
    {
        bits = bits << 6 | uint32_t(digits.find(c));
        bit_count += 6;
        if (bit_count < 8)
            continue;
        bit_count -= 8;
        const uint32_t byte = bits >> bit_count & 255;
        number |= int64_t(byte & 127) << shift;
        shift += 7;
        if (byte >= 128)
            continue;
        numbers.push_back(number);
        number = shift = 0;
    }
    CHECK(shift == 0);
    return numbers;
}

std::vector<int64_t> bordersOf(const Json& base64)
{
    std::vector<int64_t> borders = {0};
    for (const int64_t size : numbersOf(base64))
        borders.push_back(borders.back() + size);
    return borders;
}

std::vector<int64_t> orderOf(const Json& base64)
{
    std::vector<int64_t> order;
    int64_t expected = 0;
    for (const int64_t code : numbersOf(base64))
    {
        order.push_back(expected + (code % 2 ? -(code + 1) / 2 : code / 2));
        expected = order.back() + 1;
    }
    return order;
}

// [heads, rows, units]: the keys, or at level block the key blocks, that the page stores for each
// row.
std::vector<uint8_t> rowsOf(const Json& data, size_t rows, size_t units)
{
    const std::vector<int64_t> packed = numbersOf(data["spans"]);
    std::vector<uint8_t> kept(data["heads"].get<size_t>() * rows * units);
    size_t at = 0;
    for (size_t i = 0; i < kept.size() / units; ++i)
    {
        const int64_t code = packed.at(at++);
        if (code == 0)
            std::copy_n(&kept.at((i - rows) * units), units, &kept[i * units]);
        int64_t end = 0;
        for (int64_t span = 1; span < code; ++span)
        {
            const int64_t begin = end + packed.at(at++);
            end = begin + packed.at(at++);
            REQUIRE(end <= int64_t(units));
            std::fill_n(kept.begin() + ptrdiff_t(i * units) + begin, end - begin, uint8_t(1));
        }
    }
    CHECK(at == packed.size());
    return kept;
}

Array maskOfPage(const std::string& page)
{
    const Json data = dataOf(page);
    const std::vector<int64_t> row_borders = bordersOf(data["row_borders"]),
                               key_borders = bordersOf(data["key_borders"]);
    const std::vector<int64_t> q_order = orderOf(data["q_order"]),
                               k_order = orderOf(data["k_order"]);
    const uint64_t heads = data["heads"], rows = row_borders.size() - 1,
                   q_len = uint64_t(row_borders.back()), k_len = uint64_t(key_borders.back());
    Array mask;
    mask.dtype = Dtype::U8;
    if (data["level"] == "block")
    {
        mask.shape = {heads, rows, key_borders.size() - 1};
        const std::vector<uint8_t> kept = rowsOf(data, rows, key_borders.size() - 1);
        for (const uint8_t value : kept)
            mask.bytes.push_back(std::byte(value));
        return mask;
    }
    mask.shape = {heads, q_len, k_len};
    mask.bytes.resize(heads * q_len * k_len);
    const std::vector<uint8_t> kept = rowsOf(data, rows, k_len);
    for (uint64_t i = 0; i < heads * rows; ++i)
    {
        const uint64_t head = i / rows;
        for (int64_t position = row_borders[i % rows]; position < row_borders[i % rows + 1];
             ++position)
        {
            const uint64_t query =
                uint64_t(q_order.at(head * q_len % q_order.size() + uint64_t(position)));
            for (uint64_t key = 0; key < k_len; ++key)
                mask.bytes[(head * q_len + query) * k_len +
                           uint64_t(k_order.at(head * k_len % k_order.size() + key))] =
                    std::byte(kept[i * k_len + key]);
        }
    }
    return mask;
}

void checkPage(const std::string& arguments)
{
    for (const std::string level : {"token", "block"})
    {
        const std::string all = arguments + " --level " + level + " -o ";
        const Ran mask = runTool(kFolder, "mask " + all + file("m.npy"));
        const Ran view = runTool(kFolder, "view-mask " + all + file("m.html"));
        INFO("view-mask ", all, "\nstderr: ", mask.err, view.err);
        REQUIRE(mask.status == 0);
        REQUIRE(view.status == 0);
        const Array expected = readNpy(file("m.npy")), got = maskOfPage(readFile(file("m.html")));
        CHECK(got.shape == expected.shape);
        CHECK(got.bytes == expected.bytes);
        CHECK(dataOf(readFile(file("m.html")))["level"] == level);
    }
}

// A selection of one row without keys and one with two spans.
host::Attention::Kept twoRows()
{
    host::Attention::Kept kept;
    kept.heads = 1;
    kept.row_borders = {0, 1, 4};
    kept.key_borders = {0, 2, 4};
    kept.q_order = {3, 1, 0, 2};
    kept.k_order = {0, 1, 2, 3};
    kept.spans = {{}, {{0, 1}, {2, 4}}};
    return kept;
}

const LacunaVideoGrid kTwoRowsGrid = {2, 1, 2, 0, 0};

size_t occurrences(const std::string& text, const std::string& part)
{
    size_t count = 0;
    for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1))
        ++count;
    return count;
}

} // namespace

TEST_CASE("the page decodes to the mask of `lacuna mask`, at both levels")
{
    const Folder folder(kFolder);
    const std::string grid = " --grid 5x7x9 --text-before 3 --text-after 2";
    checkPage("--method sliding_tile --set tile=2x4x4 --set window=3x1x3 --heads 3" + grid);
    checkPage("--method neighborhood --set window=3x5x3 --set causal=t" + grid);
    checkPage("--method axial --set axis=temporal --grid 5x7x9");
    checkPage("--method paro --set heads=thw,hwt,wth --set block=16 --heads 3" + grid);
    checkPage("--method dense --grid 1x1x1");
    checkPage("--method block_topk --set tile=2x2x2 --set keep_ratio=0.3 " + writeSmallQk(kFolder));
}

TEST_CASE("a row without keys and an order are kept too")
{
    const Json data = dataOf(formatMaskPage(twoRows(), kTwoRowsGrid, {"by hand", {}, {}, "token"}));
    CHECK(bordersOf(data["row_borders"]) == std::vector<int64_t>{0, 1, 4});
    CHECK(orderOf(data["q_order"]) == std::vector<int64_t>{3, 1, 0, 2});
    CHECK(rowsOf(data, 2, 4) == std::vector<uint8_t>{0, 0, 0, 0, 1, 0, 1, 1});
}

TEST_CASE("the page refers to nothing outside itself")
{
    const std::string page = formatMaskPage(twoRows(), kTwoRowsGrid, {"m", {}, {}, "token"});
    for (const char* part :
         {"http:", "https:", "//cdn", "src=", "href=", "url(", "@import", "fetch(", "import "})
    {
        CAPTURE(part);
        CHECK_FALSE(contains(page, part));
    }
    CHECK(contains(page, "default-src 'none'"));
    CHECK_FALSE(contains(page, "@mask@"));
    CHECK_FALSE(contains(page, "@script@"));
    CHECK(page.find("const mask =") < page.find("mask.grid")); // the decoder comes before its users
}

TEST_CASE("hostile texts stay texts")
{
    const std::string hostile = "</script><script>alert(1)</script><!--<img src=x "
                                "onerror=\"alert('2')\">&amp;\\\u2028@mask@";
    const auto page = [](const std::string& text)
    {
        return formatMaskPage(twoRows(), kTwoRowsGrid,
                              {text, {"a=" + text, text}, {"q from " + text}, "token"});
    };
    const Json data = dataOf(page(hostile));
    CHECK(data["method"] == hostile);
    CHECK(data["settings"] == Json::array({"a=" + hostile, hostile}));
    CHECK(data["inputs"] == Json::array({"q from " + hostile}));
    for (const char* part : {"<script", "</script", "<img", "<!--"})
        CHECK(occurrences(page(hostile), part) == occurrences(page("harmless"), part));
    CHECK(dataOf(page("\xff\xfe"))["method"] == "\ufffd\ufffd"); // a file name need not be UTF-8

#ifndef _WIN32
    const Folder folder(kFolder);
    const std::string arguments = writeSmallQk(kFolder);
    fs::create_directory(kFolder / "<");
    const fs::path name = kFolder / "<" / "script><img src=x onerror=alert(1)>.npy";
    fs::rename(file("q.npy"), name);
    const Ran ran = runTool(
        kFolder, "view-mask --method dense --grid 3x4x5 --text-before 3 --text-after 2 --q '" +
                     name.string() + "' --k " + file("k.npy") + " -o " + file("m.html"));
    INFO(ran.err);
    REQUIRE(ran.status == 0);
    CHECK(dataOf(readFile(file("m.html")))["inputs"][0] == "q from " + name.string());
    CHECK_FALSE(contains(readFile(file("m.html")), "<img"));
#endif
}

TEST_CASE("a page over the limit is refused with both numbers, and with the level that fits")
{
    const size_t tokens = 3000; // every other key, alone
    host::Attention::Kept kept;
    kept.heads = 1;
    kept.row_borders = {0, tokens};
    kept.spans.resize(1);
    for (uint32_t token = 0; token < tokens; ++token)
    {
        kept.q_order.push_back(token);
        if (token % 500 == 0)
            kept.key_borders.push_back(token);
        if (token % 2 == 0)
            kept.spans[0].push_back({token, token + 1});
    }
    kept.key_borders.push_back(tokens);
    kept.k_order = kept.q_order;
    const auto bytes = [&](const char* level, uint64_t limit)
    {
        return formatMaskPage(kept, {1, 1, tokens, 0, 0}, {"m", {}, {}, level}, limit).size();
    };
    const auto refusal = [&](const char* level, uint64_t limit) -> std::string
    {
        try
        {
            return "a page of " + std::to_string(bytes(level, limit));
        }
        catch (const InputError& error)
        {
            return error.what();
        }
    };
    const std::string token = std::to_string(bytes("token", kMaxPageBytes));
    const std::string block = std::to_string(bytes("block", kMaxPageBytes));
    CHECK(bytes("token", std::stoull(token)) == std::stoull(token));
    CHECK(refusal("token", std::stoull(block)) == "the page would have " + token +
                                                      " bytes, expected at most " + block +
                                                      ": with --level block it has " + block);
    for (const char* level : {"token", "block"})
        CHECK(contains(refusal(level, 1000),
                       "expected at most 1000: fewer heads or tokens make it smaller"));
}

TEST_CASE("view-mask: wrong arguments")
{
    const Folder folder(kFolder);
    const auto check = [](const std::string& arguments, const char* part)
    {
        checkToolRefuses(kFolder, "view-mask " + arguments + " -o " + file("x.html"), part);
    };
    checkToolRefuses(kFolder, "view-mask --method dense --grid 1x4x4", "--output");
    check("--grid 1x4x4", "--method");
    check("--method dense", "--grid is missing");
    check("--method denze --grid 1x4x4", "'denze'");
    check("--method block_topk --grid 1x4x4", "--q and --k");
    check("--method key_spans --grid 1x4x4", "'key_spans'");
    check("--method dense --grid 0x4x4", "'0x4x4'");
    check("--method dense --grid 1025x1x1", "1025 frames, the page shows at most 1024");
    check("--method dense --grid 1x4097x1", "4097 rows, the page shows at most 4096");
    check("--method dense --grid 1x1x4097", "4097 columns, the page shows at most 4096");
    check("--method dense --grid 1x1x1 --text-after 65537",
          "--text-after is 65537, the page shows at most 65536");
    check("--method dense --grid 1x4x4 --level word", "word");
    check("--method dense --grid 1x4x4 --tokens 16", "--tokens");
    check("--method sliding_tile --set '<b>=3' --grid 1x4x4", "'<b>'");
    checkToolRefuses(kFolder,
                     "view-mask --method dense --grid 1x4x4 -o " + file("none") + "/x.html",
                     "cannot write");
}

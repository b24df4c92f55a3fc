// mask_page.cpp - packs the spans of a selection and puts them into view_mask.html.
//
// SPDX-License-Identifier: Apache-2.0
//
// The page holds the list itself, not the mask: borders of rows and key blocks, both orders, and
// the spans of each row. A list is a sequence of numbers, 7 bits a byte with the low bits first and
// the top bit set on all but the last byte, in base64:
//
//   borders  the size of each row or block
//   order    each token less (one more than the token before), the sign in the lowest bit
//   spans    per head and row: 1 + number of spans, then gap and length of each;
//            or 0, the row is that of the head before. In keys, at level block in key blocks.
#include "mask_page.h"

#include "errors.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <stdexcept>
#include <string_view>

namespace lacuna::tool
{
namespace
{

const uint8_t kPage[] = {
#include "view_mask.html.inc"
};
const uint8_t kDataScript[] = {
#include "view_mask_data.js.inc"
};
const uint8_t kScript[] = {
#include "view_mask.js.inc"
};

using Span = host::Attention::Span;

template <size_t kSize>
std::string textOf(const uint8_t (&bytes)[kSize])
{
    return {reinterpret_cast<const char*>(bytes), kSize};
}

void put(std::string& packed, uint64_t number)
{
    for (; number >= 128; number /= 128)
        packed.push_back(char(number % 128 + 128));
    packed.push_back(char(number));
}

std::string base64(std::string_view bytes)
{
    constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string text;
    text.reserve((bytes.size() + 2) / 3 * 4);
    for (size_t i = 0; i < bytes.size(); i += 3)
    {
        const size_t size = std::min<size_t>(3, bytes.size() - i);
        uint32_t group = 0;
        for (size_t j = 0; j < 3; ++j)
            group = group << 8 | (j < size ? uint8_t(bytes[i + j]) : 0);
        for (size_t j = 0; j < 4; ++j)
            text.push_back(j <= size ? kDigits[group >> (18 - 6 * j) & 63] : '=');
    }
    return text;
}

std::string packBorders(const std::vector<uint32_t>& borders)
{
    std::string packed;
    for (size_t i = 1; i < borders.size(); ++i)
        put(packed, borders[i] - borders[i - 1]);
    return base64(packed);
}

std::string packOrder(const std::vector<uint32_t>& order)
{
    std::string packed;
    int64_t expected = 0;
    for (const uint32_t token : order)
    {
        const int64_t step = int64_t(token) - expected;
        put(packed, step < 0 ? uint64_t(-2 * step - 1) : uint64_t(2 * step));
        expected = int64_t(token) + 1;
    }
    return base64(packed);
}

// The key blocks that the spans touch, as spans of blocks.
std::vector<Span> blocksOf(const std::vector<Span>& spans, const std::vector<uint32_t>& borders)
{
    std::vector<Span> blocks;
    for (const Span& span : spans)
    {
        const auto begin = std::upper_bound(borders.begin(), borders.end(), span.begin) - 1;
        const auto end = std::lower_bound(borders.begin(), borders.end(), span.end);
        const Span touched = {uint32_t(begin - borders.begin()), uint32_t(end - borders.begin())};
        if (!blocks.empty() && touched.begin <= blocks.back().end)
            blocks.back().end = touched.end;
        else
            blocks.push_back(touched);
    }
    return blocks;
}

bool same(const std::vector<Span>& a, const std::vector<Span>& b)
{
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const Span& x, const Span& y)
                      { return x.begin == y.begin && x.end == y.end; });
}

std::string packSpans(const host::Attention::Kept& kept, bool as_blocks)
{
    const size_t rows = kept.row_borders.size() - 1;
    std::string packed;
    for (size_t i = 0; i < kept.spans.size(); ++i)
    {
        if (i >= rows && same(kept.spans[i], kept.spans[i - rows]))
        {
            put(packed, 0);
            continue;
        }
        const std::vector<Span> spans =
            as_blocks ? blocksOf(kept.spans[i], kept.key_borders) : kept.spans[i];
        put(packed, spans.size() + 1);
        uint32_t end = 0;
        for (const Span& span : spans)
        {
            put(packed, span.begin - end);
            put(packed, span.end - span.begin);
            end = span.end;
        }
    }
    return base64(packed);
}

// JSON that may stand inside <script>: no '<' can end the element or begin a comment.
std::string forScript(const nlohmann::json& value)
{
    using nlohmann::json;
    std::string escaped;
    for (const char c : value.dump(-1, ' ', false, json::error_handler_t::replace))
        if (c == '<')
            escaped += "\\u003c";
        else
            escaped += c;
    return escaped;
}

void replaceMark(std::string& page, std::string_view mark, const std::string& by)
{
    const size_t at = page.find(mark);
    if (at == std::string::npos || page.find(mark, at + 1) != std::string::npos)
        throw std::logic_error("view_mask.html needs each mark once");
    page.replace(at, mark.size(), by);
}

std::string formatAnySize(const host::Attention::Kept& kept, const LacunaVideoGrid& grid,
                          const MaskPageText& text)
{
    const nlohmann::json mask = {
        {"method", text.method},
        {"settings", text.settings},
        {"inputs", text.inputs},
        {"level", text.level},
        {"grid", {grid.frames, grid.height, grid.width}},
        {"text", {grid.text_before, grid.text_after}},
        {"heads", kept.heads},
        {"row_borders", packBorders(kept.row_borders)},
        {"key_borders", packBorders(kept.key_borders)},
        {"q_order", packOrder(kept.q_order)},
        {"k_order", packOrder(kept.k_order)},
        {"spans", packSpans(kept, text.level == "block")},
    };
    std::string page = textOf(kPage);
    // Before any text of the user's is in the page.
    replaceMark(page, "@script@", textOf(kDataScript) + textOf(kScript));
    replaceMark(page, "@mask@", forScript(mask));
    return page;
}

} // namespace

std::string formatMaskPage(const host::Attention::Kept& kept, const LacunaVideoGrid& grid,
                           const MaskPageText& text, uint64_t max_bytes)
{
    const std::string page = formatAnySize(kept, grid, text);
    if (page.size() <= max_bytes)
        return page;
    std::string advice = "fewer heads or tokens make it smaller";
    if (text.level == "token")
    {
        MaskPageText by_blocks = text;
        by_blocks.level = "block";
        const size_t bytes = formatAnySize(kept, grid, by_blocks).size();
        if (bytes <= max_bytes)
            advice = fmt::format("with --level block it has {}", bytes);
    }
    throw InputError(fmt::format("the page would have {} bytes, expected at most {}: {}",
                                 page.size(), max_bytes, advice));
}

} // namespace lacuna::tool

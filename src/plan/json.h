// json.h - writes the JSON of explanations and descriptions; the core links no JSON library.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <concepts>
#include <cstdio>
#include <string>
#include <string_view>

namespace lacuna
{

class Json
{
public:
    Json& open(char bracket)
    {
        comma();
        text_ += bracket;
        fresh_ = true;
        return *this;
    }
    Json& close(char bracket)
    {
        text_ += bracket;
        fresh_ = false;
        return *this;
    }
    Json& key(std::string_view name)
    {
        comma();
        quote(name);
        text_ += ": ";
        fresh_ = true; // the value follows without a comma
        return *this;
    }
    Json& value(std::string_view s)
    {
        comma();
        quote(s);
        return *this;
    }
    Json& value(const char* s) { return value(std::string_view(s)); }
    Json& value(const std::string& s) { return value(std::string_view(s)); }
    Json& value(bool b)
    {
        comma();
        text_ += b ? "true" : "false";
        return *this;
    }
    Json& value(double number)
    {
        comma();
        char buffer[32];
        std::snprintf(buffer, sizeof buffer, "%.12g", number);
        text_ += std::isfinite(number) ? buffer : "null"; // JSON has no infinity
        return *this;
    }
    template <std::integral T>
    Json& value(T number)
    {
        return value(double(number));
    }
    template <typename T>
    Json& member(std::string_view name, const T& v)
    {
        return key(name).value(v);
    }
    const std::string& text() const { return text_; }

private:
    void comma()
    {
        if (!fresh_ && !text_.empty())
            text_ += ", ";
        fresh_ = false;
    }
    void quote(std::string_view s)
    {
        text_ += '"';
        for (const char c : s)
        {
            if (c == '"' || c == '\\')
                (text_ += '\\') += c;
            else if (static_cast<unsigned char>(c) < 0x20)
            {
                char buffer[8];
                std::snprintf(buffer, sizeof buffer, "\\u%04x", c);
                text_ += buffer;
            }
            else
                text_ += c;
        }
        text_ += '"';
    }

    std::string text_;
    bool fresh_ = true;
};

} // namespace lacuna

// policy_file.cpp - a policy from JSON that nobody vouches for.
//
// SPDX-License-Identifier: Apache-2.0
#include "errors.h"
#include "method_options.h"
#include "output.h"
#include "policy.h"
#include "registry.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <map>
#include <set>

namespace lacuna::tool
{

using Json = nlohmann::json;

namespace
{

constexpr size_t kMaxBytes = size_t(1) << 22;
constexpr int kMaxDepth = 8; // the format needs 4
constexpr size_t kMaxRules = 65536;

// A value as an error quotes it.
std::string quote(const Json& value)
{
    constexpr size_t kMost = 60;
    const std::string text = value.dump(-1, ' ', true);
    return text.size() <= kMost ? text : text.substr(0, kMost) + "...";
}

// JSON without repeated keys and without depth: later readers see no surprises.
Json parseStrictly(std::string_view text, const std::string& path)
{
    std::vector<std::set<std::string>> keys;
    const auto look = [&](int depth, Json::parse_event_t event, Json& parsed)
    {
        if (depth > kMaxDepth)
            throw InputError(fmt::format("{}: it is nested more than {} deep", path, kMaxDepth));
        if (event == Json::parse_event_t::object_start)
            keys.emplace_back();
        else if (event == Json::parse_event_t::object_end)
            keys.pop_back();
        else if (event == Json::parse_event_t::key &&
                 !keys.back().insert(parsed.get<std::string>()).second)
            throw InputError(fmt::format("{}: {} is there twice", path, quote(parsed)));
        return true;
    };
    try
    {
        return Json::parse(text, look);
    }
    catch (const Json::exception& error)
    {
        throw InputError(fmt::format("{}: it is not JSON: {}", path, error.what()));
    }
}

} // namespace

class PolicyReader
{
public:
    explicit PolicyReader(std::string path) : path_(std::move(path)) {}

    Policy read(const Json& file)
    {
        constexpr const char* kFormat = "lacuna_policy";
        requireObject(file, path_, {kFormat, "steps", "layers", "heads", "rules"});
        if (!file.contains(kFormat) || file[kFormat] != 1)
            throw InputError(
                fmt::format("{}: {} is {}, expected 1", path_, kFormat,
                            file.contains(kFormat) ? quote(file[kFormat]) : "missing"));
        Policy policy;
        policy.path_ = path_;
        policy.stated_ = {size(file, "steps"), size(file, "layers"), size(file, "heads")};
        if (!file.contains("rules") || !file["rules"].is_array() ||
            file["rules"].size() > kMaxRules)
            throw InputError(
                fmt::format("{}: rules is {}, expected an array of at most {} rules", path_,
                            file.contains("rules") ? quote(file["rules"]) : "missing", kMaxRules));
        for (size_t i = 0; i < file["rules"].size(); ++i)
            readRule(policy, file["rules"][i], fmt::format("{}: rules[{}]", path_, i));
        return policy;
    }

private:
    void requireObject(const Json& value, const std::string& where,
                       const std::vector<std::string>& keys)
    {
        if (!value.is_object())
            throw InputError(fmt::format("{} is {}, expected an object", where, quote(value)));
        for (const auto& [key, member] : value.items())
            if (std::find(keys.begin(), keys.end(), key) == keys.end())
            {
                std::string known;
                for (const std::string& name : keys)
                    known += (known.empty() ? "" : ", ") + name;
                throw InputError(
                    fmt::format("{} has {}, expected one of {}", where, quote(Json(key)), known));
            }
    }

    uint32_t size(const Json& file, const char* name)
    {
        constexpr uint32_t kMost = 1u << 20;
        if (!file.contains(name))
            return 0;
        const Json& value = file[name];
        if (!value.is_number_unsigned() || value.get<uint64_t>() == 0 ||
            value.get<uint64_t>() > kMost)
            throw InputError(fmt::format("{}: {} is {}, expected a whole number in 1..{}", path_,
                                         name, quote(value), kMost));
        return value.get<uint32_t>();
    }

    void readRule(Policy& policy, const Json& value, const std::string& where)
    {
        requireObject(value, where, {"steps", "layers", "heads", "method", "options", "density"});
        PolicyRule rule;
        rule.steps = ranges(value, "steps", where, true);
        rule.layers = ranges(value, "layers", where, false);
        rule.heads = ranges(value, "heads", where, false);
        HeadChoice choice;
        choice.where = where;
        if (!value.contains("method") || !value["method"].is_string())
            throw InputError(
                fmt::format("{}.method is {}, expected a name from `lacuna methods`", where,
                            value.contains("method") ? quote(value["method"]) : "missing"));
        choice.method = value["method"];
        const Json& row = methodRow(choice.method, where);
        if (value.contains("options"))
            readOptions(choice, row, value["options"], where + ".options");
        if (value.contains("density"))
            readDensity(choice, row, value["density"], where + ".density");
        std::sort(choice.options.begin(), choice.options.end());
        policy.add(std::move(rule), std::move(choice));
    }

    std::vector<IndexRange> ranges(const Json& rule, const char* name, const std::string& where,
                                   bool can_be_percent)
    {
        std::vector<IndexRange> result;
        if (!rule.contains(name))
            return result;
        const Json& list = rule[name];
        if (!list.is_array() || list.empty())
            throw InputError(
                fmt::format("{}.{} is {}, expected an array such as [0, \"2-5\"]; without it all "
                            "{} are meant",
                            where, name, quote(list), name));
        for (size_t i = 0; i < list.size(); ++i)
        {
            IndexRange range;
            range.where = fmt::format("{}.{}[{}]", where, name, i);
            const bool is_index = list[i].is_number_unsigned();
            const bool is_text = list[i].is_string();
            if (is_index)
                range.first = range.last = list[i].get<double>();
            else if (!is_text || !readRange(list[i].get<std::string>(), can_be_percent, range))
                throw InputError(fmt::format(
                    "{} is {}, expected an index from 0 on, \"2-5\" or \"4-\" for the rest{}",
                    range.where, quote(list[i]),
                    can_be_percent ? ", or \"0%-25%\" of the steps" : ""));
            result.push_back(std::move(range));
        }
        return result;
    }

    // "2-5", "4-", "0%-25%"
    static bool readRange(const std::string& text, bool can_be_percent, IndexRange& range)
    {
        const char* at = text.data();
        const char* const end = at + text.size();
        uint32_t ends = 0, percents = 0;
        for (double* const value : {&range.first, &range.last})
        {
            if (ends++ == 1 && at == end && percents == 0)
            {
                range.last = std::numeric_limits<double>::infinity();
                return true;
            }
            if (!readEnd(at, end, can_be_percent, *value, percents))
                return false;
            if (ends == 1 && (at == end || *at++ != '-'))
                return false;
        }
        range.is_percent = percents == 2;
        return at == end && percents != 1 && range.first <= range.last;
    }

    static bool readEnd(const char*& at, const char* end, bool can_be_percent, double& value,
                        uint32_t& percents)
    {
        const char* const begin = at;
        const auto [read, error] = std::from_chars(at, end, value, std::chars_format::fixed);
        if (error != std::errc() || *begin < '0' || *begin > '9')
            return false;
        at = read;
        if (can_be_percent && at != end && *at == '%')
        {
            ++at;
            ++percents;
            return value <= 100;
        }
        return std::all_of(begin, at, [](char c) { return c >= '0' && c <= '9'; });
    }

    const Json& methodRow(const std::string& method, const std::string& where)
    {
        const auto known = rows_.find(method);
        if (known != rows_.end())
            return known->second;
        Json row;
        try
        {
            row = registryRow(method);
        }
        catch (const InputError& error)
        {
            throw InputError(fmt::format("{}.method: {}", where, error.what()));
        }
        if (row["kind"] == "given")
            throw InputError(fmt::format("{}.method is '{}', whose list comes from a program: "
                                         "expected another method",
                                         where, method));
        return rows_.emplace(method, std::move(row)).first->second;
    }

    static void readOptions(HeadChoice& choice, const Json& row, const Json& options,
                            const std::string& where)
    {
        if (!options.is_object())
            throw InputError(fmt::format("{} is {}, expected an object such as {{\"tile\": "
                                         "\"4x4x4\"}}",
                                         where, quote(options)));
        for (const auto& [name, value] : options.items())
        {
            const Json* option = nullptr;
            try
            {
                option = &optionRow(row, name);
            }
            catch (const InputError& error)
            {
                throw InputError(fmt::format("{}: {}", where, error.what()));
            }
            const bool is_value = value.is_number() || value.is_string();
            const std::string text = value.is_string() ? value.get<std::string>() : value.dump();
            const std::optional<std::string> fault = optionFault(*option, text);
            if (!is_value || fault)
                throw InputError(fmt::format("{}.{} is {}, expected {}", where, name, quote(value),
                                             fault.value_or("a number or a text")));
            choice.options.push_back({name, text});
        }
    }

    // The option by which a method is told how much to keep has one of two names.
    static void readDensity(HeadChoice& choice, const Json& row, const Json& value,
                            const std::string& where)
    {
        const Json* option = nullptr;
        for (const Json& candidate : row["options"])
            if (candidate["name"] == "density" || candidate["name"] == "keep_ratio")
                option = &candidate;
        if (!option)
            throw InputError(fmt::format(
                "{}: method '{}' cannot be told a density, expected its own options instead", where,
                choice.method));
        const std::string name = (*option)["name"];
        for (const auto& [given, text] : choice.options)
            if (given == name)
                throw InputError(
                    fmt::format("{} and options.{} are both given, expected one", where, name));
        const std::optional<std::string> fault = optionFault(*option, value.dump());
        if (!value.is_number() || fault)
            throw InputError(fmt::format("{} is {}, expected {}", where, quote(value),
                                         fault.value_or("a number")));
        choice.options.push_back({name, value.dump()});
    }

    std::string path_;
    std::map<std::string, Json> rows_;
};

Policy Policy::parse(std::string_view json, const std::string& path)
{
    if (json.size() > kMaxBytes)
        throw InputError(
            fmt::format("{} has {} bytes, expected at most {}", path, json.size(), kMaxBytes));
    return PolicyReader(path).read(parseStrictly(json, path));
}

Policy Policy::load(const std::string& path)
{
    return parse(readFile(path), path);
}

} // namespace lacuna::tool

// main.cpp - lacuna_gpus: what the compilers of GPUs make of every kernel; `./dev gpus` runs it, one process a GPU.
//
// SPDX-License-Identifier: Apache-2.0
//
//   lacuna_gpus measure TARGET OUT.json [--assume-matrices]   on the first Vulkan device of this process
//   lacuna_gpus report TABLE.json [--update] X.json...        prints, and compares with the committed table
//
// Exit status: 0 done, 1 something became worse or did not compile, 2 bad arguments.
#include "assume.h"
#include "measure.h"
#include "report.h"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace lacuna::gpus
{
namespace
{

using Json = nlohmann::ordered_json;

Json readJson(const std::string& path)
{
    std::ifstream file(path);
    if (!file)
        throw std::runtime_error("the file '" + path + "' cannot be read");
    return Json::parse(file);
}

// The figures and constants of a kernel on one line, so that a change of one kernel is a change of one line.
void writeTable(const std::string& path, const Json& table)
{
    std::ofstream file(path);
    file << std::boolalpha << "{\"targets\": {";
    const char* target_comma = "";
    for (const auto& [target, content] : table["targets"].items())
    {
        file << target_comma << "\n\"" << target << "\": {\"device\": " << content["device"]
             << ", \"driver\": " << content["driver"]
             << ", \"matrices_are_assumed\": " << content.value("matrices_are_assumed", false) << ", \"kernels\": {";
        const char* comma = "";
        for (const auto& [name, kernel] : content["kernels"].items())
        {
            file << comma << "\n  \"" << name << "\": " << kernel;
            comma = ",";
        }
        file << "}}";
        target_comma = ",";
    }
    file << "\n}}\n";
    if (!file.flush())
        throw std::runtime_error("the file '" + path + "' cannot be written");
}

int report(const std::string& table, bool update, const std::vector<std::string>& files)
{
    std::vector<Json> measured;
    for (const std::string& file : files)
        measured.push_back(readJson(file));
    const Json committed = std::filesystem::exists(table) ? readJson(table) : Json::object();
    printTable(measured);

    const std::vector<Difference> differences = compare(measured, committed);
    for (const Difference& d : differences)
        fmt::print("{}: {} {}: {}\n", d.is_worse ? "worse" : "note", d.target, d.kernel, d.text);
    if (update)
    {
        std::filesystem::create_directories(std::filesystem::absolute(table).parent_path());
        writeTable(table, toCommit(measured, committed));
        return 0;
    }
    const auto worse = std::count_if(differences.begin(), differences.end(), [](const auto& d) { return d.is_worse; });
    if (worse > 0)
        fmt::print("{} figures became worse; if that is meant, `./dev gpus --update` writes them to {}\n", worse, table);
    return worse > 0 ? 1 : 0;
}

int run(const std::vector<std::string>& arguments)
{
    const bool is_assuming = arguments.size() == 4 && arguments[3] == "--assume-matrices";
    if ((arguments.size() == 3 || is_assuming) && arguments[0] == "measure")
    {
        if (is_assuming)
            assumeMatrices();
        std::ofstream(arguments[2]) << measure(arguments[1], LACUNA_SPIRV_DIR).dump(1) << '\n';
        return 0;
    }
    if (arguments.size() >= 3 && arguments[0] == "report")
    {
        const bool update = arguments[2] == "--update";
        return report(arguments[1], update, {arguments.begin() + (update ? 3 : 2), arguments.end()});
    }
    fmt::print(stderr, "lacuna_gpus: expected 'measure TARGET OUT.json [--assume-matrices]' or 'report TABLE.json [--update] X.json...'\n");
    return 2;
}

} // namespace
} // namespace lacuna::gpus

int main(int argc, char** argv)
{
    try
    {
        return lacuna::gpus::run({argv + 1, argv + argc});
    }
    catch (const std::exception& error)
    {
        fmt::print(stderr, "lacuna_gpus: {}\n", error.what());
        return 1;
    }
}

// run_tool.h - the tool in a process of its own, for tests that see it as a script does.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <lacuna/npy.h>
#include <lacuna/output.h>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#ifndef _WIN32
#include <sys/wait.h>
#else
#define WEXITSTATUS(status) (status)
#endif

namespace lacuna::test
{

// A new and empty folder beside the test, as long as this lives.
struct Folder
{
    std::filesystem::path path;
    explicit Folder(std::filesystem::path where) : path(std::move(where))
    {
        std::filesystem::remove_all(path);
        std::filesystem::create_directory(path);
    }
    ~Folder() { std::filesystem::remove_all(path); }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    std::string file(const char* name) const { return (path / name).string(); }
};

struct Ran
{
    int status = 0;
    std::string out, err;
    std::string notes; // lines of stderr that depend on what the caches have, and are not in `err`
};

// Moves the notes of a text of stderr out of it.
inline std::string takeNotes(std::string& err)
{
    std::string notes, rest;
    std::istringstream lines(err);
    for (std::string line; std::getline(lines, line);)
        (line.starts_with("note: ") ? notes : rest) += line + "\n";
    err = rest;
    return notes;
}

// Any command of the shell; `folder` holds its output for a moment.
inline Ran runCommand(const std::filesystem::path& folder, const std::string& command)
{
    const std::string out = (folder / "stdout").string(), err = (folder / "stderr").string();
    Ran ran;
    ran.status = WEXITSTATUS(std::system((command + " >" + out + " 2>" + err).c_str()));
    ran.out = tool::readFile(out);
    ran.err = tool::readFile(err);
    ran.notes = takeNotes(ran.err);
    std::filesystem::remove(out);
    std::filesystem::remove(err);
    return ran;
}

inline Ran runTool(const std::filesystem::path& folder, const std::string& arguments)
{
    return runCommand(folder, std::string("\"") + LACUNA_TOOL + "\" " + arguments);
}

inline bool contains(const std::string& text, const std::string& part)
{
    return text.find(part) != std::string::npos;
}

// Refused: the status, one line that names `part`, nothing on stdout, and no new file in `folder`.
inline void checkToolRefuses(const std::filesystem::path& folder, const std::string& arguments,
                             const std::string& part, int status = 2)
{
    using Entries = std::filesystem::directory_iterator;
    const auto before = std::distance(Entries(folder), Entries());
    const Ran ran = runTool(folder, arguments);
    INFO("lacuna ", arguments, "\nstderr: ", ran.err);
    CHECK(ran.status == status);
    CHECK(ran.err.starts_with("lacuna: "));
    CHECK(std::count(ran.err.begin(), ran.err.end(), '\n') == 1);
    CHECK(contains(ran.err, part));
    CHECK(ran.out == "");
    CHECK(std::distance(Entries(folder), Entries()) == before);
}

// Writes q and k of two heads for 3 + 3x4x5 + 2 tokens and returns the flags that name them. A
// method that decides by them keeps other keys in each head.
inline std::string writeSmallQk(const std::filesystem::path& folder)
{
    std::string flags = "--grid 3x4x5 --text-before 3 --text-after 2";
    for (const std::string name : {"q", "k"})
    {
        std::vector<float> values(2 * 65 * 16);
        for (size_t i = 0; i < values.size(); ++i)
            values[i] = float((i * 7919 + size_t(name[0]) * 31) % 101) / 50 - 1;
        const std::string path = (folder / (name + ".npy")).string();
        tool::writeNpy(path, tool::arrayOfFloats(values, {1, 2, 65, 16}, tool::Dtype::F16));
        flags += " --" + name + " " + path;
    }
    return flags;
}

} // namespace lacuna::test

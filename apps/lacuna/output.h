// output.h - files that appear whole or not at all, the progress bar, and notes beside it.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdio>
#include <span>
#include <string>
#include <string_view>

namespace lacuna::tool
{

// A file under a temporary name in the folder of `path`; commit() renames it, the destructor
// removes what was not committed. Throws InputError with the path and the system's reason.
class OutputFile
{
public:
    explicit OutputFile(std::string path);
    ~OutputFile();
    OutputFile(const OutputFile&) = delete;
    OutputFile& operator=(const OutputFile&) = delete;

    void write(std::span<const std::byte> bytes);
    void write(std::string_view text) { write(std::as_bytes(std::span(text))); }
    void commit();

private:
    [[noreturn]] void fail(const char* what) const;

    std::string path_;
    std::string temporary_;
    std::FILE* file_ = nullptr;
};

// The whole of a small file in one call.
void writeFile(const std::string& path, std::span<const std::byte> bytes);
void writeFile(const std::string& path, std::string_view text);
// Throws InputError.
std::string readFile(const std::string& path);

// "note: <sentence>" on a line of stderr of its own.
void printNote(const std::string& sentence);

// "attend [=====>      ] 12/50 0:07 left" on a terminal, nothing when stderr is not one. Gone when
// destroyed.
class Progress
{
public:
    Progress(std::string label, size_t total);
    ~Progress();
    Progress(const Progress&) = delete;
    Progress& operator=(const Progress&) = delete;

    void step(size_t done);

private:
    std::string label_;
    size_t total_;
    bool is_terminal_;
    std::chrono::steady_clock::time_point start_;
};

} // namespace lacuna::tool

// output.cpp - whole files or none, and the progress bar.
//
// SPDX-License-Identifier: Apache-2.0
#include "output.h"

#include "errors.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#ifdef _WIN32
#include <io.h>
#include <process.h>
#define isatty _isatty
#define fileno _fileno
#define getpid _getpid
#else
#include <unistd.h>
#endif

namespace lacuna::tool
{

namespace fs = std::filesystem;

namespace
{

// Renaming over a link or a device (/dev/null) would replace it: links are followed, devices are
// written to.
fs::path resolved(const std::string& path)
{
    std::error_code error;
    const fs::path target =
        fs::is_symlink(path, error) ? fs::weakly_canonical(path, error) : fs::path(path);
    return error ? fs::path(path) : target;
}

bool isSpecial(const fs::path& path)
{
    std::error_code error;
    const fs::file_status status = fs::status(path, error);
    return !error && fs::exists(status) && !fs::is_regular_file(status) &&
           !fs::is_directory(status);
}

} // namespace

OutputFile::OutputFile(std::string path) : path_(std::move(path))
{
    const fs::path target = resolved(path_);
    std::error_code error;
    if (path_.empty() || fs::is_directory(target, error))
        throw InputError(fmt::format("cannot write '{}': it is not the name of a file", path_));
    temporary_ = isSpecial(target)
                     ? target.string()
                     : (target.parent_path() /
                        fmt::format(".{}.{}.part", target.filename().string(), int(getpid())))
                           .string();
    file_ = std::fopen(temporary_.c_str(), "wb");
    if (!file_)
        fail("cannot write");
}

OutputFile::~OutputFile()
{
    if (file_)
        std::fclose(file_);
    if (!temporary_.empty() && !isSpecial(temporary_))
        std::remove(temporary_.c_str());
}

void OutputFile::fail(const char* what) const
{
    throw InputError(fmt::format("{} '{}': {}", what, path_, std::strerror(errno)));
}

void OutputFile::write(std::span<const std::byte> bytes)
{
    constexpr size_t kChunkBytes = 4 << 20;
    for (size_t done = 0; done < bytes.size(); done += kChunkBytes)
    {
        throwIfInterrupted();
        const size_t size = std::min(kChunkBytes, bytes.size() - done);
        if (std::fwrite(bytes.data() + done, 1, size, file_) != size)
            fail("cannot write");
    }
}

void OutputFile::commit()
{
    std::FILE* const file = std::exchange(file_, nullptr);
    if (std::fclose(file) != 0)
        fail("cannot write");
    const fs::path target = resolved(path_);
    if (!isSpecial(target))
    {
        std::error_code error;
        fs::rename(temporary_, target, error);
        if (error)
            throw InputError(fmt::format("cannot write '{}': {}", path_, error.message()));
    }
    temporary_.clear();
}

void writeFile(const std::string& path, std::span<const std::byte> bytes)
{
    OutputFile file(path);
    file.write(bytes);
    file.commit();
}

void writeFile(const std::string& path, std::string_view text)
{
    writeFile(path, std::as_bytes(std::span(text)));
}

std::string readFile(const std::string& path)
{
    std::error_code error;
    if (fs::is_directory(path, error))
        throw InputError(fmt::format("cannot read '{}': it is a folder", path));
    std::FILE* const file = std::fopen(path.c_str(), "rb");
    if (!file)
        throw InputError(fmt::format("cannot read '{}': {}", path, std::strerror(errno)));
    std::string text;
    constexpr size_t kChunkBytes = 1 << 20;
    size_t got = 0;
    do
    {
        text.resize(text.size() + kChunkBytes);
        got = std::fread(text.data() + text.size() - kChunkBytes, 1, kChunkBytes, file);
        text.resize(text.size() - kChunkBytes + got);
    } while (got == kChunkBytes);
    const bool failed = std::ferror(file);
    std::fclose(file);
    if (failed)
        throw InputError(fmt::format("cannot read '{}': {}", path, std::strerror(errno)));
    return text;
}

void printNote(const std::string& sentence)
{
    const char* const clear = isatty(fileno(stderr)) ? "\r\033[K" : "";
    fmt::print(stderr, "{}note: {}\n", clear, sentence);
}

Progress::Progress(std::string label, size_t total)
    : label_(std::move(label)),
      total_(std::max<size_t>(total, 1)),
      is_terminal_(isatty(fileno(stderr))),
      start_(std::chrono::steady_clock::now())
{
    step(0);
}

Progress::~Progress()
{
    if (is_terminal_)
        fmt::print(stderr, "\r\033[K");
}

void Progress::step(size_t done)
{
    if (!is_terminal_)
        return;
    constexpr size_t kWidth = 30;
    const size_t filled = std::min(done, total_) * kWidth / total_;
    const double spent =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    std::string left;
    if (done > 0)
    {
        const int seconds =
            int(spent / double(done) * double(total_ - std::min(done, total_)) + 0.5);
        left = fmt::format(" {}:{:02} left", seconds / 60, seconds % 60);
    }
    fmt::print(stderr, "\r\033[K{} [{:=<{}}{:{}}] {}/{}{}", label_, "", filled, "", kWidth - filled,
               done, total_, left);
    std::fflush(stderr);
}

} // namespace lacuna::tool

// ctest: label=vk timeout=300 app
// test_generate_tool.cpp - `lacuna generate` as a user meets it: files, arguments, Ctrl-C.
//
// SPDX-License-Identifier: Apache-2.0
#include "generate/clip.h"
#include "lacuna/errors.h"
#include "lacuna/output.h"
#include "lacuna/safetensors.h"
#include "run_tool.h"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>
#include <zlib.h>

#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

using namespace lacuna;
namespace fs = std::filesystem;

namespace
{

const std::string kModel = LACUNA_TEST_DIR "/golden/dit_tiny.safetensors";

// An empty folder of its own, gone at the end.
struct Folder
{
    fs::path path =
        fs::temp_directory_path() / ("lacuna-test-generate-" + std::to_string(getpid()));
    Folder() { fs::create_directories(path); }
    ~Folder() { fs::remove_all(path); }
    std::string operator/(const char* name) const { return (path / name).string(); }
    size_t entries() const
    {
        return size_t(std::distance(fs::recursive_directory_iterator(path), {}));
    }
};

// The tool in a process of its own.
class Process
{
public:
    Process(const Folder& folder, std::vector<std::string> arguments)
        : out_(folder / ".out"), err_(folder / ".err")
    {
        arguments.insert(arguments.begin(), {LACUNA_TOOL, "generate"});
        std::fflush(nullptr); // or the child writes it once more
        pid_ = fork();
        if (pid_ == 0)
        {
            std::vector<char*> argv;
            for (std::string& argument : arguments)
                argv.push_back(argument.data());
            argv.push_back(nullptr);
            if (std::freopen(out_.c_str(), "w", stdout) && std::freopen(err_.c_str(), "w", stderr))
                execv(LACUNA_TOOL, argv.data());
            _exit(127);
        }
    }
    pid_t pid() const { return pid_; }
    int wait() // the exit status; the output is read and removed
    {
        int status = 0;
        waitpid(pid_, &status, 0);
        out = tool::readFile(out_);
        err = tool::readFile(err_);
        test::takeNotes(err);
        fs::remove(out_);
        fs::remove(err_);
        return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    }

    std::string out, err;

private:
    std::string out_, err_;
    pid_t pid_;
};

// Frames in which every pixel differs from its neighbours, and each frame from the others.
generate::Clip pattern(uint32_t frames, uint32_t height, uint32_t width)
{
    generate::Clip clip = {{frames, height, width}, {}};
    for (size_t i = 0; i < size_t(frames) * height * width * 3; ++i)
        clip.rgb.push_back(uint8_t(i * i / 7 + i / 5));
    return clip;
}

uint32_t big32(const std::vector<std::byte>& bytes, size_t at)
{
    uint32_t value = 0;
    for (size_t i = 0; i < 4; ++i)
        value = value << 8 | uint32_t(bytes.at(at + i));
    return value;
}

struct Chunk
{
    std::string type;
    std::vector<std::byte> data;
};

std::vector<Chunk> chunksOf(const std::vector<std::byte>& file)
{
    REQUIRE(std::string(reinterpret_cast<const char*>(file.data()), 8) == "\x89PNG\r\n\x1a\n");
    std::vector<Chunk> chunks;
    for (size_t at = 8; at < file.size();)
    {
        const size_t size = big32(file, at);
        const auto* const type = reinterpret_cast<const Bytef*>(file.data() + at + 4);
        CHECK(big32(file, at + 8 + size) == crc32(0, type, uInt(size + 4)));
        chunks.push_back(
            {std::string(reinterpret_cast<const char*>(type), 4),
             std::vector<std::byte>(file.begin() + at + 8, file.begin() + at + 8 + size)});
        at += size + 12;
    }
    return chunks;
}

// Inflates and undoes the filters 0, 1 and 2.
std::vector<uint8_t> pixelsOf(std::span<const std::byte> stream, uint32_t width, uint32_t height)
{
    std::vector<uint8_t> rows(size_t(height) * (1 + width * 3)), pixels(size_t(height) * width * 3);
    uLongf size = rows.size();
    REQUIRE(uncompress(rows.data(), &size, reinterpret_cast<const Bytef*>(stream.data()),
                       stream.size()) == Z_OK);
    REQUIRE(size == rows.size());
    const size_t row_bytes = width * 3;
    for (size_t y = 0; y < height; ++y)
    {
        const uint8_t kind = rows[y * (row_bytes + 1)];
        REQUIRE(kind <= 2);
        for (size_t x = 0; x < row_bytes; ++x)
        {
            const uint8_t left = x >= 3 ? pixels[y * row_bytes + x - 3] : 0;
            const uint8_t above = y > 0 ? pixels[(y - 1) * row_bytes + x] : 0;
            const uint8_t guess = kind == 1 ? left : kind == 2 ? above : 0;
            pixels[y * row_bytes + x] = uint8_t(rows[y * (row_bytes + 1) + 1 + x] + guess);
        }
    }
    return pixels;
}

std::vector<std::string> quick(const Folder& folder, const char* output)
{
    return {"--model", kModel, "--prompt", "a red circle", "-o", folder / output};
}

std::vector<std::string> with(std::vector<std::string> arguments, std::vector<std::string> more)
{
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
}

} // namespace

TEST_CASE("APNG: every chunk, number and pixel")
{
    const generate::Clip clip = pattern(3, 6, 10);
    const std::vector<Chunk> chunks = chunksOf(generate::formatApng(clip, 8));
    std::string order;
    uint32_t sequence = 0, frames = 0;
    for (const Chunk& chunk : chunks)
    {
        order += chunk.type + " ";
        if (chunk.type == "IHDR")
            CHECK((big32(chunk.data, 0) == 10 && big32(chunk.data, 4) == 6));
        if (chunk.type == "acTL")
            CHECK((big32(chunk.data, 0) == 3 && big32(chunk.data, 4) == 0));
        if (chunk.type == "fcTL")
        {
            CHECK(big32(chunk.data, 0) == sequence++);
            CHECK(chunk.data.size() == 26);
            CHECK(big32(chunk.data, 20) == (1 << 16 | 8));
        }
        const bool is_later = chunk.type == "fdAT";
        if (is_later)
            CHECK(big32(chunk.data, 0) == sequence++);
        if (is_later || chunk.type == "IDAT")
        {
            const auto right = clip.frame(frames++);
            CHECK(pixelsOf(std::span(chunk.data).subspan(is_later ? 4 : 0), 10, 6) ==
                  std::vector<uint8_t>(right.begin(), right.end()));
        }
    }
    CHECK(order == "IHDR acTL fcTL IDAT fcTL fdAT fcTL fdAT IEND ");
}

TEST_CASE("APNG of flat frames is small")
{
    generate::Clip clip = {{16, 64, 64}, std::vector<uint8_t>(16 * 64 * 64 * 3, 90)};
    CHECK(generate::formatApng(clip, 8).size() < 4000);
}

TEST_CASE("Y4M: header, planes and range")
{
    generate::Clip clip = {{2, 1, 2}, {255, 255, 255, 0, 0, 0, 255, 0, 0, 0, 0, 255}};
    const std::vector<std::byte> file = generate::formatY4m(clip, 8);
    const std::string text(reinterpret_cast<const char*>(file.data()), file.size());
    const std::string header = "YUV4MPEG2 W2 H1 F8:1 Ip A1:1 C444 XCOLORRANGE=LIMITED\n";
    REQUIRE(text.starts_with(header + "FRAME\n"));
    REQUIRE(text.size() == header.size() + 2 * (6 + 6));
    const auto plane = [&](size_t at)
    {
        return std::vector<int>{uint8_t(text[at]), uint8_t(text[at + 1])};
    };
    const size_t first = header.size() + 6;
    CHECK(plane(first) == std::vector<int>{235, 16});
    CHECK(plane(first + 2) == std::vector<int>{128, 128});
    CHECK(plane(first + 12) ==
          std::vector<int>{81, 41}); // red and blue, as BT.601 tables have them
    CHECK(plane(first + 14) == std::vector<int>{90, 240});
    CHECK(plane(first + 16) == std::vector<int>{240, 110});
}

TEST_CASE("pixels are rounded and clamped")
{
    const std::vector<float> values = {-1, 1, 0, 0.5f, -9, 9, NAN, -1, 1, 1, 1, 1};
    const generate::Clip clip = generate::toClip({1, 2, 2}, values);
    CHECK(clip.rgb == std::vector<uint8_t>{0, 0, 255, 255, 255, 255, 128, 0, 255, 191, 0, 255});
}

TEST_CASE("PSNR and SSIM of known pairs")
{
    const generate::Clip a = pattern(2, 16, 24);
    CHECK(std::isinf(generate::psnr(a, a)));
    CHECK(generate::ssim(a, a) == doctest::Approx(1));
    const generate::Clip gray = {{1, 16, 16}, std::vector<uint8_t>(16 * 16 * 3, 100)};
    const generate::Clip light = {{1, 16, 16}, std::vector<uint8_t>(16 * 16 * 3, 110)};
    CHECK(generate::psnr(gray, light) == doctest::Approx(10 * std::log10(255.0 * 255.0 / 100)));
    // Flat frames: only the comparison of means is left.
    const double c1 = 2.55 * 2.55;
    CHECK(generate::ssim(gray, light) ==
          doctest::Approx((2 * 100 * 110 + c1) / (100 * 100 + 110 * 110 + c1)));
}

TEST_CASE("names of files")
{
    CHECK(generate::clipForm("a/clip.apng") == generate::ClipForm::Apng);
    CHECK(generate::clipForm("clip.y4m") == generate::ClipForm::Y4m);
    CHECK(generate::clipForm("frames/") == generate::ClipForm::Frames);
    CHECK_THROWS_AS(generate::clipForm("clip.mp4"), tool::InputError);
    CHECK(generate::besidePath("a/clip.apng", "-dense") == "a/clip-dense.apng");
    CHECK(generate::besidePath("a/frames/", "-dense") == "a/frames-dense/");
}

TEST_CASE("one clip, sparse beside dense, with sheet, capture and report")
{
    const Folder folder;
    // 8 blocks of 64 tokens; every third is kept.
    const std::vector<std::string> arguments =
        with(quick(folder, "clip.apng"), {"--frames",
                                          "8",
                                          "--height",
                                          "32",
                                          "--width",
                                          "32",
                                          "--steps",
                                          "3",
                                          "--method",
                                          "block_topk",
                                          "--set",
                                          "keep_ratio=0.25",
                                          "--dense-steps",
                                          "1",
                                          "--compare",
                                          "dense",
                                          "--contact-sheet",
                                          folder / "sheet.png",
                                          "--capture-qkv",
                                          folder / "qkv.safetensors",
                                          "--at",
                                          "2,1",
                                          "--json"});
    Process process(folder, arguments);
    REQUIRE(process.wait() == 0);
    CHECK(process.err == "");
    const nlohmann::json report = nlohmann::json::parse(process.out);
    CHECK(report["tokens"] == 512);
    CHECK(report["density"] == doctest::Approx(0.25));
    CHECK(report["sparse"]["step_ms"] > 0);
    CHECK(report["dense"]["steps"] == 2);
    CHECK(report["ssim"] < 1);
    CHECK(report["files"].size() == 4);
    const std::vector<std::byte> png = [&]
    {
        const std::string text = tool::readFile(folder / "sheet.png");
        const auto bytes = std::as_bytes(std::span(text));
        return std::vector<std::byte>(bytes.begin(), bytes.end());
    }();
    CHECK(chunksOf(png).size() == 3);
    CHECK(fs::exists(folder / "clip-dense.apng"));
    const tool::Tensors capture = tool::readSafetensors(folder / "qkv.safetensors");
    CHECK(capture.arrays.at("k").shape == std::vector<uint64_t>{2, 2, 512, 64});
    CHECK(capture.metadata.at("grid") == "8x8x8");
    CHECK(folder.entries() == 4);

    // The same seed gives the same bits in another process, another seed does not.
    const std::string clip = tool::readFile(folder / "clip.apng");
    Process again(folder, arguments);
    REQUIRE(again.wait() == 0);
    CHECK(tool::readFile(folder / "clip.apng") == clip);
    Process other(folder, with(arguments, {"--seed", "2"}));
    REQUIRE(other.wait() == 0);
    CHECK(tool::readFile(folder / "clip.apng") != clip);
}

TEST_CASE("many prompts go to numbered folders")
{
    const Folder folder;
    {
        std::ofstream(folder / "prompts.txt") << "a red circle\ntwo blue squares\n";
    }
    Process process(folder, {"--model", kModel, "--prompts", folder / "prompts.txt", "--steps", "1",
                             "-o", folder / "out/"});
    CHECK(process.wait() == 0);
    CHECK(fs::exists(folder / "out/00/frame_0003.png"));
    CHECK(fs::exists(folder / "out/01/frame_0000.png"));
    CHECK(!fs::exists(folder / "out/01/frame_0004.png"));
    CHECK(process.out.find("01 two blue squares") != std::string::npos);
}

TEST_CASE("bad arguments: one sentence with the value, exit status 2, no file")
{
    const Folder folder;
    const auto refuses = [&](const std::vector<std::string>& arguments, const std::string& named)
    {
        CAPTURE(named);
        Process process(folder, arguments);
        CHECK(process.wait() == 2);
        CHECK(process.err.find(named) != std::string::npos);
        CHECK(std::count(process.err.begin(), process.err.end(), '\n') == 1);
        CHECK(process.out == "");
        CHECK(folder.entries() == 0);
    };
    refuses({"--model", kModel, "-o", folder / "clip.apng"}, "--prompt");
    refuses({"--model", kModel, "--prompt", "a purple cow", "-o", folder / "clip.apng"}, "'cow'");
    refuses({"--model", folder / "none.safetensors", "--prompt", "a", "-o", folder / "clip.apng"},
            "none.safetensors");
    refuses(quick(folder, "clip.mp4"), "clip.mp4");
    refuses(with(quick(folder, "clip.apng"), {"--height", "18"}), "18");
    refuses(with(quick(folder, "clip.apng"), {"--frames", "100000"}), "tokens");
    refuses(with(quick(folder, "clip.apng"), {"--steps", "0"}), "0");
    refuses(with(quick(folder, "clip.apng"), {"--compare", "dense"}), "--method");
    refuses(with(quick(folder, "clip.apng"), {"--method", "block_topk", "--dense-steps", "4"}),
            "--dense-steps is 4");
    refuses(with(quick(folder, "clip.apng"), {"--capture-qkv", folder / "c.safetensors"}), "--at");
    refuses(with(quick(folder, "clip.apng"),
                 {"--capture-qkv", folder / "c.safetensors", "--at", "0,2"}),
            "'0,2'");
    refuses(with(quick(folder, "clip.apng"), {"--method", "no_such_method"}), "no_such_method");
    refuses(with(quick(folder, "clip.apng"), {"--method", "block_topk", "--set", "keep_ratio=1.5"}),
            "1.5");
}

TEST_CASE("Ctrl-C stops at the next step and leaves no file")
{
    const Folder folder;
    Process process(folder, with(quick(folder, "clip.apng"), {"--steps", "1000", "--frames", "16",
                                                              "--height", "64", "--width", "64"}));
    std::this_thread::sleep_for(std::chrono::seconds(2));
    kill(process.pid(), SIGINT);
    CHECK(process.wait() == tool::kInterrupted);
    CHECK(process.err.find("interrupted") != std::string::npos);
    CHECK(folder.entries() == 0);
}

// peer.cpp - a child process behind two pipes.
//
// SPDX-License-Identifier: Apache-2.0
#include "peer.h"

#include "command.h"

#include <fmt/format.h>

#ifndef _WIN32
#include <csignal>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>
#endif

namespace lacuna::tool
{

using Json = nlohmann::json;

#ifndef _WIN32

void Peer::start(const std::string& command)
{
    std::signal(SIGPIPE, SIG_IGN); // a peer that has ended is dealt with in ask()
    int in[2] = {-1, -1}, out[2] = {-1, -1};
    if (pipe(in) != 0 || pipe(out) != 0)
        throw InputError(fmt::format("--peer '{}' could not be started", name_));
    // Our ends stay ours: a second peer that held the first one's would keep it from ever ending.
    for (const int end : {in[1], out[0]})
        fcntl(end, F_SETFD, FD_CLOEXEC);
    if ((process_ = fork()) < 0)
        throw InputError(fmt::format("--peer '{}' could not be started", name_));
    if (process_ == 0)
    {
        dup2(in[0], STDIN_FILENO);
        dup2(out[1], STDOUT_FILENO);
        for (const int end : {in[0], in[1], out[0], out[1]})
            close(end);
        execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    to_ = fdopen(in[1], "w");
    from_ = fdopen(out[0], "r");
}

Peer::~Peer()
{
    if (to_)
        std::fclose(to_); // the peer ends when its input does
    if (from_)
        std::fclose(from_);
    if (process_ > 0)
        waitpid(process_, nullptr, 0);
}

#else

void Peer::start(const std::string&)
{
    throw InputError(fmt::format("--peer '{}': peers need fork, which Windows lacks", name_));
}

Peer::~Peer() = default;

#endif

Peer::Peer(const std::string& text, const LacunaPlanDesc& desc, const std::string& dtype)
{
    const auto [name, command] = parseSetting(text, "--peer");
    name_ = name;
    start(command);
    const Json answer =
        ask({{"shape", {desc.batch, desc.q_heads, desc.q_len, desc.head_dim}}, {"dtype", dtype}});
    if (!answer.contains("description") || !answer["description"].is_string())
        throw InputError(
            fmt::format("--peer '{}' said {}, expected a description", name_, answer.dump()));
    description_ = answer["description"];
}

std::optional<double> Peer::run()
{
    const Json answer = ask({{"run", true}});
    if (!answer.contains("ms") || !answer["ms"].is_number())
        throw InputError(
            fmt::format("--peer '{}' said {}, expected milliseconds", name_, answer.dump()));
    return answer["ms"].get<double>();
}

Json Peer::ask(const Json& question)
{
    // A peer that has already ended cannot be written to, but what it said before is still in its
    // pipe and tells the user more than the failed write does.
    const std::string sent = question.dump() + "\n";
    std::fwrite(sent.data(), 1, sent.size(), to_);
    std::fflush(to_);
    std::string line;
    for (int c; (c = std::fgetc(from_)) != EOF && c != '\n';)
        line.push_back(char(c));
    const Json answer = Json::parse(line, nullptr, false);
    if (!answer.is_object())
        throw InputError(
            fmt::format("--peer '{}' said '{}', expected one line of JSON", name_, line));
    if (answer.contains("error"))
        throw InputError(fmt::format("--peer '{}': {}", name_, answer["error"].dump()));
    return answer;
}

} // namespace lacuna::tool

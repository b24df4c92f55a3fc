// peer.h - another program that computes the same dense attention, timed in turns with ours.
//
// SPDX-License-Identifier: Apache-2.0
//
// A peer reads lines of JSON and answers each with one line; what it says besides goes to stderr:
//   {"shape": [B, H, N, D], "dtype": "f16"}   set up, warm up    -> {"description": "torch 2.6,
//   ..."}
//   {"run": true}                             one attention      -> {"ms": 1.25}
//   end of input                              ends the program
// Instead of an answer it may say {"error": "a sentence"}.
#pragma once

#include <lacuna/lacuna.h>

#include <nlohmann/json.hpp>

#include <cstdio>
#include <optional>
#include <string>

namespace lacuna::tool
{

class Peer
{
public:
    // text: NAME=COMMAND, run by the shell. Throws InputError when it does not answer as above.
    Peer(const std::string& text, const LacunaPlanDesc& desc, const std::string& dtype);
    ~Peer();
    Peer(const Peer&) = delete;
    Peer& operator=(const Peer&) = delete;

    const std::string& name() const { return name_; }
    const std::string& description() const { return description_; }
    std::optional<double> run(); // milliseconds

private:
    nlohmann::json ask(const nlohmann::json& question);
    void start(const std::string& command);

    std::string name_, description_;
    std::FILE* to_ = nullptr;
    std::FILE* from_ = nullptr;
    int process_ = 0;
};

} // namespace lacuna::tool

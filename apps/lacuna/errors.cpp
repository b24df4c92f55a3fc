// errors.cpp - Ctrl-C as a flag that long work looks at.
//
// SPDX-License-Identifier: Apache-2.0
#include "errors.h"

#include <atomic>
#include <csignal>

namespace lacuna::tool
{
namespace
{

std::atomic<bool> is_interrupted = false;

extern "C" void onInterrupt(int)
{
    is_interrupted = true;
    std::signal(SIGINT, SIG_DFL); // a second Ctrl-C ends a program that does not listen
}

} // namespace

void catchInterrupt()
{
    std::signal(SIGINT, onInterrupt);
}

bool interrupted()
{
    return is_interrupted;
}

void throwIfInterrupted()
{
    if (is_interrupted)
        throw Interrupted();
}

} // namespace lacuna::tool

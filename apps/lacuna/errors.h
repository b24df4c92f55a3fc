// errors.h - what the tool throws, the exit status that follows, and Ctrl-C.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdexcept>

namespace lacuna::tool
{

enum ExitStatus
{
    kDone = 0,
    kCheckFailed = 1,   // throw CheckFailed
    kBadInput = 2,      // throw InputError, or lacuna::Error with INVALID_ARGUMENT
    kNoDevice = 3,      // lacuna::Error with any other code
    kInterrupted = 130, // throw Interrupted, as shells expect after Ctrl-C
};

// Bad arguments, or a file that cannot be read or written. The sentence names the value and what
// was expected.
struct InputError : std::runtime_error
{
    using runtime_error::runtime_error;
};

// Something was measured and is not good enough. The sentence may be empty when the report already
// said it.
struct CheckFailed : std::runtime_error
{
    using runtime_error::runtime_error;
};

struct Interrupted : std::runtime_error
{
    Interrupted() : runtime_error("interrupted") {}
};

// interrupted() is true after the first Ctrl-C; a second one ends the program at once. Long work
// asks between its steps.
void catchInterrupt(); // main() only
bool interrupted();
void throwIfInterrupted();

} // namespace lacuna::tool

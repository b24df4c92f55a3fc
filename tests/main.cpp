// main.cpp - runs the tests of one program, then reports skipped cases and validation messages.
//
// SPDX-License-Identifier: Apache-2.0
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

namespace lacuna::test
{
void setCaseFilter(int count, char** arguments);
bool finish(); // false: the validation layers complained
} // namespace lacuna::test

int main(int count, char** arguments)
{
    lacuna::test::setCaseFilter(count, arguments);
    doctest::Context context(count, arguments);
    const int result = context.run();
    return lacuna::test::finish() ? result : 1;
}

// main.cpp - the tool `lacuna`: finds the subcommand, and turns what it throws into one sentence
// and an exit status.
//
// SPDX-License-Identifier: Apache-2.0
#include "command.h"
#include "vector_width.h"

#include <fmt/format.h>

#include <new>
#include <string>

namespace lacuna::tool
{
namespace
{

// The sentence of an exception, on one line.
int report(const std::string& sentence, int status)
{
    std::string line = sentence;
    for (char& c : line)
        if (c == '\n' || c == '\r')
            c = ' ';
    if (!line.empty())
        fmt::print(stderr, "lacuna: {}\n", line);
    return status;
}

// --help and --version end parsing by an exception too; they are no errors.
int reportParse(const CLI::App& app, const CLI::ParseError& error)
{
    if (error.get_exit_code() == 0)
        return app.exit(error);
    const auto chosen = app.get_subcommands();
    if (chosen.empty() && app.remaining_size() > 0)
        return report(fmt::format("there is no subcommand '{}' (lacuna --help lists what there is)",
                                  app.remaining().front()),
                      kBadInput);
    const std::string command = chosen.empty() ? "" : " " + chosen.front()->get_name();
    return report(fmt::format("{} (lacuna{} --help lists what there is)", error.what(), command),
                  kBadInput);
}

int run(int argc, char** argv)
{
    CLI::App app("Sparse attention for any GPU that speaks Vulkan.", "lacuna");
    app.set_version_flag("--version", "lacuna " LACUNA_VERSION_TEXT);
    app.require_subcommand(1);
    addDevices(app);
    addSelftest(app);
    addMethods(app);
    addMask(app);
    addViewMask(app);
    addSimulate(app);
    addOrder(app);
    addAttend(app);
    addBench(app);
    addCalibrate(app);
    addGenerate(app);
    try
    {
        app.parse(argc, argv);
        return kDone;
    }
    catch (const CLI::ParseError& error)
    {
        return reportParse(app, error);
    }
    catch (const InputError& error)
    {
        return report(error.what(), kBadInput);
    }
    catch (const CheckFailed& error)
    {
        return report(error.what(), kCheckFailed);
    }
    catch (const Interrupted& error)
    {
        return report(error.what(), kInterrupted);
    }
    catch (const Error& error)
    {
        return report(error.what(),
                      error.result() == LACUNA_ERROR_INVALID_ARGUMENT ? kBadInput : kNoDevice);
    }
    catch (const std::bad_alloc&)
    {
        return report("this needs more host memory than there is", kBadInput);
    }
    catch (const std::exception& error)
    {
        return report(fmt::format("this is a defect of lacuna, please report it: {}", error.what()),
                      kCheckFailed);
    }
}

} // namespace

} // namespace lacuna::tool

int main(int argc, char** argv)
{
    lacuna::tool::catchInterrupt();
    lacuna::tool::chooseVectorWidth(argc, argv);
    return lacuna::tool::run(argc, argv);
}

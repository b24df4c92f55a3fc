// lacuna.hpp - header-only C++20 ownership over lacuna.h: handles that destroy themselves, and exceptions.
//
// SPDX-License-Identifier: Apache-2.0
//
// It adds no behaviour. Threads, lifetimes and synchronization are those of lacuna.h.
#pragma once

#include "lacuna.h"

#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace lacuna
{

// A failed call: the code, and the sentence that the message callback received.
class Error : public std::runtime_error
{
public:
    Error(LacunaResult result, const std::string& sentence)
        : std::runtime_error(sentence), result_(result)
    {
    }
    LacunaResult result() const noexcept { return result_; }

private:
    LacunaResult result_;
};

// Collects the sentence of one failing call, and throws it.
class Messages
{
public:
    static void receive(void* user, LacunaResult, const char* sentence)
    {
        static_cast<Messages*>(user)->sentence_ = sentence;
    }
    void check(LacunaResult result)
    {
        if (result < 0)
            throw Error(result, sentence_.empty() ? lacunaGetResultName(result) : sentence_);
    }

private:
    std::string sentence_;
};

// Calls one of the functions that fill a caller's text: `call(size_t* size, char* text)`.
template <typename Call>
std::string text(Call&& call)
{
    size_t size = 0;
    Messages().check(call(&size, nullptr));
    std::string result(size, '\0');
    Messages().check(call(&size, result.data()));
    result.resize(size - 1); // without the terminator
    return result;
}

struct DestroyContext
{
    void operator()(LacunaContext context) const { lacunaDestroyContext(context); }
};
struct DestroyPlan
{
    void operator()(LacunaPlan plan) const { lacunaDestroyPlan(plan); }
};
using Context = std::unique_ptr<LacunaContext_T, DestroyContext>;
using Plan = std::unique_ptr<LacunaPlan_T, DestroyPlan>;

// As lacunaCreateContext; desc.message is replaced for the time of the call and errors are thrown.
inline Context createContext(LacunaContextDesc desc)
{
    LacunaContext context = nullptr;
    Messages().check(lacunaCreateContext(&desc, &context));
    return Context(context);
}

inline Plan createPlan(LacunaContext context, const LacunaPlanDesc& desc)
{
    LacunaPlan plan = nullptr;
    Messages().check(lacunaCreatePlan(context, &desc, &plan));
    return Plan(plan);
}

} // namespace lacuna

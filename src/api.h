// api.h - what stands behind the handles of lacuna.h, and where an entry point's sentence goes.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "gpu/caps.h"
#include "gpu/device.h"
#include "gpu/pipelines.h"
#include "plan/plan.h"

#include <lacuna/lacuna.h>

#include <memory>
#include <string>

struct LacunaContext_T
{
    LacunaMessageCallback message = nullptr;
    void* message_user = nullptr;
    lacuna::InstanceFunctions instance;
    lacuna::DeviceFunctions device;
    lacuna::Caps caps;
    std::unique_ptr<lacuna::Pipelines> pipelines; // refers to device and caps
};

struct LacunaPlan_T
{
    LacunaContext context = nullptr;
    lacuna::CompiledPlan plan;
};

namespace lacuna
{

// Where the sentence of one call goes.
struct Reporter
{
    const char* function;
    LacunaMessageCallback message = nullptr;
    void* user = nullptr;

    Reporter(const char* name, LacunaContext context)
        : function(name),
          message(context ? context->message : nullptr),
          user(context ? context->message_user : nullptr)
    {
    }
    Reporter(const char* name, LacunaMessageCallback callback, void* callback_user)
        : function(name), message(callback), user(callback_user)
    {
    }
    LacunaResult operator()(LacunaResult result, const std::string& sentence) const
    {
        if (message)
            message(user, result, (std::string(function) + ": " + sentence).c_str());
        return result;
    }
    LacunaResult null(const char* argument) const
    {
        return (*this)(LACUNA_ERROR_INVALID_ARGUMENT, std::string(argument) + " is NULL");
    }
};

} // namespace lacuna

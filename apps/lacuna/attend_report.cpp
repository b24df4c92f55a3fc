// attend_report.cpp - what `lacuna attend` shows of its report.
//
// SPDX-License-Identifier: Apache-2.0
#include "attend_report.h"

#include <fmt/format.h>

namespace lacuna::tool
{
namespace
{

using Json = nlohmann::json;

// Empty unless the environment or `lacuna tune` chose the kernel.
std::string chosenBy(const Json& explain)
{
    const std::string who = explain["chosen_by"].get<std::string>();
    return who == "the library" || who == "the caller" ? "" : " (chosen by " + who + ")";
}

void printGroups(const Json& r)
{
    for (const Json& group : r["groups"])
    {
        std::string options;
        for (const auto& [name, value] : group["options"].items())
            options += " " + name + "=" + value.get<std::string>();
        fmt::print("group      {}{}: heads {}, density {:.4f}, {}, {}{}\n",
                   group["method"].get<std::string>(), options, group["heads"].dump(),
                   group["density"].get<double>(), group["explain"]["tier"].get<std::string>(),
                   group["explain"]["tile"].get<std::string>(), chosenBy(group["explain"]));
    }
}

} // namespace

void printAttendReport(const Json& r)
{
    fmt::print("device     {}\n", r["device"].get<std::string>());
    if (r.contains("explain"))
        fmt::print("kernel     {}, {}{}\n", r["explain"]["tier"].get<std::string>(),
                   r["explain"]["tile"].get<std::string>(), chosenBy(r["explain"]));
    else
        printGroups(r);
    if (r.contains("explain") && r["explain"]["parts"] > 1)
        fmt::print("parts      {} of the heads, one after the other in {:.0f} MB of workspace\n",
                   r["explain"]["parts"].get<uint64_t>(),
                   r["explain"]["workspace_bytes"].get<double>() * 1e-6);
    fmt::print("density    {:.4f}\n", r["density"].get<double>());
    if (r["ms"].is_null())
        fmt::print("time       the device has no timestamps\n");
    else
        fmt::print("time       {:.3f} ms, {:.1f} GFLOP/s (median of {})\n", r["ms"].get<double>(),
                   r["gflops"].get<double>(), r["ms_all"].size());
    if (r.contains("slices"))
        fmt::print("slices     {}, the longest {:.3f} ms of {:g} ms wanted (last run)\n",
                   r["slices"]["count"].get<uint64_t>(), r["slices"]["longest_ms"].get<double>(),
                   r["slices"]["wanted_ms"].get<double>());
    if (r.contains("mods"))
    {
        fmt::print("error      not measured: the reference does not know your functions\n");
        return;
    }
    const Json& e = r["error"];
    fmt::print("error      max {:.2e}, rel L1 {:.2e}, rmse {:.2e}, cos {:.9f}; LSE {:.2e} ({} of "
               "{} queries)\n",
               e["max"].get<double>(), e["rel_l1"].get<double>(), e["rmse"].get<double>(),
               e["cos"].get<double>(), r["lse_error_max"].get<double>(),
               r["queries_compared"].get<uint64_t>(), r["queries"].get<uint64_t>());
    const Json& d = r["against_dense"];
    fmt::print("vs dense   rel L1 {:.2e}, cos {:.6f}\n", d["rel_l1"].get<double>(),
               d["cos"].get<double>());
    fmt::print("selection  {} of {} pairs differ from the method's definition\n",
               r["selection"]["pairs_apart"].get<uint64_t>(),
               r["selection"]["pairs_compared"].get<uint64_t>());
}

} // namespace lacuna::tool

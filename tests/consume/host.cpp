// SPDX-License-Identifier: Apache-2.0
// The smallest program on the host runtime: it has no Vulkan of its own and lists the devices.
#include <lacuna/host.hpp>

#include <cstdio>

int main()
{
    for (const lacuna::host::DeviceInfo& device : lacuna::host::listDevices())
        std::printf("%u %s\n", device.index, device.name.c_str());
    return 0;
}

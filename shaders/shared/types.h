// types.h - lets one struct or function be declared for C++ and GLSL: include this first, then use
// uint, float and uvec2.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef LACUNA_SHARED_TYPES_H
#define LACUNA_SHARED_TYPES_H

#ifdef __cplusplus
#include <cstdint>
namespace lacuna
{
using uint = uint32_t;
// A VkDeviceAddress, low word first: buffer_reference_uvec2 needs no 64-bit integers on the device.
struct alignas(8) uvec2
{
    uint32_t x = 0, y = 0;
};
} // namespace lacuna
#define LACUNA_SHARED_BEGIN namespace lacuna {
#define LACUNA_SHARED_END }
#define LACUNA_SHARED_FUNCTION inline
#else
#define LACUNA_SHARED_BEGIN
#define LACUNA_SHARED_END
#define LACUNA_SHARED_FUNCTION
#endif

#endif

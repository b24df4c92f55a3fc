// half.cpp - 16-bit floats on the host, round to nearest even, without compiler extensions.
//
// SPDX-License-Identifier: Apache-2.0
#include <lacuna/host.hpp>

#include <bit>
#include <cstring>

namespace lacuna::host
{

uint16_t toHalf(float value)
{
    const uint32_t bits = std::bit_cast<uint32_t>(value);
    const uint16_t sign = uint16_t(bits >> 16 & 0x8000);
    const uint32_t magnitude = bits & 0x7fffffff;
    if (magnitude > 0x7f800000) // NaN: keep it one, whatever its payload
        return uint16_t(sign | 0x7e00 | (magnitude >> 13 & 0x1ff));
    if (magnitude >= 0x477ff000) // 65520 and more round to infinity
        return uint16_t(sign | 0x7c00);
    if (magnitude < 0x38800000) // below 2^-14: subnormal; the addition rounds at 2^-24
    {
        const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
        return uint16_t(sign | (std::bit_cast<uint32_t>(shifted) - 0x3f000000));
    }
    const uint32_t rounded = magnitude + 0xfff + (magnitude >> 13 & 1);
    return uint16_t(sign | ((rounded - 0x38000000) >> 13));
}

float fromHalf(uint16_t bits)
{
    const uint32_t sign = uint32_t(bits & 0x8000) << 16;
    const uint32_t exponent = bits >> 10 & 0x1f;
    const uint32_t mantissa = bits & 0x3ff;
    if (exponent == 31)
        return std::bit_cast<float>(sign | 0x7f800000 | mantissa << 13);
    if (exponent == 0)
    {
        const float value = float(mantissa) * 0x1p-24f;
        return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(value));
    }
    return std::bit_cast<float>(sign | (exponent + 112) << 23 | mantissa << 13);
}

uint16_t toBfloat16(float value)
{
    const uint32_t bits = std::bit_cast<uint32_t>(value);
    if ((bits & 0x7fffffff) > 0x7f800000) // NaN: keep it one, whatever its payload
        return uint16_t(bits >> 16 | 0x40);
    return uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

float fromBfloat16(uint16_t bits)
{
    return std::bit_cast<float>(uint32_t(bits) << 16);
}

std::vector<std::byte> packFloats(std::span<const float> values, LacunaDtype dtype)
{
    if (dtype == LACUNA_DTYPE_F32)
    {
        const auto bytes = std::as_bytes(values);
        return {bytes.begin(), bytes.end()};
    }
    std::vector<std::byte> packed(values.size() * 2);
    for (size_t i = 0; i < values.size(); ++i)
    {
        const uint16_t bits =
            dtype == LACUNA_DTYPE_F16 ? toHalf(values[i]) : toBfloat16(values[i]);
        std::memcpy(&packed[2 * i], &bits, 2);
    }
    return packed;
}

std::vector<float> unpackFloats(std::span<const std::byte> bytes, LacunaDtype dtype)
{
    const size_t size = dtype == LACUNA_DTYPE_F32 ? 4 : 2;
    std::vector<float> values(bytes.size() / size);
    if (dtype == LACUNA_DTYPE_F32)
    {
        std::memcpy(values.data(), bytes.data(), values.size() * size);
        return values;
    }
    for (size_t i = 0; i < values.size(); ++i)
    {
        uint16_t bits;
        std::memcpy(&bits, &bytes[2 * i], 2);
        values[i] = dtype == LACUNA_DTYPE_F16 ? fromHalf(bits) : fromBfloat16(bits);
    }
    return values;
}

} // namespace lacuna::host

#version 460
// probe.comp - which elements of a cooperative matrix each lane holds: it loads matrices whose
// elements tell where they are.
//
// SPDX-License-Identifier: Apache-2.0
//
// out    result, see shared/matrices.h
//
// grid   one workgroup, which is one subgroup
// spec   0 kThreads          workgroup size, and the subgroup's, pinned
//        1 kM, 2 kN, 3 kK    of the matrices; at most 64
// shared numbers, halves: the largest of the matrices

#pragma use_vulkan_memory_model
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require

#include "lib/memory.glsl"
#include "shared/matrices.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 0) const uint kThreads = 32;
layout(constant_id = 1) const uint kM = 16;
layout(constant_id = 2) const uint kN = 16;
layout(constant_id = 3) const uint kK = 16;

layout(push_constant, std430) uniform Push
{
    ProbePush push;
};

shared float numbers[kM * kN];
shared float16_t halves[kK * (kM > kN ? kM : kN)];

void writeHeader(uint at, uint value)
{
    if (gl_SubgroupInvocationID == 0)
        UintArray(push.result).at[at] = value;
}

// `part` of each element, its row or its column, into the upper or the lower half of its word.
void writePart(uint matrix, uint component, bool is_row, uint part)
{
    const uint at = kProbeHeader + (matrix * kMaxComponents + component) * kThreads +
                    gl_SubgroupInvocationID;
    const uint before = is_row ? 0 : UintArray(push.result).at[at];
    UintArray(push.result).at[at] = is_row ? part << 16 : before | part;
}

void fill(uint rows, uint columns, bool is_row)
{
    barrier(); // what was there has been loaded
    for (uint i = gl_SubgroupInvocationID; i < rows * columns; i += kThreads)
    {
        const uint part = is_row ? i / columns : i % columns;
        if (i < kM * kN)
            numbers[i] = float(part);
        if (i < kK * max(kM, kN))
            halves[i] = float16_t(part);
    }
    barrier();
}

// Type: of the matrix. The numbers are exact in fp16.
#define PROBE(Type, matrix, rows, columns, memory)                                                 \
    {                                                                                              \
        Type place;                                                                                \
        const uint count = min(place.length(), kMaxComponents);                                    \
        writeHeader(5 + matrix, place.length());                                                   \
        for (uint pass = 0; pass < 2; ++pass)                                                      \
        {                                                                                          \
            fill(rows, columns, pass == 0);                                                        \
            coopMatLoad(place, memory, 0, columns, gl_CooperativeMatrixLayoutRowMajor);            \
            for (uint i = 0; i < count; ++i)                                                       \
                writePart(matrix, i, pass == 0, uint(place[i]));                                   \
        }                                                                                          \
    }

#define Sums coopmat<float, gl_ScopeSubgroup, kM, kN, gl_MatrixUseAccumulator>
#define OperandA coopmat<float16_t, gl_ScopeSubgroup, kM, kK, gl_MatrixUseA>
#define OperandB coopmat<float16_t, gl_ScopeSubgroup, kK, kN, gl_MatrixUseB>

void main()
{
    writeHeader(0, kProbeMark);
    writeHeader(1, kM);
    writeHeader(2, kN);
    writeHeader(3, kK);
    writeHeader(4, kThreads);
    PROBE(Sums, kProbeSums, kM, kN, numbers)
    PROBE(OperandA, kProbeA, kM, kK, halves)
    PROBE(OperandB, kProbeB, kK, kN, halves)
}

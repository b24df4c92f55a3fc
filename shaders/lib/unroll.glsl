// unroll.glsl - loops over matrices: unrolled where a compiler keeps arrays in registers, not where
// it compiles forever.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef LACUNA_LIB_UNROLL_GLSL
#define LACUNA_LIB_UNROLL_GLSL

#extension GL_EXT_control_flow_attributes : require

#if LACUNA_UNROLL
#define LACUNA_MATRIX_LOOP [[unroll]]
#else
#define LACUNA_MATRIX_LOOP [[dont_unroll]]
#endif

#endif

#version 460
// coopmat.comp - ATTEND with cooperative matrices of any shape, on fp16 operands.
//
// SPDX-License-Identifier: Apache-2.0
//
// in     as AttendPush; operands of other types are rounded to fp16 here
// out    result, lse fp32
//
// grid   flat, one workgroup per item and per head that shares the items
// spec   0 kThreads       workgroup size
//        1 kSubgroupSize  pinned, subgroups are full
//        2 kHeadDim       D
//        3 kM, 4 kN       rows and columns of an accumulator
//        5 kScoreK        depth of one product of S = Q K^T
//        6 kWeighK        depth of one product of O += P V; divides kKeys
//        7 kSlices        subgroups that share the same queries; kN * kSlices divides kKeys
//        8 kTilesM        accumulators on top of each other in one subgroup
//        9 kKeys          keys of one step (Bc)
//       10 kPad           16-byte words behind each row in shared memory
//       11 kInputType     LacunaDtype of Q, K and V
//       12 kResultType    of the result
//       13 kHoldQ         Q stays in registers; otherwise each product loads it from shared memory
//       14 kDirect        matrices of whole steps come from K and V themselves, which are not
//                         staged; of fp16, kScoreK and kN * kSlices divide D
//       15 kBroadcast     matrices are loaded with stride 0, see weighTiles()
//       16 .. 20          of coopmat_lanes.comp
//       21 kHasParts      some items are parts of a split row
//       22 kHasWindows    queries keep only the keys in their windows
//       23 kHasBoxes      queries keep only the keys in their boxes
//       24 kSoftCap       logits are capped
// shared tile.glsl, score_tile.glsl; sharedBytes() in attend_coopmat.cpp counts them
//
//            D                       one K or V tile at a time
//          +--------+                +----------+
//   strip  | q_tile |  x  K^T -> S -> softmax -> P  x  V -> O
//          +--------+
//
// All sums are fp32; with LACUNA_SUMS 1 they are fp16 as far as they are short, see
// matrix_sums_half.glsl.
//
// Subgroup (strip, slice) owns the rows of its strip and every kSlices-th column tile of S and O.
// Trip counts are uniform in a workgroup. Loops over the list test at their end: see memory.glsl.

#pragma use_vulkan_memory_model
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#include "lib/unroll.glsl" // first: it has extensions

#include "attend/products.glsl"
#include "attend/softmax.glsl"
#include "attend/store.glsl"

void main()
{
    const AttendParams params = ParamsView(push.params).value;
    const AttendItem item = takeItem(params, kHasParts);
    const uvec2 keys = keysOf(params, item, kInputType);
    const uvec2 values = valuesOf(params, item, kInputType);
    if (item.begin == item.end)
        return;

    stageQueries(params, item);
    if (kHoldQ)
    {
        barrier();
        holdQueries();
    }
    for (uint i = 0; i < kTilesM * kTilesN; ++i)
        o[i] = Accumulator(0);
    startRows(params, item);

    Walk walk = startWalk(item, kHasParts);
    if (hasKeys(walk))
        do
        {
            const Step taken = takeStep(params, item, walk);
            const bool is_direct = kDirect && !taken.is_packed && taken.count == kKeys;
            const Rows k = rowsOf(keys, params.k_token, taken, is_direct);
            const Rows v = rowsOf(values, params.v_token, taken, is_direct);
            if (!is_direct)
            {
                barrier(); // the step before has read kv_tile, and key_at is complete
                stageKeys(keys, params.k_token, taken);
            }
            if (!is_direct || !kHoldQ)
                barrier();
            scoreTiles(k);
            barrier(); // S is complete, and K no longer needed
            if (!is_direct)
                stageKeys(values, params.v_token, taken);
            softmaxRows(params, item, taken);
            barrier();
            weighTiles(v);
        } while (hasKeys(walk));
    barrier(); // shrink has been read
    finishRows(params, item);
    barrier();
    storeTiles(params, item);
}

// walk.glsl - the way through the spans of an item; a step may hold keys of several short ones.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef LACUNA_ATTEND_WALK_GLSL
#define LACUNA_ATTEND_WALK_GLSL

#include "attend/task.glsl"

struct Walk
{
    uvec2 span; // keys that have not been taken, of span `index`; empty at the end of the way
    uint index;
    uint last;
};

bool hasKeys(Walk walk)
{
    return walk.span.x < walk.span.y;
}

void toSpan(AttendItem item, inout Walk walk, uint index, bool has_parts)
{
    do
    {
        walk.index = index++;
        walk.span = keysOfSpan(item, walk.index, has_parts);
    } while (!hasKeys(walk) && walk.index < walk.last);
}

Walk startWalk(AttendItem item, bool has_parts)
{
    Walk walk = Walk(uvec2(0), item.first, item.first + item.count - 1);
    if (item.count > 0)
        toSpan(item, walk, item.first, has_parts);
    return walk;
}

void take(AttendItem item, inout Walk walk, uint keys, bool has_parts)
{
    walk.span.x += keys;
    if (!hasKeys(walk) && walk.index < walk.last)
        toSpan(item, walk, walk.index + 1, has_parts);
}

#endif

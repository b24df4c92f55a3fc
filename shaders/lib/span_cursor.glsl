// span_cursor.glsl - is a key kept by a list row? For keys that ascend.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef LACUNA_LIB_SPAN_CURSOR_GLSL
#define LACUNA_LIB_SPAN_CURSOR_GLSL

#include "lib/memory.glsl"

// Spans at .. end - 1 are still to come; there was at least one.
struct SpanCursor
{
    uint at, end;
};

// `range` is {first, count}.
SpanCursor cursorOf(uvec2 range)
{
    return SpanCursor(range.x, range.x + range.y);
}

bool keeps(inout SpanCursor cursor, uvec2 spans, uint key)
{
    uvec2 span;
    bool is_behind;
    do
    {
        span = Uvec2Array(spans).at[min(cursor.at, cursor.end - 1)];
        is_behind = cursor.at < cursor.end && span.y <= key;
        cursor.at += uint(is_behind);
    } while (is_behind);
    return cursor.at < cursor.end && span.x <= key;
}

#endif

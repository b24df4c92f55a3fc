// keep.glsl - which keys of its row a query keeps, where the queries of a row differ: by a window
// of keys or a box of places, see KeyBounds, and by the caller's own functions.
//
// SPDX-License-Identifier: Apache-2.0
//
// Include it behind kHasWindows and kHasBoxes.
#ifndef LACUNA_ATTEND_KEEP_GLSL
#define LACUNA_ATTEND_KEEP_GLSL

#include "attend/mods.glsl"
#include "attend/task.glsl"

// What has to be known of a query; only what the constants ask for is filled in.
struct Query
{
    uvec2 bounds; // {begin, end} of its window, or {low, high} of its box
    uint token;   // the caller's
};

// The same of a key.
struct Key
{
    uint place; // on each axis, packed; 0: every query keeps it
    uint token;
};

Query queryAt(AttendParams params, AttendItem item, uint position)
{
    Query query = Query(uvec2(0), 0);
    if (kHasWindows || kHasBoxes)
        query.bounds = Uvec2Array(push.bounds).at[position];
    if (kHasMods)
        query.token = tokenAt(params, item, position);
    return query;
}

Key keyAt(AttendParams params, AttendItem item, uint position)
{
    Key key = Key(0, position);
    if (kHasBoxes)
        key.place = UintArray(push.places).at[position];
    if (kHasMods && !isNull(push.key_order))
    {
        const uint first = item.head % params.key_orders * params.k_len;
        key.token = UintArray(push.key_order).at[first + position];
    }
    return key;
}

// Where the step that begins at `key` has to end at the latest: a step holds sinks, or none.
uint stepLimit(AttendParams params, uint key, uint span_end)
{
    return kHasWindows && key < params.sink_keys ? min(span_end, params.sink_keys) : span_end;
}

// Keys begin, end of which the query may keep those from `key` on, by its window.
uvec2 windowFrom(AttendParams params, Query query, uint key)
{
    return uvec2(key < params.sink_keys ? 0 : query.bounds.x, query.bounds.y);
}

bool isInWindow(AttendParams params, Query query, uint key)
{
    const uvec2 kept = windowFrom(params, query, key);
    return key >= kept.x && key < kept.y;
}

// The same as columns of a step of `count` keys.
uvec2 keptColumns(AttendParams params, Query query, uint key, uint count)
{
    if (!kHasWindows)
        return uvec2(0, count);
    const uvec2 kept = windowFrom(params, query, key);
    return min(uvec2(max(kept.x, key), max(kept.y, key)) - key, uvec2(count));
}

// Subtractions that borrow from the guard bits tell for all axes at once.
bool isInBox(AttendParams params, uint place, uvec2 box)
{
    const uint inside = (place - box.x) & (box.y - place) & params.box_guard;
    return place == 0 || inside == params.box_guard;
}

// The logit of a pair (base 2) after box, mask and score; without weight where it is left out, and
// where the caller's score is -inf or no number.
float keptLogit(AttendParams params, AttendItem item, Query query, Key key, float logit)
{
    if (kHasBoxes && !isInBox(params, key.place, query.bounds))
        return kMasked;
    if (!kHasMods)
        return logit;
    const uint b = params.first_batch + item.head / params.q_heads;
    const uint h = params.first_head + item.head % params.q_heads;
    if (!(logit > kLowest) || !mask_mod(b, h, query.token, key.token))
        return kMasked;
    const float kLog2e = 1.44269504088896341;
    const float score = kLog2e * score_mod(kLn2 * logit, b, h, query.token, key.token);
    return score > kLowest ? min(score, -kLowest) : kMasked;
}

#endif

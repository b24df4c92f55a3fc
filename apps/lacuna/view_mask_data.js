// view_mask_data.js - decodes the mask of the page: which keys, and which key blocks, a query keeps.
//
// SPDX-License-Identifier: Apache-2.0
'use strict';
const element = id => document.getElementById(id);
const mask = JSON.parse(element('mask').textContent);

// Numbers of 7 bits a byte, low bits first, in base64.
function numbers(base64) {
    const text = atob(base64), values = new Uint32Array(text.length);
    let count = 0, value = 0, scale = 1;
    for (let i = 0; i < text.length; ++i) {
        const byte = text.charCodeAt(i);
        value += (byte & 127) * scale;
        scale *= 128;
        if (byte < 128) {
            values[count++] = value;
            value = 0;
            scale = 1;
        }
    }
    return values.subarray(0, count);
}

function borders(base64) { // stored as sizes
    let end = 0;
    return Uint32Array.from([0, ...numbers(base64)], size => end += size);
}

function order(base64) { // stored as the distance from one more than the number before, the sign in the lowest bit
    let last = -1;
    return numbers(base64).map(code => last += 1 + (code % 2 ? -(code + 1) / 2 : code / 2));
}

const rowBorders = borders(mask.row_borders), keyBorders = borders(mask.key_borders);
const queryOrder = order(mask.q_order), keyOrder = order(mask.k_order);
const queryCount = rowBorders.at(-1), keyCount = keyBorders.at(-1);
const rowCount = rowBorders.length - 1, blockCount = keyBorders.length - 1;

// Spans of keys in the method's order, begin and end in turn; those of a row begin at first[head * rowCount + row].
const first = new Uint32Array(mask.heads * rowCount), count = new Uint32Array(mask.heads * rowCount);
const spans = decodeSpans(numbers(mask.spans));
// There is one order for all heads, or one for each, again and again for each batch.
const queryToken = (head, position) => queryOrder[head * queryCount % queryOrder.length + position];
const keyToken = (head, position) => keyOrder[head * keyCount % keyOrder.length + position];
const rows = new Uint32Array(queryOrder.length);
const rowOf = (head, token) => rows[head * queryCount % rows.length + token];
for (let head = 0; head < queryOrder.length / queryCount; ++head)
    for (let row = 0; row < rowCount; ++row)
        for (let position = rowBorders[row]; position < rowBorders[row + 1]; ++position)
            rows[head * queryCount + queryToken(head, position)] = row;

// A row is its number of spans plus one, then gap and length of each; or 0: it is that of the head before.
function decodeSpans(packed) {
    const result = new Uint32Array(packed.length);
    const key = mask.level === 'block' ? unit => keyBorders[unit] : unit => unit;
    let at = 0, size = 0;
    for (let i = 0; i < first.length; ++i) {
        const code = packed[at++];
        if (code === 0) {
            first[i] = first[i - rowCount];
            count[i] = count[i - rowCount];
            continue;
        }
        first[i] = size;
        count[i] = code - 1;
        for (let span = 0, end = 0; span + 1 < code; ++span) {
            const begin = end + packed[at++];
            end = begin + packed[at++];
            result[size++] = key(begin);
            result[size++] = key(end);
        }
    }
    return result;
}

function eachSpan(head, row, visit) {
    const i = head * rowCount + row;
    for (let span = first[i]; span < first[i] + 2 * count[i]; span += 2)
        visit(spans[span], spans[span + 1]);
}

function keptCount(head, row) {
    let kept = 0;
    eachSpan(head, row, (begin, end) => { kept += end - begin; });
    return kept;
}

function keysOf(head, token) { // 1 for each key that is kept, in the order of the tokens
    const kept = new Uint8Array(keyCount);
    eachSpan(head, rowOf(head, token), (begin, end) => {
        for (let position = begin; position < end; ++position)
            kept[keyToken(head, position)] = 1;
    });
    return kept;
}

const blockOfKey = new Uint32Array(keyCount);
for (let block = 0; block < blockCount; ++block)
    blockOfKey.fill(block, keyBorders[block], keyBorders[block + 1]);

function blocksOf(head, row) { // 1 for each key block of which a key is kept
    const kept = new Uint8Array(blockCount);
    eachSpan(head, row, (begin, end) => { kept.fill(1, blockOfKey[begin], blockOfKey[end - 1] + 1); });
    return kept;
}

function density(head) {
    let pairs = 0;
    for (let row = 0; row < rowCount; ++row)
        pairs += (rowBorders[row + 1] - rowBorders[row]) * keptCount(head, row);
    return pairs / (queryCount * keyCount);
}

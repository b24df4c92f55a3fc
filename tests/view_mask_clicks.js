// view_mask_clicks.js - appended to a page of `lacuna view-mask`: does what a user does and compares what the page shows.
//
// SPDX-License-Identifier: Apache-2.0
// `wanted` has the masks that `lacuna mask` wrote, token[head][query] and block[head][row], as strings of 0 and 1.
// The page is read by its pixels and texts alone, not by its variables. Grid 3x4x5, text 3 before and 2 after.
let checks = 0;
const failures = [];

function check(what, got, expected) {
    ++checks;
    if (JSON.stringify(got) !== JSON.stringify(expected))
        failures.push(`${what}: ${JSON.stringify(got)}, expected ${JSON.stringify(expected)}`);
}

const one = selector => document.querySelector(selector);
const all = selector => [...document.querySelectorAll(selector)];
const canvasOf = id => one(`#${id} canvas`);

function click(target, column = 0, row = 0, columns = 1, rows = 1) {
    target.scrollIntoView({block: 'nearest', inline: 'nearest'});
    const box = target.getBoundingClientRect();
    const clientX = box.left + (column + .5) / columns * box.width, clientY = box.top + (row + .5) / rows * box.height;
    const hit = document.elementFromPoint(clientX, clientY);
    check('a click reaches its target', target.contains(hit), true);
    hit.dispatchEvent(new MouseEvent('click', {clientX, clientY, bubbles: true, cancelable: true}));
}

function press(target, ...keys) {
    target.focus();
    check('the target takes the focus', document.activeElement === target, true);
    for (const key of keys) {
        const event = new KeyboardEvent('keydown', {key, bubbles: true, cancelable: true});
        target.dispatchEvent(event);
        check(`the page takes ${key}`, event.defaultPrevented, true);
    }
}

function enter(input, value, type) {
    input.value = value;
    input.dispatchEvent(new Event(type, {bubbles: true}));
}

const colourOf = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function shown(canvas) { // '0' and '1' by colour, '?' for any other, nothing where the canvas is empty
    const {data} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    const symbols = {[colourOf('--dropped')]: '0', [colourOf('--kept')]: '1'};
    let cells = '';
    for (let i = 0; i < data.length; i += 4)
        if (data[i + 3])
            cells += symbols['#' + [...data.slice(i, i + 3)].map(byte => byte.toString(16).padStart(2, '0')).join('')] ?? '?';
    return cells;
}

function marked(canvas) { // [column, row] of the mark's middle, null without one
    const box = canvas.getBoundingClientRect(), mark = canvas.nextSibling.getBoundingClientRect();
    return mark.width === 0 ? null : [
        Math.floor(((mark.left + mark.right) / 2 - box.left) / box.width * canvas.width),
        Math.floor(((mark.top + mark.bottom) / 2 - box.top) / box.height * canvas.height)];
}

// Everything that the page shows, when query token `query` of `head` is chosen and frame `frame` is shown large.
function checkPage(head, query, frame, name) {
    const line = wanted.token[head][query], video = line.slice(3, 63), what = `head ${head}, query ${query}, frame ${frame}`;
    const ones = text => text.split('1').length - 1;
    const [f, y, x] = [Math.floor((query - 3) / 20), Math.floor((query - 3) % 20 / 5), (query - 3) % 5];
    const isVideo = query >= 3 && query < 63;
    check(`${what}, text`, one('#query').textContent,
          `${name}: keeps ${ones(line)} of 65 keys, density ${(ones(line) / 65).toFixed(4)}`);
    check(`${what}, token`, one('#token').value, String(query));
    check(`${what}, large frame`, shown(canvasOf('grid')), video.slice(20 * frame, 20 * frame + 20));
    check(`${what}, mark`, marked(canvasOf('grid')), isVideo && f === frame ? [x, y] : null);
    check(`${what}, scrub bar`, one('#frame').value, String(frame));
    all('#frames button').forEach((button, i) => {
        const keys = video.slice(20 * i, 20 * i + 20), canvas = button.querySelector('canvas');
        check(`${what}, strip ${i}`, shown(canvas), keys);
        check(`${what}, strip ${i}, mark`, marked(canvas), isVideo && f === i ? [x, y] : null);
        check(`${what}, strip ${i}, caption`, button.textContent, `frame ${i}: ${ones(keys)} keys`);
        check(`${what}, strip ${i}, pressed`, button.getAttribute('aria-pressed'), String(i === frame));
    });
    check(`${what}, text before`, shown(canvasOf('before')), line.slice(0, 3));
    check(`${what}, text after`, shown(canvasOf('after')), line.slice(63));
    check(`${what}, mark before`, marked(canvasOf('before')), query < 3 ? [query, 0] : null);
    check(`${what}, mark after`, marked(canvasOf('after')), query >= 63 ? [query - 63, 0] : null);
    const blocks = wanted.block[head], [, row] = marked(canvasOf('blocks'));
    check(`${what}, block map`, shown(canvasOf('blocks')), blocks.join(''));
    check(`${what}, row`, one('#row').textContent.replace(/\(.*?\) /, ''),
          `row ${row} of ${blocks.length} touches ${ones(blocks[row])} of ${blocks[row].length} key blocks`);
    return row;
}

function checkHeads() {
    all('#heads label').forEach((label, head) => {
        const pairs = wanted.token[head].join(''), density = (pairs.split('1').length - 1) / pairs.length;
        check(`density of head ${head}`, label.textContent, ` head ${head}  ${density.toFixed(4)}`);
        check(`meter of head ${head}`, label.querySelector('meter').value.toFixed(6), density.toFixed(6));
    });
}

function checkEveryQuery() { // by the number field, so that nothing of the mask stays unseen
    for (const head of [1, 0]) {
        click(all('#heads input')[head]);
        for (let query = 0; query < 65; ++query) {
            enter(one('#token'), query, 'change');
            const line = all('#before canvas, #frames canvas, #after canvas').map(shown).join('');
            check(`head ${head}, query ${query}, all keys`, line, wanted.token[head][query]);
        }
    }
}

function run() {
    const grid = canvasOf('grid'), blocks = canvasOf('blocks');
    check('heads', all('#heads input').length, 2);
    check('the heads differ', wanted.token[0].join() === wanted.token[1].join(), false);
    checkHeads();
    checkPage(0, 3 + 20 + 10 + 2, 1, 'frame 1, row 2, column 2'); // the middle, as the page opens

    click(grid, 2, 2, 5, 4); // the mark is over it
    checkPage(0, 3 + 20 + 10 + 2, 1, 'frame 1, row 2, column 2');
    click(grid, 3, 1, 5, 4);
    checkPage(0, 3 + 20 + 5 + 3, 1, 'frame 1, row 1, column 3');
    enter(one('#frame'), 2, 'input'); // the query stays
    checkPage(0, 3 + 20 + 5 + 3, 2, 'frame 1, row 1, column 3');
    click(grid, 4, 3, 5, 4);
    checkPage(0, 3 + 40 + 15 + 4, 2, 'frame 2, row 3, column 4');
    press(grid, 'ArrowRight', 'ArrowDown', 'PageDown'); // a border is a border
    checkPage(0, 3 + 40 + 15 + 4, 2, 'frame 2, row 3, column 4');
    press(grid, 'ArrowLeft', 'ArrowUp', 'ArrowUp', 'PageUp');
    checkPage(0, 3 + 20 + 5 + 3, 2, 'frame 1, row 1, column 3');
    click(all('#frames button')[0]);
    checkPage(0, 3 + 20 + 5 + 3, 0, 'frame 1, row 1, column 3');
    click(all('#heads input')[1]);
    checkPage(1, 3 + 20 + 5 + 3, 0, 'frame 1, row 1, column 3');

    click(canvasOf('after'), 1, 0, 2, 1);
    checkPage(1, 64, 0, 'text token 1 after the video');
    press(canvasOf('after'), 'ArrowRight', 'ArrowLeft', 'ArrowLeft');
    checkPage(1, 63, 0, 'text token 0 after the video');
    press(canvasOf('before'), 'ArrowRight', 'ArrowRight');
    checkPage(1, 1, 0, 'text token 1 before the video');
    press(grid, 'ArrowRight');
    checkPage(1, 4, 0, 'frame 0, row 0, column 1');

    enter(one('#token'), 37, 'change');
    checkPage(1, 37, 0, 'frame 1, row 2, column 4');
    enter(one('#token'), 65, 'change'); // there is none: the query stays
    checkPage(1, 37, 0, 'frame 1, row 2, column 4');

    const rows = wanted.block[1].length;
    click(blocks, 0, 2, 1, rows);
    check('row that was clicked', marked(blocks)[1], 2);
    press(blocks, 'ArrowDown');
    check('row below it', marked(blocks)[1], 3);
    press(blocks, ...Array(rows).fill('ArrowUp'));
    check('first row', marked(blocks)[1], 0);

    checkEveryQuery();
    check('the tab order', all('input, button, canvas').filter(item => item.tabIndex >= 0)
              .map(item => item.id || item.parentNode.parentNode.id),
          ['token', 'before', 'frame', 'after', 'grid', 'blocks', 'heads', 'heads']);
    check('every control has a name',
          all('input, canvas[tabindex]').every(item => item.labels?.length || item.getAttribute('aria-label')), true);
    check('colours', getComputedStyle(document.body).backgroundColor,
          location.hash === '#dark' ? 'rgb(20, 23, 27)' : 'rgb(255, 255, 255)');
    check('files fetched', performance.getEntriesByType('resource').length, 0);
}

try {
    run();
} catch (error) {
    failures.push(String(error.stack));
}
const result = document.createElement('pre');
result.id = 'result';
result.textContent = [...failures.slice(0, 20), `${checks} checks, ${failures.length} failures`].join('\n');
document.body.replaceChildren(result);

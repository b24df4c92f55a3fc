// view_mask.js - shows what the chosen query of the chosen head keeps, and follows clicks and keys.
//
// SPDX-License-Identifier: Apache-2.0
const [frameCount, height, width] = mask.grid;
const [textBefore, textAfter] = mask.text;
const frameTokens = height * width;
const textColumns = 64;

// The picture: one pixel a cell, magnified by the style, and a mark that lies over it.
class Panel {
    constructor(parent, columns, rows, pixels) {
        this.columns = columns;
        this.rows = rows;
        this.box = parent.appendChild(document.createElement('div'));
        this.box.className = 'panel';
        this.canvas = this.box.appendChild(document.createElement('canvas'));
        this.canvas.width = columns;
        this.canvas.height = rows;
        this.canvas.style.width = pixels + 'px';
        this.mark = this.box.appendChild(document.createElement('div'));
        this.mark.className = 'mark';
    }
    draw(shareAt) { // shareAt(cell) is 0 (dropped) to 1 (kept); undefined stays empty
        const context = this.canvas.getContext('2d'), image = context.createImageData(this.columns, this.rows);
        const [dropped, kept] = ['--dropped', '--kept'].map(colour);
        for (let cell = 0; cell < this.columns * this.rows; ++cell) {
            const share = shareAt(cell);
            if (share !== undefined)
                for (let i = 0; i < 4; ++i)
                    image.data[4 * cell + i] = i < 3 ? dropped[i] + (kept[i] - dropped[i]) * share : 255;
        }
        context.putImageData(image, 0, 0);
    }
    markCell(column, row, columns = 1) { // none when row < 0; at least large enough to be seen
        const style = this.mark.style, percent = (part, whole) => `${100 * part / whole}%`;
        style.display = row < 0 ? 'none' : '';
        style.left = percent(column + columns / 2, this.columns);
        style.top = percent(row + .5, this.rows);
        style.width = `max(7px, ${percent(columns, this.columns)})`;
        style.height = `max(7px, ${percent(1, this.rows)})`;
    }
    listen(label, choose, move) { // choose(column, row) on a click, move(key) is true when it knew the key
        this.canvas.tabIndex = 0;
        this.canvas.setAttribute('role', 'application');
        this.canvas.setAttribute('aria-label', label);
        this.canvas.addEventListener('click', event => {
            const box = this.canvas.getBoundingClientRect();
            const cell = (at, length, cells) => Math.min(cells - 1, Math.max(0, Math.floor(at / length * cells)));
            choose(cell(event.clientX - box.left, box.width, this.columns),
                   cell(event.clientY - box.top, box.height, this.rows));
        });
        this.canvas.addEventListener('keydown', event => {
            if (!event.ctrlKey && !event.altKey && !event.metaKey && move(event.key))
                event.preventDefault();
        });
    }
}

function colour(name) {
    const hex = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    return [1, 3, 5].map(at => parseInt(hex.slice(at, at + 2), 16));
}

// What is chosen, and what follows from it.
let head = 0, frame = frameCount >> 1;
let query = textBefore + frame * frameTokens + (height >> 1) * width + (width >> 1);

const videoEnd = textBefore + frameCount * frameTokens;
const isVideo = token => token >= textBefore && token < videoEnd;
const grid = new Panel(element('grid'), width, height, Math.max(width, Math.min(width * 40, 480)));
const thumbs = Array.from({length: frameCount}, (_, f) => {
    const button = element('frames').appendChild(document.createElement('button'));
    button.tabIndex = -1; // the scrub bar does the same from the keyboard
    button.title = `show frame ${f}`;
    button.addEventListener('click', () => showFrame(f));
    const panel = new Panel(button, width, height, Math.max(width, Math.min(width * 12, 112)));
    return {button, panel, caption: button.appendChild(document.createElement('span'))};
});
const texts = [['before', 0, textBefore], ['after', videoEnd, textAfter]].filter(([, , size]) => size).map(textStrip);
const blocks = new Panel(element('blocks'), Math.min(blockCount, 512), Math.min(rowCount, 512), 400);

function textStrip([where, begin, size]) {
    element(where).textContent = `${size} text tokens ${where} the video`;
    const columns = Math.min(size, textColumns);
    const panel = new Panel(element(where), columns, Math.ceil(size / columns), columns * 12);
    const steps = {ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns};
    panel.listen(`text tokens ${where} the video: arrow keys move the query`,
        (column, row) => setQuery(begin + Math.min(size - 1, row * columns + column)),
        key => key in steps && setQuery(query >= begin && query < begin + size
            ? begin + Math.min(size - 1, Math.max(0, query - begin + steps[key])) : begin));
    return {panel, begin, size};
}

function place(token) {
    const at = token - textBefore;
    return [Math.floor(at / frameTokens), Math.floor(at % frameTokens / width), at % width];
}

function nameOf(token) {
    const [f, y, x] = place(token);
    if (isVideo(token))
        return `frame ${f}, row ${y}, column ${x}`;
    const [at, where] = token < textBefore ? [token, 'before'] : [token - videoEnd, 'after'];
    return `text token ${at} ${where} the video`;
}

function moveInVideo(key) {
    const moves = {ArrowLeft: [0, 0, -1], ArrowRight: [0, 0, 1], ArrowUp: [0, -1, 0], ArrowDown: [0, 1, 0],
                   PageUp: [-1, 0, 0], PageDown: [1, 0, 0]};
    if (!(key in moves))
        return false;
    const from = isVideo(query) ? place(query) : [frame, 0, 0];
    const [f, y, x] = from.map((at, axis) => Math.min(mask.grid[axis] - 1, Math.max(0, at + moves[key][axis])));
    return setQuery(textBefore + f * frameTokens + y * width + x);
}

function setQuery(token) {
    query = token;
    update();
    return true;
}

function showFrame(f) {
    frame = f;
    update();
    const strip = element('frames'), {button} = thumbs[f];
    strip.scrollLeft = button.offsetLeft - strip.offsetLeft - (strip.clientWidth - button.offsetWidth) / 2;
}

function chooseHead(chosen) {
    head = chosen;
    drawBlocks();
    update();
}

function drawBlocks() { // rows and blocks that share a pixel are averaged
    const {columns, rows} = blocks, sum = new Float64Array(columns * rows), size = new Float64Array(columns * rows);
    for (let row = 0; row < rowCount; ++row) {
        const kept = blocksOf(head, row), line = Math.floor(row * rows / rowCount) * columns;
        for (let block = 0; block < blockCount; ++block) {
            const cell = line + Math.floor(block * columns / blockCount);
            sum[cell] += kept[block];
            ++size[cell];
        }
    }
    blocks.draw(cell => sum[cell] / size[cell]);
}

function update() {
    const kept = keysOf(head, query), keptKeys = keptCount(head, rowOf(head, query)), [f, y, x] = place(query);
    element('token').value = query;
    element('query').textContent = `${nameOf(query)}: keeps ${keptKeys} of ${kept.length} keys, density ` +
        (keptKeys / kept.length).toFixed(4);
    thumbs.forEach(({button, panel, caption}, shown) => {
        const keys = kept.subarray(textBefore + shown * frameTokens, textBefore + (shown + 1) * frameTokens);
        const isMarked = shown === f && isVideo(query);
        for (const drawn of shown === frame ? [panel, grid] : [panel]) {
            drawn.draw(cell => keys[cell]);
            drawn.markCell(x, isMarked ? y : -1);
        }
        caption.textContent = `frame ${shown}: ${keys.reduce((sum, key) => sum + key, 0)} keys`;
        button.setAttribute('aria-pressed', shown === frame);
        if (shown === frame)
            element('frame_keys').textContent = caption.textContent + (isMarked ? '; the query is marked' : '');
    });
    for (const {panel, begin, size} of texts) {
        const at = query - begin, isHere = at >= 0 && at < size;
        panel.draw(cell => cell < size ? kept[begin + cell] : undefined);
        panel.markCell(at % panel.columns, isHere ? Math.floor(at / panel.columns) : -1);
    }
    element('frame').value = frame;
    const row = rowOf(head, query), keptBlocks = blocksOf(head, row).reduce((sum, block) => sum + block, 0);
    blocks.markCell(0, Math.floor(row * blocks.rows / rowCount), blocks.columns);
    element('row').textContent = `row ${row} of ${rowCount} (${rowBorders[row + 1] - rowBorders[row]} queries) ` +
        `touches ${keptBlocks} of ${blockCount} key blocks`;
}

function addHead(index) {
    const label = element('heads').appendChild(document.createElement('label'));
    const radio = label.appendChild(document.createElement('input'));
    Object.assign(radio, {type: 'radio', name: 'head', value: index, checked: index === head});
    radio.addEventListener('change', () => chooseHead(index));
    label.append(` head ${index} `);
    const share = density(index);
    label.appendChild(document.createElement('meter')).value = share;
    label.append(' ' + share.toFixed(4));
}

document.title = `Lacuna mask: ${mask.method}`;
element('title').textContent = mask.method;
const levels = {token: 'token level', block: 'block level: a key block is shown whole when a key of it is kept'};
element('about').textContent =
    [...mask.settings, `grid ${mask.grid.join('x')}`, ...mask.inputs, levels[mask.level]].join(', ');
element('token').max = queryCount - 1;
element('token').addEventListener('change', event => {
    if (event.target.checkValidity() && event.target.value !== '')
        setQuery(Number(event.target.value));
    else
        event.target.value = query;
});
element('frame').max = frameCount - 1;
element('frame').addEventListener('input', event => showFrame(Number(event.target.value)));
grid.listen('tokens of the shown frame: arrow keys move the query',
            (x, y) => setQuery(textBefore + frame * frameTokens + y * width + x), moveInVideo);
blocks.listen('rows of the block map: up and down move the query',
    (column, row) => setQuery(queryToken(head, rowBorders[Math.floor(row * rowCount / blocks.rows)])),
    key => (key === 'ArrowUp' || key === 'ArrowDown') && setQuery(queryToken(head, rowBorders[
        Math.min(rowCount - 1, Math.max(0, rowOf(head, query) + (key === 'ArrowUp' ? -1 : 1)))])));
for (let index = 0; index < mask.heads; ++index)
    addHead(index);
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => chooseHead(head));
chooseHead(0);
showFrame(frame);

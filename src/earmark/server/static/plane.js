// Places in a plane: what is under a pointer or inside a line, without asking all; and the part of it that a window shows.

const CELLS = 128;  // a side; places go to 65,535

/** `x` and `y` in -1..1 with y upwards, as pairs of steps 0..65535 with y downwards. */
export function steps(x, y) {
  const places = new Uint16Array(2 * x.length);
  for (let i = 0; i < x.length; i++) {
    places[2 * i] = Math.round((Math.max(-1, Math.min(1, x[i])) + 1) / 2 * 65535);
    places[2 * i + 1] = Math.round((1 - Math.max(-1, Math.min(1, y[i]))) / 2 * 65535);
  }
  return places;
}

export class Plane {
  constructor(places) {
    this.places = places; this.count = places.length / 2;
    this.scale = 1; this.left = 0; this.top = 0; this.ratio = 1; this.width = 1; this.height = 1; this.moved = false;
    const cell = new Uint16Array(this.count), start = new Uint32Array(CELLS * CELLS + 1);
    for (let i = 0; i < this.count; i++) { cell[i] = (places[2 * i + 1] >> 9) * CELLS + (places[2 * i] >> 9); start[cell[i] + 1]++; }
    for (let c = 0; c < CELLS * CELLS; c++) start[c + 1] += start[c];
    const next = start.slice(), order = new Uint32Array(this.count);
    for (let i = 0; i < this.count; i++) order[next[cell[i]]++] = i;
    this.start = start; this.order = order;
  }

  /** The window's size in CSS pixels, and how many pixels of the screen make one. */
  resize(wide, high, ratio) {
    const [width, height] = [Math.max(1, Math.round(wide * ratio)), Math.max(1, Math.round(high * ratio))];
    if (this.moved) { this.left += (width - this.width) / 2; this.top += (height - this.height) / 2; }
    Object.assign(this, {width, height, ratio});
    if (!this.moved) this.whole();
  }
  whole() {
    const room = Math.min(this.width, this.height) * .92;
    Object.assign(this, {moved: false, scale: room / 65536, left: (this.width - room) / 2, top: (this.height - room) / 2});
  }
  /** Pixels of the screen: smaller where there are many, larger where one looks closely. */
  get radius() {
    const zoom = this.scale * 65536 / Math.min(this.width, this.height);
    const base = 3.8 * Math.sqrt(2000 / Math.max(this.count, 400)) * Math.max(zoom, 1) ** .55;
    return Math.max(1.2, Math.min(9, base * this.ratio));
  }
  /** Where a point is, in CSS pixels. */
  point(i) {
    return {x: (this.places[2 * i] * this.scale + this.left) / this.ratio, y: (this.places[2 * i + 1] * this.scale + this.top) / this.ratio};
  }
  zoom(factor, x, y) {
    const side = Math.min(this.width, this.height) / 65536, px = x * this.ratio, py = y * this.ratio;
    factor = Math.max(side * .5 / this.scale, Math.min(side * 200 / this.scale, factor));
    this.left = px - (px - this.left) * factor; this.top = py - (py - this.top) * factor;
    this.scale *= factor; this.moved = true;
  }
  move(dx, dy) { this.left += dx * this.ratio; this.top += dy * this.ratio; this.moved = true; }
  center(i, share = .5) {
    this.scale = Math.max(this.scale, Math.min(this.width, this.height) * 3 / 65536); this.moved = true;
    this.left = this.width / 2 - this.places[2 * i] * this.scale; this.top = this.height * share - this.places[2 * i + 1] * this.scale;
  }
  fit(list) {
    let [x0, x1, y0, y1] = [65536, 0, 65536, 0];
    for (const i of list) {
      const x = this.places[2 * i], y = this.places[2 * i + 1];
      x0 = Math.min(x0, x); x1 = Math.max(x1, x); y0 = Math.min(y0, y); y1 = Math.max(y1, y);
    }
    const {width, height} = this;
    this.scale = Math.min(.8 * width / Math.max(x1 - x0, 8000), .8 * height / Math.max(y1 - y0, 8000), .92 * Math.min(width, height) / 8000);
    this.left = width / 2 - (x0 + x1) / 2 * this.scale; this.top = height / 2 - (y0 + y1) / 2 * this.scale; this.moved = true;
  }

  /** The nearest point that is shown within so many CSS pixels of its edge, or -1. */
  nearest(px, py, slack, isShown) {
    const {places, ratio, scale} = this, x = (px * ratio - this.left) / scale, y = (py * ratio - this.top) / scale;
    const reach = (slack * ratio + this.radius) / scale, cell = v => Math.max(0, Math.min(CELLS - 1, v >> 9));
    let best = -1, least = reach * reach;
    for (let cy = cell(y - reach); cy <= cell(y + reach); cy++) for (let cx = cell(x - reach); cx <= cell(x + reach); cx++) {
      const c = cy * CELLS + cx;
      for (let k = this.start[c]; k < this.start[c + 1]; k++) {
        const i = this.order[k], d = (places[2 * i] - x) ** 2 + (places[2 * i + 1] - y) ** 2;
        if (d < least && isShown(i)) { least = d; best = i; }
      }
    }
    return best;
  }
  /** The next shown point in a direction from one, or the one nearest to the middle; -1 where there is none. */
  step(from, dx, dy, isShown) {
    const {places} = this, here = from >= 0 ? [places[2 * from], places[2 * from + 1]] : [(this.width / 2 - this.left) / this.scale, (this.height / 2 - this.top) / this.scale];
    let best = -1, least = Infinity;
    for (let i = 0; i < this.count; i++) {
      if (i === from || !isShown(i)) continue;
      const x = places[2 * i] - here[0], y = places[2 * i + 1] - here[1], along = x * dx + y * dy, across = Math.abs(x * dy - y * dx);
      if (from >= 0 && (along <= 0 || across > along)) continue;
      const far = Math.hypot(x, y) * (from >= 0 ? 1 + across / along : 1);
      if (far < least) { least = far; best = i; }
    }
    return best;
  }
  /** Shown points inside a line of CSS pixels. */
  inside(line, isShown) {
    const {places} = this, shape = line.map(([x, y]) => [(x * this.ratio - this.left) / this.scale, (y * this.ratio - this.top) / this.scale]);
    const xs = shape.map(p => p[0]), ys = shape.map(p => p[1]), found = [];
    const [x0, x1, y0, y1] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
    for (let i = 0; i < this.count; i++) {
      const x = places[2 * i], y = places[2 * i + 1];
      if (x < x0 || x > x1 || y < y0 || y > y1 || !isShown(i)) continue;
      let odd = false;
      for (let a = 0, b = shape.length - 1; a < shape.length; b = a++)
        if (shape[a][1] > y !== shape[b][1] > y && x < (shape[b][0] - shape[a][0]) * (y - shape[a][1]) / (shape[b][1] - shape[a][1]) + shape[a][0]) odd = !odd;
      if (odd) found.push(i);
    }
    return found;
  }
}

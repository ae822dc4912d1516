// The call as lanes on one time axis. Only what is in sight is drawn, found by binary search, so an
// hour scrolls as a minute does.
"use strict";
(() => {
  const { clock, PARTS } = window.voxpy;
  const LEAST_S = 0.4; // shortest stretch of time in sight
  const AXIS = 26;
  const WAVE = 66;
  const ROW = 26;
  const STEPS_S = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600];
  const FONT = '12px system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif';

  class Lanes {
    constructor({ canvas, overview, frame, head, tip }, call, peaks) {
      Object.assign(this, { canvas, overview, frame, head, tip, call, peaks });
      this.from = 0;
      this.span = 10;
      this.follow = false;
      this.onSeek = () => {};
      this.onPick = () => {};
      this.hits = [];
      this.now = null;
      this._colours();
      this._listen();
      matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
        this._colours();
        this.changed();
      });
      new ResizeObserver(() => this.changed()).observe(canvas.parentElement);
    }

    get total() {
      return Math.max(1, this.call.last);
    }

    get gutter() {
      return this.canvas.clientWidth < 560 ? 62 : 92;
    }

    get width() {
      return Math.max(50, this.canvas.clientWidth - this.gutter - 8);
    }

    x(t) {
      return this.gutter + ((t - this.from) / this.span) * this.width;
    }

    t(x) {
      return this.from + ((x - this.gutter) / this.width) * this.span;
    }

    fit() {
      this.show(0, this.total * 1.01);
    }

    show(from, span) {
      const whole = this.total * 1.01;
      this.span = Math.min(Math.max(span, LEAST_S), Math.max(whole, LEAST_S));
      this.from = Math.max(0, Math.min(from, whole - this.span));
      this.draw();
    }

    zoom(by, around = this.from + this.span / 2) {
      const span = Math.min(Math.max(this.span * by, LEAST_S), this.total * 1.01);
      this.show(around - ((around - this.from) / this.span) * span, span);
    }

    /** Bring a moment into sight. */
    reveal(t) {
      if (t < this.from || t > this.from + this.span * 0.96) this.show(t - this.span * 0.12, this.span);
    }

    /** There is more to see, or it looks otherwise. */
    changed() {
      if (this.follow && this.total > this.from + this.span * 0.98) this.from = Math.max(0, this.total - this.span * 0.94);
      this._overviewDue = true;
      this.draw();
    }

    draw() {
      if (this._due) return;
      this._due = true;
      requestAnimationFrame(() => {
        this._due = false;
        this._plan();
        this._draw();
        if (this._overviewDue) this._drawOverview();
        this._overviewDue = false;
        this._place();
      });
    }

    at(t) {
      this.now = t;
      this._place();
    }

    // -- where lanes are ---------------------------------------------------------------------------

    _plan() {
      const call = this.call;
      const others = [...call.legs.values()].slice(1);
      const spoken = call.clients.size || call.utterances.some((said) => said.who === "agent");
      const lanes = [
        { name: "Caller", kind: "wave", side: 0, colour: "caller", who: "caller", height: WAVE },
        { name: spoken ? "Agent" : "Far side", kind: "wave", side: 1, colour: "agent", who: "agent", height: WAVE },
        ...others.map((leg) => ({ name: leg.destination || leg.id, kind: "leg", leg, colour: "other", height: ROW })),
      ];
      if (call.turns.some((turn) => turn.parts)) lanes.push({ name: "Turns", kind: "turns", height: ROW });
      if (call.tools.length) lanes.push({ name: "Tools", kind: "tools", height: ROW });
      lanes.push({ name: "Silence", kind: "silence", height: 22 });
      lanes.push({ name: "Events", kind: "events", height: ROW });
      let y = AXIS;
      for (const lane of lanes) {
        lane.y = y;
        y += lane.height + 6;
      }
      this.lanes = lanes;
      this.height = y + 2;
    }

    _size(canvas, height) {
      const ratio = devicePixelRatio || 1;
      const width = canvas.clientWidth;
      if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
        canvas.width = Math.round(width * ratio);
        canvas.height = Math.round(height * ratio);
        canvas.style.height = `${height}px`;
      }
      const pen = canvas.getContext("2d");
      pen.setTransform(ratio, 0, 0, ratio, 0, 0);
      pen.clearRect(0, 0, width, height);
      pen.font = FONT;
      pen.textBaseline = "middle";
      return pen;
    }

    // -- drawing -----------------------------------------------------------------------------------

    _draw() {
      const pen = (this.pen = this._size(this.canvas, this.height));
      this._axis(pen);
      const right = this.gutter + this.width;
      for (const lane of this.lanes) {
        pen.fillStyle = this.colour.sunken;
        rounded(pen, this.gutter, lane.y, this.width, lane.height, 6);
      }
      pen.save();
      pen.beginPath();
      pen.rect(this.gutter, 0, this.width, this.height);
      pen.clip();
      for (const lane of this.lanes) this[`_${lane.kind}`](pen, lane);
      this._bargeIns(pen);
      this._hits(pen);
      pen.restore();
      pen.fillStyle = this.colour.muted;
      for (const lane of this.lanes) {
        pen.fillText(shortened(pen, lane.name, this.gutter - 10), 2, lane.y + lane.height / 2);
      }
      if (this.total < this.from + this.span) {
        pen.fillStyle = this.colour.surface;
        pen.globalAlpha = 0.6;
        const end = this.x(this.total);
        pen.fillRect(end, AXIS, right - end, this.height);
        pen.globalAlpha = 1;
      }
    }

    _axis(pen) {
      const room = 74;
      const step = STEPS_S.find((s) => (s / this.span) * this.width >= room) || STEPS_S[STEPS_S.length - 1];
      pen.fillStyle = this.colour.muted;
      pen.strokeStyle = this.colour.line;
      pen.lineWidth = 1;
      for (let t = Math.ceil(this.from / step) * step; t <= this.from + this.span; t += step) {
        const x = Math.round(this.x(t)) + 0.5;
        pen.beginPath();
        pen.moveTo(x, 18);
        pen.lineTo(x, this.height);
        pen.stroke();
        const label = clock(t, step < 1);
        if (x + pen.measureText(label).width < this.gutter + this.width) pen.fillText(label, x + 3, 11);
      }
    }

    _wave(pen, lane) {
      const band = 20;
      const middle = lane.y + (lane.height - band) / 2;
      const most = (lane.height - band) / 2 - 3;
      const perPixel = this.span / this.width;
      pen.fillStyle = this.colour[lane.colour];
      pen.globalAlpha = 0.75;
      for (let px = 0; px < this.width; px++) {
        const from = this.from + px * perPixel;
        const loud = this.peaks.loudest(lane.side, from, from + perPixel);
        const high = HEIGHTS[loud] * most;
        if (high > 0.3) pen.fillRect(this.gutter + px, middle - high, 1, 2 * high);
      }
      pen.globalAlpha = 1;
      pen.fillStyle = this.colour.line;
      pen.fillRect(this.gutter, middle, this.width, 0.5);
      for (const part of this._between(this.call.speech)) {
        if ((part.who === "agent") === (lane.who === "agent") && this._isOfMain(part)) this._said(pen, part, lane, band);
      }
    }

    _isOfMain(part) {
      const main = this.call.legs.keys().next().value;
      return part.who === "agent" || part.unit === main || part.unit.startsWith("client") || part.unit.startsWith("voice");
    }

    _said(pen, part, lane, band) {
      const y = lane.y + lane.height - band;
      const x = this.x(part.from);
      const wide = Math.max(2, this.x(part.to) - x);
      const said = part.said;
      pen.fillStyle = this.colour[lane.colour];
      pen.globalAlpha = 0.22;
      rounded(pen, x, y + 1, wide, band - 3, 4);
      pen.globalAlpha = 1;
      if (said.cut) {
        pen.fillStyle = this._hatch(this.colour.barge);
        const next = this.call.speech.find((each) => each.from > said.from && each.who === "agent");
        const until = Math.min(said.wholeTo, next ? next.from : Infinity);
        const lost = this.x(until) - this.x(said.to);
        if (lost < 10) {
          pen.fillStyle = this.colour.barge;
          pen.globalAlpha = 0.4;
        }
        rounded(pen, this.x(said.to), y + 1, lost, band - 3, 4);
        pen.globalAlpha = 1;
      }
      const text = said.who === "agent" ? said.heard || said.text : said.understood || said.text;
      this._inside(pen, text, x, wide, y + band / 2 - 0.5, this.colour.text);
    }

    _leg(pen, lane) {
      const { leg } = lane;
      const y = lane.y + 3;
      pen.fillStyle = this.colour.other;
      pen.globalAlpha = 0.12;
      const end = leg.to ?? this.total;
      rounded(pen, this.x(leg.from), y, Math.max(2, this.x(end) - this.x(leg.from)), lane.height - 6, 4);
      for (const part of this._between(this.call.speech)) {
        if (part.unit !== leg.id) continue;
        const x = this.x(part.from);
        pen.globalAlpha = 0.35;
        pen.fillStyle = this.colour[part.who === "agent" ? "agent" : "other"];
        rounded(pen, x, y, Math.max(2, this.x(part.to) - x), lane.height - 6, 4);
        pen.globalAlpha = 1;
        this._inside(pen, part.said.understood || part.said.text, x, this.x(part.to) - x, lane.y + lane.height / 2, this.colour.text);
      }
      pen.globalAlpha = 1;
    }

    _turns(pen, lane) {
      const turns = this.call.turns;
      for (let n = 0; n < turns.length; n++) {
        const turn = turns[n];
        if (!turn.parts || turn.to < this.from || turn.from > this.from + this.span) continue;
        const y = lane.y + 5;
        for (const part of turn.parts) {
          const x = this.x(part.from);
          pen.fillStyle = this.colour[part.name];
          pen.fillRect(x, y, Math.max(part.ms ? 1 : 0, this.x(part.to) - x), lane.height - 10);
        }
        const end = Math.max(this.x(turn.to), this.x(turn.from) + 2);
        const label = `${turn.ms} ms`;
        const next = turns[n + 1];
        const room = next ? this.x(next.from ?? next.stopped) - this.x(turn.to) : Infinity;
        if (room > 60) {
          pen.fillStyle = this.colour.text;
          pen.fillText(label, end + 5, lane.y + lane.height / 2);
        }
      }
    }

    _tools(pen, lane) {
      for (const tool of this._between(this.call.tools)) {
        const x = this.x(tool.from);
        const end = this.x(tool.to ?? this.total);
        pen.fillStyle = this.colour.tool;
        pen.globalAlpha = 0.85;
        rounded(pen, x, lane.y + 4, Math.max(4, end - x), lane.height - 8, 3);
        pen.globalAlpha = 1;
        pen.fillStyle = this.colour.text;
        pen.fillText(tool.name, Math.max(end, x + 4) + 5, lane.y + lane.height / 2);
      }
    }

    _silence(pen, lane) {
      for (const gap of this._between(this.call.silences)) {
        const x = this.x(gap.from);
        const wide = this.x(gap.to) - x;
        pen.fillStyle = this._hatch(this.colour.quiet);
        rounded(pen, x, lane.y + 3, wide, lane.height - 6, 4);
        this._inside(pen, `${(gap.to - gap.from).toFixed(1)} s`, x, wide, lane.y + lane.height / 2, this.colour.muted);
      }
    }

    _events(pen, lane) {
      const marks = this.call.marks;
      let n = firstAt(marks, this.from);
      const last = { event: -1, command: -1, warning: -1, error: -1 };
      const rows = { event: 0, command: 1, warning: 2, error: 2 };
      const high = (lane.height - 6) / 3;
      for (; n < marks.length && marks[n].t <= this.from + this.span; n++) {
        const { t, kind } = marks[n];
        const x = Math.round(this.x(t));
        if (last[kind] === x) continue;
        last[kind] = x;
        pen.fillStyle = this.colour[kind];
        const strong = kind === "warning" || kind === "error";
        if (strong) pen.fillRect(x - 1, lane.y + 2, 3, lane.height - 4);
        else pen.fillRect(x, lane.y + 3 + rows[kind] * high * 1.5, 1.5, high * 1.4);
      }
    }

    _bargeIns(pen) {
      const [caller, agent] = this.lanes;
      for (const barge of this.call.bargeIns) {
        const x = Math.round(this.x(barge.t));
        if (x < this.gutter || x > this.gutter + this.width) continue;
        pen.fillStyle = this.colour.barge;
        pen.fillRect(x - 0.75, caller.y, 1.5, agent.y + agent.height - caller.y);
        pen.beginPath();
        pen.moveTo(x, caller.y);
        pen.lineTo(x + 8, caller.y + 4);
        pen.lineTo(x, caller.y + 8);
        pen.fill();
      }
    }

    _hits(pen) {
      pen.fillStyle = this.colour.warn;
      for (const t of this.hits) {
        const x = this.x(t);
        if (x >= this.gutter && x <= this.gutter + this.width) pen.fillRect(x - 1, 18, 2, 6);
      }
    }

    _inside(pen, text, x, wide, y, colour) {
      const from = Math.max(x, this.gutter);
      const room = Math.min(x + wide, this.gutter + this.width) - from - 8;
      if (room < 14 || !text) return;
      pen.fillStyle = colour;
      pen.fillText(shortened(pen, text, room), from + 4, y);
    }

    /** Spans in sight, of a list in order of their beginning. */
    *_between(spans) {
      for (const span of spans) {
        if (span.from > this.from + this.span) return;
        const to = (span.said && span.said.wholeTo) || span.to || this.total;
        if (to >= this.from) yield span;
      }
    }

    _hatch(colour) {
      this._hatches ??= new Map();
      if (!this._hatches.has(colour)) {
        const ratio = devicePixelRatio || 1;
        const tile = document.createElement("canvas");
        tile.width = tile.height = 8 * ratio;
        const pen = tile.getContext("2d");
        pen.scale(ratio, ratio);
        pen.strokeStyle = colour;
        pen.globalAlpha = 0.45;
        pen.lineWidth = 1.6;
        for (const at of [-4, 4, 12]) {
          pen.beginPath();
          pen.moveTo(at - 4, 8);
          pen.lineTo(at + 4, 0);
          pen.stroke();
        }
        const pattern = pen.createPattern(tile, "repeat");
        pattern.setTransform(new DOMMatrix().scale(1 / ratio));
        this._hatches.set(colour, pattern);
      }
      return this._hatches.get(colour);
    }

    _drawOverview() {
      const height = 46;
      const pen = this._size(this.overview, height);
      const width = this.overview.clientWidth;
      const perPixel = (this.total * 1.01) / width;
      pen.fillStyle = this.colour.sunken;
      rounded(pen, 0, 0, width, height, 8);
      for (const [side, name, way] of [[0, "caller", -1], [1, "agent", 1]]) {
        pen.fillStyle = this.colour[name];
        for (let px = 0; px < width; px++) {
          const high = HEIGHTS[this.peaks.loudest(side, px * perPixel, (px + 1) * perPixel)] * (height / 2 - 4);
          if (high > 0.3) pen.fillRect(px, way < 0 ? height / 2 - high : height / 2, 1, high);
        }
      }
      if (!this.peaks.length) {
        for (const part of this.call.speech) {
          pen.fillStyle = this.colour[part.who === "agent" ? "agent" : "caller"];
          const x = part.from / perPixel;
          pen.fillRect(x, part.who === "agent" ? height / 2 + 1 : height / 2 - 11, Math.max(1, part.to / perPixel - x), 10);
        }
      }
      pen.fillStyle = this.colour.barge;
      for (const barge of this.call.bargeIns) pen.fillRect(barge.t / perPixel, 0, 1.5, height);
      pen.fillStyle = this.colour.error;
      for (const i of this.call.troubles) pen.fillRect(this.call.at[i] / perPixel, height - 4, 2, 4);
      pen.fillStyle = this.colour.warn;
      for (const t of this.hits) pen.fillRect(t / perPixel - 0.5, 0, 2, 5);
    }

    _place() {
      const whole = this.total * 1.01;
      const width = this.overview.clientWidth;
      const left = Math.min((this.from / whole) * width, width - 6);
      this.frame.style.left = `${left}px`;
      this.frame.style.width = `${Math.max(6, Math.min((this.span / whole) * width, width - left))}px`;
      const x = this.now === null ? -1 : this.x(this.now);
      const seen = x >= this.gutter && x <= this.gutter + this.width;
      this.head.hidden = !seen;
      if (seen) this.head.style.transform = `translateX(${x}px)`;
    }

    _colours() {
      const style = getComputedStyle(document.documentElement);
      const named = "text muted line surface sunken caller agent other tool event command warn error barge quiet".split(" ");
      this.colour = Object.fromEntries(named.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
      this.colour.warning = this.colour.warn;
      for (const [name] of PARTS) this.colour[name] = style.getPropertyValue(`--part-${name}`).trim();
      this._hatches = null;
    }

    // -- hands -------------------------------------------------------------------------------------

    _listen() {
      const { canvas, overview } = this;
      canvas.addEventListener("wheel", (event) => {
        if (event.ctrlKey || event.metaKey) {
          event.preventDefault();
          this.zoom(Math.exp(event.deltaY * 0.004), this.t(event.offsetX));
        } else if (Math.abs(event.deltaX) > Math.abs(event.deltaY) || event.shiftKey) {
          event.preventDefault();
          this._pan(((event.deltaX || event.deltaY) / this.width) * this.span);
        }
      }, { passive: false });
      this._drag(canvas, {
        move: (dx) => this._pan((-dx / this.width) * this.span),
        click: (x, y) => this._clicked(x, y),
      });
      const whole = () => (this.total * 1.01) / overview.clientWidth;
      this._drag(overview, {
        down: (x) => this._pan(x * whole() - this.from - this.span / 2),
        move: (dx) => this._pan(dx * whole()),
      });
      canvas.addEventListener("pointermove", (event) => this._hover(event));
      canvas.addEventListener("pointerleave", () => (this.tip.hidden = true));
      canvas.addEventListener("keydown", (event) => {
        const step = this.span * 0.1;
        const keys = { ArrowLeft: () => this._pan(-step), ArrowRight: () => this._pan(step), "+": () => this.zoom(0.7), "=": () => this.zoom(0.7), "-": () => this.zoom(1.4), Home: () => this.show(0, this.span), End: () => this.show(this.total, this.span) };
        if (!keys[event.key]) return;
        event.preventDefault();
        keys[event.key]();
      });
    }

    _pan(by) {
      this.follow = false;
      this.show(this.from + by, this.span);
    }

    _drag(node, { down, move, click }) {
      node.addEventListener("pointerdown", (event) => {
        if (event.button) return;
        node.setPointerCapture(event.pointerId);
        let last = event.offsetX;
        let moved = 0;
        if (down) down(last);
        const onMove = (e) => {
          moved += Math.abs(e.offsetX - last);
          if (moved > 4 || down) move(e.offsetX - last);
          last = e.offsetX;
        };
        const onUp = (e) => {
          node.removeEventListener("pointermove", onMove);
          node.removeEventListener("pointerup", onUp);
          node.removeEventListener("pointercancel", onUp);
          if (moved <= 4 && click && e.type === "pointerup") click(e.offsetX, e.offsetY);
        };
        node.addEventListener("pointermove", onMove);
        node.addEventListener("pointerup", onUp);
        node.addEventListener("pointercancel", onUp);
      });
    }

    _clicked(x, y) {
      if (x < this.gutter) return;
      const found = this._under(x, y);
      this.onSeek(Math.max(0, Math.min(this.total, this.t(x))));
      if (found && found.i !== undefined) this.onPick(found.i);
    }

    _hover(event) {
      const found = event.buttons ? null : this._under(event.offsetX, event.offsetY);
      this.tip.hidden = !found;
      this.canvas.style.cursor = event.buttons ? "grabbing" : found ? "pointer" : "default";
      if (!found) return;
      this.tip.replaceChildren(...found.lines.map((text, n) => {
        const line = document.createElement(n ? "span" : "b");
        line.textContent = text;
        return line;
      }));
      const half = this.tip.offsetWidth / 2;
      const x = Math.min(Math.max(event.offsetX, half + 4), this.canvas.clientWidth - half - 4);
      this.tip.style.transform = `translate(${x - half}px, ${found.lane.y + found.lane.height + 6}px)`;
    }

    /** What is under a point: lines to read, and perhaps where in the trace it stands. */
    _under(x, y) {
      const lane = (this.lanes || []).find((each) => y >= each.y && y <= each.y + each.height);
      if (!lane || x < this.gutter) return null;
      const t = this.t(x);
      const near = (4 / this.width) * this.span;
      const inside = (span) => span.from - near <= t && t <= (span.to ?? this.total) + near;
      if (lane.kind === "wave" || lane.kind === "leg") {
        const barge = lane.kind === "wave" && this.call.bargeIns.find((each) => Math.abs(each.t - t) < near);
        if (barge) {
          const lost = barge.lostMs ? `${barge.lostMs} ms of the answer were not heard` : "";
          const quiet = barge.silentAfterMs !== null ? `silent ${barge.silentAfterMs} ms after the caller's first sound` : "";
          return { lane, lines: [`Barge-in at ${clock(barge.t)}`, lost, quiet].filter(Boolean) };
        }
        const part = this.call.speech.find((each) => (lane.leg ? each.unit === lane.leg.id : (each.who === "agent") === (lane.who === "agent") && this._isOfMain(each)) && (inside(each) || (each.said.cut && t > each.from && t < each.said.wholeTo)));
        if (!part) return null;
        const said = part.said;
        const text = said.who === "agent" ? said.text : said.understood || said.text;
        const lines = [`${clock(part.from)} – ${clock(part.to)}`, text];
        if (said.cut) lines.push(`heard: ${said.heard || "nothing"}`);
        return { lane, lines };
      }
      if (lane.kind === "turns") {
        const turn = this.call.turns.find((each) => each.parts && inside(each));
        return turn ? { lane, lines: [`${turn.ms} ms`, ...turn.parts.map((part) => `${part.title} ${part.ms} ms`)] } : null;
      }
      if (lane.kind === "tools") {
        const tool = this.call.tools.find(inside);
        return tool ? { lane, i: tool.i, lines: [tool.name, tool.args, tool.out ?? "no answer yet"] } : null;
      }
      if (lane.kind === "silence") {
        const gap = this.call.silences.find(inside);
        return gap ? { lane, lines: [`nobody speaks for ${(gap.to - gap.from).toFixed(1)} s`] } : null;
      }
      const marks = this.call.marks;
      const found = [];
      for (let n = firstAt(marks, t - near); n < marks.length && marks[n].t <= t + near; n++) found.push(marks[n].i);
      if (!found.length) return null;
      const names = found.slice(0, 6).map((i) => this.call.names[i]);
      if (found.length > 6) names.push(`and ${found.length - 6} more`);
      return { lane, i: found[0], lines: [clock(this.call.at[found[0]]), ...names] };
    }
  }

  // A byte of the peaks is decibels; what is drawn lies between loudness and amplitude.
  const HEIGHTS = Float32Array.from({ length: 256 }, (_, value) => (value < 8 ? 0 : Math.pow(10, ((value / 255) * 60 - 60) / 36)));

  function firstAt(marks, t) {
    let low = 0;
    let high = marks.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (marks[middle].t < t) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  function rounded(pen, x, y, wide, high, radius) {
    if (wide <= 0) return;
    if (wide < 6) {
      pen.fillRect(x, y, wide, high); // in a whole call there are thousands
      return;
    }
    pen.beginPath();
    pen.roundRect(x, y, wide, high, Math.min(radius, wide / 2, high / 2));
    pen.fill();
  }

  const widths = new Map();

  /** As much of a text as there is room for; measured once, for it is drawn in every frame. */
  function shortened(pen, text, room) {
    let width = widths.get(text);
    if (width === undefined) {
      if (widths.size > 20000) widths.clear();
      width = pen.measureText(text).width;
      widths.set(text, width);
    }
    if (width <= room) return text;
    const letters = Math.floor((((room - 10) / width) * text.length) * 0.96);
    return letters > 0 ? `${text.slice(0, letters).trimEnd()}…` : "";
  }

  window.voxpy = { ...window.voxpy, Lanes, firstAt };
})();

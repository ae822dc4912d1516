// Long lists: only the rows in sight are in the page.
"use strict";
(() => {
  const { el, clock, SCENARIO } = window.voxpy;
  const SPARE = 8;

  /** `make(index)` returns the element of a row; all rows are `height` pixels high. */
  class Rows {
    constructor(box, height, make) {
      this.box = box;
      this.height = height;
      this.make = make;
      this.count = 0;
      this.space = el("div.rows-space");
      box.append(this.space);
      box.addEventListener("scroll", () => this.draw());
      new ResizeObserver(() => this.draw()).observe(box);
      this.drawn = new Map();
    }

    /** Show so many rows; `keep` leaves those drawn as they are: only more came. */
    show(count, keep = false) {
      const atEnd = this.box.scrollTop + this.box.clientHeight > this.space.offsetHeight - 40;
      this.count = count;
      this.space.style.height = `${count * this.height}px`;
      if (!keep) {
        for (const row of this.drawn.values()) row.remove();
        this.drawn.clear();
      }
      if (keep && atEnd && this.stick) this.box.scrollTop = this.space.offsetHeight;
      this.draw();
    }

    draw() {
      const first = Math.max(0, Math.floor(this.box.scrollTop / this.height) - SPARE);
      const last = Math.min(this.count, Math.ceil((this.box.scrollTop + this.box.clientHeight) / this.height) + SPARE);
      for (const [n, row] of this.drawn) {
        if (n < first || n >= last) {
          row.remove();
          this.drawn.delete(n);
        }
      }
      for (let n = first; n < last; n++) {
        if (this.drawn.has(n)) continue;
        const row = this.make(n);
        row.style.transform = `translateY(${n * this.height}px)`;
        this.drawn.set(n, row);
        this.space.append(row);
      }
    }

    reveal(n) {
      const top = n * this.height;
      if (top < this.box.scrollTop || top > this.box.scrollTop + this.box.clientHeight - this.height * 2) {
        this.box.scrollTop = Math.max(0, top - this.box.clientHeight / 3);
      }
    }

    redraw() {
      this.show(this.count);
    }
  }

  /** Who sends messages to whom, one column each: phones, the scenario, services, the web. */
  class Ladder {
    constructor(box, head, call, onPick) {
      this.call = call;
      this.head = head;
      this.onPick = onPick;
      this.deltas = false;
      this.chosen = -1;
      this.shown = [];
      this.rows = new Rows(box, 34, (n) => this._row(this.shown[n]));
    }

    update() {
      const call = this.call;
      const others = [...call.legs.keys(), ...call.clients.keys()];
      const phones = [...call.legs.keys()];
      const services = [...call.clients.keys()];
      const web = call.messages.some((m) => m.from === "web" || m.to === "web") ? ["web"] : [];
      const columns = [...phones, SCENARIO, ...services, ...web];
      const same = this.columns && columns.length === this.columns.length && others.length;
      this.columns = columns;
      if (!same) {
        this.head.replaceChildren(...columns.map((id) => el("b", { title: id }, this._title(id))));
        this.head.style.setProperty("--columns", String(columns.length));
        this.rows.box.style.setProperty("--columns", String(columns.length));
      }
      this.shown = this.deltas ? call.messages : call.messages.filter((m) => !/delta/i.test(m.label));
      this.rows.show(this.shown.length, same);
    }

    _title(id) {
      const leg = this.call.legs.get(id);
      if (leg) return (leg.incoming ? leg.callerid : leg.destination) || id;
      const client = this.call.clients.get(id);
      return client ? client.name : id === SCENARIO ? "scenario" : id;
    }

    _row(message) {
      const from = this.columns.indexOf(message.from);
      const to = this.columns.indexOf(message.to);
      const rightwards = to > from;
      const arrow = el(`span.arrow${rightwards ? "" : ".back"}`, {}, el("span", {}, message.label));
      arrow.style.setProperty("--at", String(Math.min(from, to)));
      arrow.style.setProperty("--over", String(Math.max(1, Math.abs(to - from))));
      const row = el(`button.rung.of-${message.kind}`, { type: "button", title: message.label, onclick: () => this.onPick(message.i) }, el("time.num", {}, clock(message.t)), el("span.lines-of", {}, arrow));
      if (message.i === this.chosen) row.classList.add("chosen");
      return row;
    }

    choose(i) {
      this.chosen = i;
      this.rows.redraw();
    }

    reveal(t) {
      const n = window.voxpy.firstAt(this.shown, t);
      this.rows.reveal(Math.min(n, this.shown.length - 1));
    }
  }

  window.voxpy = { ...window.voxpy, Rows, Ladder };
})();

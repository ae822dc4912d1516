// What a trace says: who spoke when, turns and what each waited for, tools, messages, and where in
// the file everything stands. The page reads the file itself, line by line, so that a look at a call
// costs the host that runs others no more than reading the file; a file on disk or inside a page
// that was sent to somebody gives the same picture.
"use strict";
(() => {
  const FILLED = 2.0; // seconds in which nobody speaks before it counts as a silence
  const JOINED = 0.02;
  const SCENARIO = "voxpy";
  // Two lines in five are a scenario's own words, and nothing here is made of them.
  const LOG = /^\{"v":1,"t":([0-9.]+),"kind":"log","name":"Logger\.write"/;

  class Call {
    constructor() {
      this.lines = [];
      this.at = [];
      this.kinds = [];
      this.names = [];
      this.units = [];
      this.session = { id: "", rule: "", channel: "", startedAt: "", scenarios: [], callerid: "", destination: "" };
      this.legs = new Map();
      this.clients = new Map();
      this.speech = []; // {who, from, to, text, not, lane}
      this.utterances = []; // of the transcript
      this.tools = [];
      this.bargeIns = [];
      this.replies = [];
      this.turns = [];
      this.silences = [];
      this.messages = [];
      this.troubles = []; // indices of warnings and errors
      this.marks = []; // {t, kind, i}: events and commands
      this.end = null;
      this.last = 0;
      this._open = new Map();
      this._offset = null;
      this._pending = null;
      this._said = new Map();
      this._heard = [];
      this._tail = "";
    }

    /** Take a piece of the file; what is no whole line yet waits for the next one. */
    feed(text) {
      const lines = (this._tail + text).split("\n");
      this._tail = lines.pop();
      for (const line of lines) if (line) this.take(line);
      this.settle();
    }

    take(line) {
      const log = LOG.exec(line);
      if (log) {
        this._keep(line, Number(log[1]), "log", "Logger.write", "");
        return;
      }
      let entry;
      try {
        entry = JSON.parse(line);
      } catch {
        return; // cut off, or being written
      }
      if (typeof entry !== "object" || entry === null || typeof entry.t !== "number") return;
      const i = this.lines.length;
      const name = String(entry.name);
      const kind = String(entry.kind);
      this._keep(line, entry.t, kind, name, entry.unit || "");
      try {
        this._read(entry, kind, name, i);
      } catch {
        // A line another program has changed says nothing here; it is still listed.
      }
    }

    _keep(line, t, kind, name, unit) {
      this.lines.push(line);
      this.at.push(t);
      this.kinds.push(kind);
      this.names.push(name);
      this.units.push(unit);
      if (t > this.last) this.last = t;
    }

    /** The whole entry, on demand. */
    entry(i) {
      return JSON.parse(this.lines[i]);
    }

    get isOver() {
      return this.end !== null;
    }

    _read(entry, kind, name, i) {
      const data = entry.data || {};
      const personal = entry.personal || {};
      const unit = entry.unit || "";
      const t = entry.t;
      if (kind === "session") return this._session(name, data, t);
      if (kind === "warning" || kind === "error") {
        this.troubles.push(i);
        this.marks.push({ t, kind, i });
        return undefined;
      }
      if (kind === "sip") {
        const out = data.direction === "out";
        this._message(t, out ? SCENARIO : unit, out ? unit : SCENARIO, name, i, kind);
        return undefined;
      }
      if (kind === "step") return this._step(name, data, personal, unit, t, i);
      if (kind === "command") return this._command(name, data, personal, unit, t, i);
      if (kind === "event") return this._event(name, data, personal, unit, t, i);
      return undefined;
    }

    _session(name, data, t) {
      if (name === "started") {
        Object.assign(this.session, {
          id: data.session_id || "",
          rule: data.rule || "",
          channel: data.channel || "",
          startedAt: data.started_at || "",
        });
      } else if (name === "ending") {
        this._ending = { reason: data.reason || "", detail: data.detail || "" };
      } else if (name === "ended") {
        this.end = { t, ...(this._ending || { reason: "", detail: "" }) };
        for (const leg of this.legs.values()) leg.to ??= t;
      }
    }

    _step(name, data, personal, unit, t, i) {
      const [who, what] = split(name);
      if (name === "call began") {
        this.legs.set(unit, {
          id: unit, from: t, to: null, incoming: Boolean(data.incoming), kind: data.client_type || "",
          callerid: personal.callerid || "", destination: personal.destination || "", end: null, up: null,
        });
      } else if (name === "call over") {
        const leg = this.legs.get(unit);
        if (leg) Object.assign(leg, { to: t, end: { code: data.code, reason: data.reason || "" } });
      } else if (name === "loading scenario") {
        this.session.scenarios.push(data.file || "");
      } else if ((who === "caller" || who === "callee") && what === "speaks") {
        const said = this._utter(who, unit, t, personal.text || "(sound)");
        said.simulated = true;
        this._open.set(`${unit} speaks`, said);
      } else if ((who === "caller" || who === "callee") && what === "finished") {
        const said = this._open.get(`${unit} speaks`);
        if (said) said.to = t;
        this._open.delete(`${unit} speaks`);
      } else if ((who === "caller" || who === "callee") && what === "heard") {
        this._heard.push({ who, text: personal.text || "", t });
      } else if (name === "agent audible" && data.reply_ms !== undefined) {
        this.replies.push({ t, ms: data.reply_ms });
      } else if (name === "agent fell silent") {
        const last = this.bargeIns[this.bargeIns.length - 1];
        if (last && t - last.t < 2) last.silentAfterMs = data.after_ms;
        else this.bargeIns.push({ t, silentAfterMs: data.after_ms, lostMs: 0 });
      } else if (name === "playout cleared") {
        const lost = (data.items || []).reduce((sum, item) => sum + (item.dropped_ms || 0), 0);
        if (lost > 0) this.bargeIns.push({ t, lostMs: lost, silentAfterMs: null });
      } else if (name === "agent heard as") {
        this._agentHeard(data, personal.text || "", unit, t);
      } else if (name === "tool called") {
        const tool = { from: t, to: null, name: data.tool || "tool", i, out: null, id: data.call_id || "" };
        tool.args = (personal.payload || {}).arguments || "";
        this.tools.push(tool);
        this._open.set(`tool ${tool.id}`, tool);
      } else if (name === "tool answered") {
        const tool = this._open.get(`tool ${data.call_id || ""}`);
        if (tool) Object.assign(tool, { to: t, out: (personal.payload || {}).output || "" });
      } else if (name === "websocket closed") {
        this._message(t, unit, SCENARIO, `closed ${data.code ?? ""}`, i, "event");
      } else if (name === "http response") {
        this._message(t, "web", SCENARIO, `HTTP ${data.code}`, i, "event");
      }
    }

    _command(name, data, personal, unit, t, i) {
      this.marks.push({ t, kind: "command", i });
      if (name === "Call.say") {
        const said = this._utter("agent", unit, t, personal.text || "", { prompt: true });
        said.from = said.to = null; // until it plays
        this._open.set(`${unit} prompt`, said);
      }
      if (name === "Net.http_request") {
        this._message(t, SCENARIO, "web", `${data.method || "GET"} ${data.url || ""}`, i, "command");
      } else if (unit && name !== "send_media_to" && (this.legs.has(unit) || isClient(unit))) {
        this._message(t, SCENARIO, unit, last(name, ".", isClient(unit) ? 0 : 1), i, "command");
      }
      if (isClient(unit) && !this.clients.has(unit)) {
        this.clients.set(unit, { id: unit, name: name.split(".")[0].replace("RealtimeAPIClient", "agent") });
      }
    }

    _event(name, data, personal, unit, t, i) {
      const parts = name.split(".");
      const short = parts[parts.length - 1];
      const payload = personal.payload || {};
      this.marks.push({ t, kind: "event", i });
      if (isClient(unit)) {
        if (!this.clients.has(unit)) this.clients.set(unit, { id: unit, name: parts[0] });
        this._message(t, unit, SCENARIO, payload.type || short, i, "event");
      } else if (this.legs.has(unit) && parts[0] === "Call") {
        this._message(t, unit, SCENARIO, short, i, "event");
      }
      switch (short) {
        case "CallAlerting":
          this.session.callerid = personal.callerid || "";
          this.session.destination = personal.destination || "";
          this.session.displayName = personal.display_name || "";
          break;
        case "Connected": {
          const leg = this.legs.get(unit);
          if (leg) leg.up ??= t;
          break;
        }
        case "PlaybackStarted": {
          const prompt = this._open.get(`${unit} prompt`);
          if (prompt && parts[0] === "Call") prompt.from = t;
          break;
        }
        case "PlaybackFinished":
        case "Stopped": {
          const prompt = this._open.get(`${unit} prompt`);
          if (prompt && parts[0] === "Call") {
            prompt.to = t;
            this._open.delete(`${unit} prompt`);
          }
          break;
        }
        case "InputAudioBufferSpeechStarted":
          this._spoke(unit, payload, t);
          break;
        case "InputAudioBufferSpeechStopped":
          this._spokeOut(unit, payload, t);
          break;
        case "ConversationItemInputAudioTranscriptionDelta":
          this._understands(unit, payload.item_id, payload.delta || "", t, false);
          break;
        case "ConversationItemInputAudioTranscriptionCompleted":
          this._understands(unit, payload.item_id, payload.transcript || "", t, true);
          break;
        case "ResponseCreated":
          if (this._pending && this._pending.created === null) this._pending.created = t;
          break;
        case "ResponseOutputAudioTranscriptDelta":
        case "ResponseOutputTextDelta":
        case "ResponseFunctionCallArgumentsDelta":
          if (this._pending && this._pending.token === null) this._pending.token = t;
          if (short === "ResponseOutputAudioTranscriptDelta") {
            this._says(unit, payload.item_id, payload.delta || "", t, false);
          }
          break;
        case "ResponseOutputAudioTranscriptDone":
          this._says(unit, payload.item_id, payload.transcript || "", t, true);
          break;
        case "OutputAudioBufferStarted":
          if (this._pending && this._pending.audio === null) this._pending.audio = t;
          break;
        case "WebSocketMediaStarted":
          this._open.set(`${unit} sounds`, t);
          this._audible(t);
          break;
        default:
      }
    }

    // -- the two sides -----------------------------------------------------------------------------

    _utter(who, unit, t, text, more) {
      const said = { who, unit, from: t, to: null, text, heard: null, understood: null, order: t, ...more };
      this.utterances.push(said);
      return said;
    }

    _spoke(unit, payload, t) {
      const open = this.utterances.findLast((u) => u.who === "caller" && u.simulated && u.to === null);
      // A simulated caller's script says itself when it speaks; a recogniser knows a moment later.
      const said = open || this._utter("caller", unit, t, "");
      said.item ??= payload.item_id;
      said.startedMs = payload.audio_start_ms;
      this._said.set(`${unit} ${payload.item_id}`, said);
      if (!open && this._offset !== null && typeof payload.audio_start_ms === "number") {
        said.from = Math.min(t, Math.max(0, this._offset + payload.audio_start_ms / 1000));
      }
      this._pending = null;
    }

    _spokeOut(unit, payload, t) {
      if (typeof payload.audio_end_ms === "number") {
        const offset = t - payload.audio_end_ms / 1000;
        if (this._offset === null || offset < this._offset) this._offset = offset;
      }
      const said = this._said.get(`${unit} ${payload.item_id}`);
      if (said && !said.simulated) {
        const end = typeof payload.audio_end_ms === "number" ? this._offset + payload.audio_end_ms / 1000 : t;
        said.to = Math.min(t, end);
      }
      if (said) said.turnEnd = t;
      this._pending = { said, stopped: t, created: null, token: null, audio: null, audible: null };
      this.turns.push(this._pending);
    }

    _audible(t) {
      if (this._pending && this._pending.audible === null) {
        this._pending.audible = t;
        this._pending = null;
      }
    }

    _understands(unit, item, text, t, whole) {
      let said = this._said.get(`${unit} ${item}`);
      if (!said) {
        if (!text) return;
        said = this._utter("caller", unit, t, "");
        said.to = t;
        this._said.set(`${unit} ${item}`, said);
      }
      said.understood = whole ? text : (said.understood || "") + text;
      said.understoodAt = t;
    }

    _says(unit, item, text, t, whole) {
      const key = `${unit} ${item}`;
      let said = this._said.get(key);
      if (!said) {
        said = this._utter("agent", unit, t, "");
        said.from = null;
        this._said.set(key, said);
      }
      said.text = whole ? text : said.text + text;
    }

    _agentHeard(data, text, unit, t) {
      const key = `${unit} ${data.item_id}`;
      const said = this._said.get(key) || this._utter("agent", unit, t, text);
      const played = (data.played_ms || 0) / 1000;
      const whole = Math.max(played, (data.of_ms || 0) / 1000);
      Object.assign(said, { from: t - played, to: t, heard: text, wholeTo: t - played + whole });
      said.order = said.from;
      said.cut = whole - played > JOINED;
      this._said.set(key, said);
      this._open.delete(`${unit} sounds`);
    }

    /** What simulated people understood of the other side, put to what was said. */
    _attributeHeard() {
      for (const said of this.utterances) said.heardBy = null;
      for (const { who, text, t } of this._heard) {
        const other = this.utterances.findLast((u) => u.who !== who && u.from !== null && u.from < t);
        if (other) other.heardBy = other.heardBy ? `${other.heardBy} ${text}` : text;
      }
    }

    _message(t, from, to, label, i, kind) {
      this.messages.push({ t, from, to, label, i, kind });
    }

    // -- what follows from all of it -----------------------------------------------------------------

    /** Work out what depends on more than one line. Cheap: there are hundreds of turns, not lines. */
    settle() {
      const now = this.last;
      for (const [key, from] of this._open) {
        if (key.endsWith(" sounds")) {
          const unit = key.split(" ")[0];
          const said = this.utterances.findLast((u) => u.who === "agent" && u.unit === unit && !u.prompt);
          if (said && said.from === null) Object.assign(said, { from, to: null, order: from });
        }
      }
      for (const said of this.utterances) {
        if (said.who === "agent" && said.from === null && this.isOver) said.to = null;
      }
      this.utterances.sort((a, b) => (a.from ?? a.order) - (b.from ?? b.order) || a.order - b.order);
      this.speech = this.utterances
        .filter((u) => u.from !== null)
        .map((u) => ({ said: u, who: u.who, unit: u.unit, from: u.from, to: u.to ?? Math.max(u.from, now) }));
      this._attributeHeard();
      this._silent(now);
      this._timeTurns();
    }

    _silent(now) {
      const legs = [...this.legs.values()].filter((leg) => leg.up !== null);
      this.silences = [];
      if (!legs.length) return;
      let quiet = Math.min(...legs.map((leg) => leg.up));
      const spans = [...this.speech, ...this.tools.map((x) => ({ from: x.from, to: x.from }))];
      spans.sort((a, b) => a.from - b.from);
      for (const { from, to } of spans) {
        if (from - quiet >= FILLED) this.silences.push({ from: quiet, to: from });
        if (to > quiet) quiet = to;
      }
      const end = Math.min(now, Math.max(...legs.map((leg) => leg.to ?? now)));
      if (end - quiet >= FILLED) this.silences.push({ from: quiet, to: end });
    }

    _timeTurns() {
      this.turns.forEach((turn, n) => {
        const said = turn.said;
        if (!said) return;
        const next = this.turns[n + 1];
        const before = next ? next.said?.from ?? next.stopped : Infinity;
        const answer = this.speech.find((part) => part.who === "agent" && part.from >= turn.stopped - JOINED && part.from < before);
        const reply = this.replies.find((each) => each.t >= turn.stopped - JOINED && each.t < before);
        const audible = turn.audible ?? (reply && reply.t) ?? (answer && answer.from);
        if (audible === undefined || audible === null) return;
        const spokenTo = said.simulated ? said.to : turn.lastSound ?? said.to;
        const from = reply ? reply.t - reply.ms / 1000 : spokenTo ?? turn.stopped;
        const to = reply ? Math.max(reply.t, audible) : audible;
        const points = [from, turn.stopped, turn.token ?? turn.created, turn.audio, to];
        turn.parts = [];
        let at = from;
        PARTS.forEach(([name, title], n) => {
          const next = points[n + 1];
          if (next === null || next === undefined) return;
          const until = n === PARTS.length - 1 ? to : Math.min(to, Math.max(at, next));
          turn.parts.push({ name, title, from: at, to: until, ms: Math.round((until - at) * 1000) });
          at = until;
        });
        turn.from = from;
        turn.to = to;
        turn.ms = Math.round((to - from) * 1000);
      });
    }

    /** The caller's last sound before each end of a turn, from what was recorded. */
    hearSides(peaks) {
      for (const turn of this.turns) {
        if (!turn.said || turn.said.simulated) continue;
        const found = peaks.lastSound(0, Math.max(0, turn.said.from ?? 0), turn.stopped);
        turn.lastSound = found;
        if (found !== null) turn.said.to = found;
      }
      this.settle();
    }
  }

  const PARTS = [
    ["end", "end of turn"],
    ["token", "first token"],
    ["audio", "first audio"],
    ["playout", "playout"],
  ];

  const FOLDED = 16;

  /** Loudness of a recording, 40 ms a step, two sides, a byte each: 0 silent, 255 full scale.
   *
   * Beside the steps stand the loudest of each 16, and of each 256, for whole calls at a glance. */
  class Peaks {
    constructor(stepMs = 40) {
      this.step = stepMs / 1000;
      this.levels = [0, 1, 2].map(() => [new Uint8Array(0), new Uint8Array(0)]);
      this.length = 0;
    }

    /** Append steps: left and right in turn. */
    add(bytes) {
      const count = bytes.length >> 1;
      const need = this.length + count;
      for (const side of [0, 1]) {
        let every = 1;
        for (const level of this.levels) {
          level[side] = grown(level[side], Math.ceil(need / every));
          for (let n = 0; n < count; n++) {
            const at = Math.floor((this.length + n) / every);
            const value = bytes[2 * n + side];
            if (value > level[side][at]) level[side][at] = value;
          }
          every *= FOLDED;
        }
      }
      this.length = need;
    }

    /** The loudest step between two moments. */
    loudest(side, from, to) {
      let every = this.step;
      let level = 0;
      while (level < 2 && to - from > 4 * every * FOLDED) {
        level++;
        every *= FOLDED;
      }
      const values = this.levels[level][side];
      const first = Math.max(0, Math.floor(from / every));
      const end = Math.min(values.length, Math.max(Math.ceil(to / every), first + 1));
      let found = 0;
      for (let n = first; n < end; n++) if (values[n] > found) found = values[n];
      return found;
    }

    lastSound(side, from, to) {
      const values = this.levels[0][side];
      for (let n = Math.min(this.length, Math.ceil(to / this.step)) - 1; n >= from / this.step; n--) {
        if (values[n] > AUDIBLE) return (n + 1) * this.step;
      }
      return null;
    }
  }

  function grown(values, need) {
    if (values.length >= need) return values;
    const more = new Uint8Array(Math.max(need, values.length * 2));
    more.set(values);
    return more;
  }

  const AUDIBLE = 60; // about -45 dB on the scale of the peaks

  function isClient(unit) {
    return unit.startsWith("client-") || unit.startsWith("voice-");
  }

  function split(name) {
    const at = name.indexOf(" ");
    return at < 0 ? [name, ""] : [name.slice(0, at), name.slice(at + 1)];
  }

  function last(text, mark, from) {
    const parts = text.split(mark);
    return parts.slice(from).join(mark);
  }

  window.voxpy = { ...window.voxpy, Call, Peaks, PARTS, SCENARIO };
})();

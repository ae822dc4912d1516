// One call as a page: the lanes (lanes.js) with the transcript, turns, messages and events beside
// them, and the recording in step; live while it runs. What the trace says is read by trace.js. The
// same script makes the one file of `voxpy show --html`, which finds everything in the page.
"use strict";
(() => {
  const { el, icon, clock, lasted, median, listen, ask, refusal, byId, Call, Peaks, Lanes, Rows, Ladder, firstAt } = window.voxpy;
  const KINDS = ["event", "command", "step", "log", "warning", "error", "session", "sip"];
  const call = new Call();
  const peaks = new Peaks();
  const inside = document.getElementById("voxpy-call"); // in a file: everything is in the page
  const id = inside ? "" : decodeURIComponent(location.pathname.split("/")[2] || "");
  let row = null;
  let lanes = null;
  let ladder = null;
  let events = null;
  let shownEvents = [];
  let hidden = new Set(["log"]);
  let audio = null;
  let found = { text: "", lines: [], at: -1 };
  let chosen = -1;

  // -- where it comes from -------------------------------------------------------------------------

  const base = `/calls/${encodeURIComponent(id)}`;

  async function start() {
    lanes = new Lanes({ canvas: byId("lanes"), overview: byId("overview"), frame: byId("frame"), head: byId("head"), tip: byId("tip") }, call, peaks);
    lanes.onSeek = seek;
    lanes.onPick = (i) => pick(i, true);
    ladder = new Ladder(byId("ladder"), byId("ladder-head"), call, (i) => pick(i));
    events = new Rows(byId("events"), 30, eventRow);
    events.stick = ladder.rows.stick = true;
    wire();
    if (inside) {
      document.querySelector(".top nav").remove();
      document.querySelector(".brand").removeAttribute("href");
    }
    if (inside) await openFile();
    else await openCall();
    document.body.dataset.ready = "true";
  }

  async function openFile() {
    const kept = JSON.parse(inside.textContent);
    row = kept.row;
    peaks.add(bytes(kept.peaks));
    call.feed(`${await unzipped(byId("voxpy-trace").textContent)}\n`);
    call.hearSides(peaks);
    const sound = byId("voxpy-audio");
    if (sound) withAudio(() => URL.createObjectURL(new Blob([bytes(sound.textContent)], { type: sound.dataset.type })));
    everything();
    lanes.fit();
  }

  async function openCall() {
    performance.mark("begun");
    const answer = await ask(`/api/sessions/${encodeURIComponent(id)}`);
    if (!answer.ok) {
      byId("title").textContent = answer.status === 404 ? "There is no such call" : refusal(answer);
      document.body.classList.add("without-call");
      return;
    }
    row = (await answer.json()).result;
    document.title = `${row.callerid} → ${row.destination} · voxpy`;
    if (row.state === "running") {
      followLive();
      return;
    }
    const louder = morePeaks(); // an hour's take a second: the lines are read meanwhile
    const trace = await ask(`/api/sessions/${encodeURIComponent(id)}/trace`).then((r) => (r.ok ? r.text() : ""));
    performance.measure("fetched", "begun");
    performance.mark("read");
    call.feed(`${trace}\n`);
    performance.measure("understood", "read");
    performance.mark("drawn");
    everything();
    lanes.fit();
    performance.measure("drawn", "drawn");
    louder.then(() => {
      call.hearSides(peaks);
      withRecording();
      everything();
    });
  }

  function followLive() {
    let read = 0;
    let waiting = "";
    let settling = null;
    byId("follow").hidden = false;
    setFollow(true);
    everything();
    const live = listen(
      () => `${base}/live?from=${read}`,
      (data) => {
        read += new TextEncoder().encode(data).length;
        waiting += data;
        settling ??= setTimeout(take, 100);
      },
      (open) => {
        if (!open) look();
      },
    );
    const take = () => {
      settling = null;
      const first = call.lines.length === 0;
      call.feed(waiting);
      waiting = "";
      if (first) lanes.show(Math.max(0, call.last - 28), 30);
      everything(true);
      if (call.isOver) look();
    };
    const look = async () => {
      const answer = await ask(`/api/sessions/${encodeURIComponent(id)}`);
      if (answer.ok) row = (await answer.json()).result;
      if (row.state === "running") return;
      live.close();
      clearInterval(beat);
      byId("follow").hidden = true;
      lanes.follow = false;
      await morePeaks();
      call.hearSides(peaks);
      withRecording();
      everything();
    };
    // The recording grows each second; time goes on even where nothing happens.
    const beat = setInterval(async () => {
      await morePeaks();
      call.hearSides(peaks);
      if (peaks.length * peaks.step > call.last) call.last = peaks.length * peaks.step;
      lanes.changed();
      facts();
    }, 1000);
  }

  async function morePeaks() {
    const from = `${base}/peaks?name=${encodeURIComponent(recording().name)}&from=${peaks.length}`;
    const answer = await ask(from); // a host that is gone may come back
    if (answer.ok) peaks.add(new Uint8Array(await answer.arrayBuffer()));
  }

  /** The recording of the whole call: left the caller, right what it heard. */
  function recording() {
    const urls = row.files.filter((file) => file.kind === "recording").map((file) => file.url);
    const url = urls.find((each) => each.endsWith("/call.wav")) || "";
    return { url, name: "call.wav" };
  }

  function withRecording() {
    const { url } = recording();
    if (url && peaks.length) withAudio(() => url);
  }

  function withAudio(source) {
    if (audio) return;
    audio = new Audio();
    audio.preload = "none";
    let opened = false;
    audio.open = () => {
      if (!opened) audio.src = source();
      opened = true;
    };
    audio.addEventListener("play", () => {
      playing();
      playLabel();
    });
    audio.addEventListener("pause", playLabel);
    audio.addEventListener("error", () => {
      byId("play").disabled = true;
      byId("play").title = "The recording cannot be played";
    });
    byId("play").disabled = false;
    playLabel();
  }

  function bytes(text) {
    return Uint8Array.from(atob(text.trim()), (letter) => letter.charCodeAt(0));
  }

  async function unzipped(text) {
    const stream = new Blob([bytes(text)]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).text();
  }

  // -- the whole picture ---------------------------------------------------------------------------

  function everything(more = false) {
    facts();
    lanes.changed();
    transcript();
    turns();
    ladder.update();
    list(more);
  }

  function facts() {
    const s = call.session;
    const from = s.callerid || row.callerid;
    const to = s.destination || row.destination;
    byId("title").replaceChildren(s.displayName ? `${s.displayName} (${from})` : from || "started without a call", ...(to ? [el("span.to", {}, " → "), to] : []));
    const running = row.state === "running";
    const pill = byId("state");
    pill.textContent = running ? "live" : row.failed || row.state === "interrupted" ? row.finish_reason || row.state : "ended";
    pill.dataset.state = running ? "running" : row.failed || row.state === "interrupted" ? "failed" : "ended";
    const failure = byId("failure");
    if (!running) {
      failure.hidden = !row.failed;
      failure.textContent = [row.end_reason, row.end_detail].filter(Boolean).join(": ");
    }
    const times = call.turns.filter((turn) => turn.ms !== undefined).map((turn) => turn.ms);
    const began = row.start_date ? new Date(row.start_date) : null;
    const told = [
      ["Rule", row.rule_name],
      ["Scenario", row.scenarios.map((path) => path.split("/").pop()).join(", ")],
      ["Channel", row.channel],
      ["Began", began ? began.toLocaleString([], { dateStyle: "medium", timeStyle: "medium" }) : ""],
      [running ? "For" : "Lasted", lasted(running ? call.last : row.duration_s ?? call.last)],
      ["Answers", times.length ? `${median(times)} ms median, ${Math.max(...times)} ms slowest` : ""],
      ["Barge-ins", call.bargeIns.length ? String(call.bargeIns.length) : ""],
      ["Silent", call.silences.length ? `${call.silences.reduce((sum, gap) => sum + gap.to - gap.from, 0).toFixed(1)} s in ${call.silences.length}` : ""],
      ["Ended", running ? "" : row.end_detail || row.finish_reason],
      ["Warnings", call.troubles.length ? String(call.troubles.length) : ""],
      ["Id", row.session_id],
    ];
    byId("facts").replaceChildren(
      ...told.filter(([, value]) => value).map(([name, value]) => el("div", { title: `${name}: ${value}` }, el("dt", {}, name), el(name === "Id" ? "dd.mono" : "dd", {}, value))),
    );
    if (inside) return;
    byId("buttons").dataset.running = String(running);
    if (byId("buttons").dataset.drawn === String(running)) return;
    byId("buttons").dataset.drawn = String(running);
    const buttons = running
      ? [...window.voxpy.controls(row.session_id, trouble), el("button.button.danger", { type: "button", onclick: hangUp }, icon("hangup"), "Hang up")]
      : [el("a.button", { href: `${base}/file.html`, download: `${row.session_id}.html` }, "Save as one file")];
    byId("buttons").replaceChildren(...buttons);
  }

  function trouble(text) {
    byId("failure").textContent = text;
    byId("failure").hidden = false;
  }

  async function hangUp(event) {
    event.currentTarget.disabled = true;
    const answer = await ask(`/api/sessions/${encodeURIComponent(id)}/hangup`, { method: "POST" });
    if (!answer.ok && answer.status !== 404) trouble(`It was not hung up: ${refusal(answer)}`);
  }

  // -- transcript ------------------------------------------------------------------------------------

  const drawn = new Map();

  function transcript() {
    const list = byId("transcript");
    const atEnd = list.scrollTop + list.clientHeight > list.scrollHeight - 60;
    let before = null;
    let count = 0;
    for (const said of call.utterances) {
      const state = [said.text, said.heard, said.understood, said.heardBy, said.from, said.to, found.text].join("\n");
      let item = drawn.get(said);
      if (!item || item.dataset.state !== state) {
        const made = utterance(said);
        made.dataset.state = state;
        if (item) item.replaceWith(made);
        drawn.set(said, (item = made));
      }
      if (before ? before.nextSibling !== item : list.firstChild !== item) {
        if (before) before.after(item);
        else list.prepend(item);
      }
      before = item;
      count++;
    }
    list.classList.toggle("long", count > 150);
    byId("words-count").textContent = count ? `${count} utterances` : "";
    if (!count && !list.firstChild) list.append(el("li.empty", {}, row && row.state === "running" ? "Nobody has spoken yet." : "Nobody's words are in the trace."));
    else if (count && list.querySelector(".empty")) list.querySelector(".empty").remove();
    if (lanes.follow && atEnd) list.scrollTop = list.scrollHeight;
  }

  function utterance(said) {
    const agent = said.who === "agent";
    const main = call.legs.keys().next().value;
    const other = said.who === "callee" || (!agent && said.unit !== main && call.legs.has(said.unit));
    const at = said.from ?? said.order;
    const item = el(`li.${agent ? "agent" : other ? "other" : "caller"}`, {},
      el("button.when.num", { type: "button", title: "Go there", onclick: () => seek(at, true) }, clock(at)),
      el("b.who", {}, said.prompt ? "prompt" : other ? "callee" : said.who));
    const words = el("p");
    if (agent) {
      const heard = said.cut ? said.heard : said.text || said.heard || "";
      spell(words, said, heard, said.from, said.to);
      if (said.cut) {
        const rest = said.text && said.text.startsWith(said.heard) ? said.text.slice(said.heard.length) : "";
        words.append(el("s", { title: "said but not heard" }, ...marked(rest || " …")));
      }
    } else {
      spell(words, said, said.understood || said.text, said.from, said.to);
    }
    item.append(words);
    const notes = [];
    if (!agent && said.simulated && said.understood !== null && !alike(said.understood, said.text)) notes.push(["said", said.text]);
    if (!agent && !said.understood && !said.simulated) notes.push(["", "not understood"]);
    if (said.heardBy && !alike(said.heardBy, said.understood || said.heard || said.text)) notes.push([agent ? "caller heard" : "heard as", said.heardBy]);
    const turn = agent && call.turns.find((each) => each.parts && said.from !== null && Math.abs(each.to - said.from) < 0.5);
    if (turn) notes.push(["answered after", `${turn.ms} ms`]);
    if (notes.length) item.append(el("small", {}, ...notes.flatMap(([label, text], n) => [n ? " · " : "", label ? `${label} ` : "", ...marked(text)])));
    return item;
  }

  /** Words one by one, each with its moment: as long as it is written of the time it took. */
  function spell(into, said, text, from, to) {
    if (!text) return;
    const end = to ?? call.last;
    let place = 0;
    for (const word of text.match(/\s*\S+/g) || []) {
      const node = el("span.w", {}, ...marked(word));
      if (from !== null) node.dataset.t = String(from + ((end - from) * place) / text.length);
      place += word.length;
      into.append(node);
    }
    into.onclick = (event) => {
      const node = event.target.closest(".w");
      if (node && node.dataset.t && String(getSelection()) === "") seek(Number(node.dataset.t), true);
    };
  }

  function alike(one, other) {
    const plain = (text) => (text || "").toLowerCase().replace(/[^\p{L}\p{N}]+/gu, " ").trim();
    return plain(one) === plain(other);
  }

  /** A text, what is searched for marked in it. */
  function marked(text) {
    if (!found.text || !text) return [text];
    const parts = [];
    const low = text.toLowerCase();
    let at = 0;
    for (let n = low.indexOf(found.text); n >= 0; n = low.indexOf(found.text, at)) {
      parts.push(text.slice(at, n), el("mark", {}, text.slice(n, n + found.text.length)));
      at = n + found.text.length;
    }
    parts.push(text.slice(at));
    return parts;
  }

  // -- turns -----------------------------------------------------------------------------------------

  function turns() {
    const timed = call.turns.filter((turn) => turn.parts);
    const most = Math.max(1, ...timed.map((turn) => turn.ms));
    const values = timed.map((turn) => turn.ms).sort((a, b) => a - b);
    byId("turn-sum").textContent = values.length
      ? `${values.length} turns · median ${median(values)} ms · 90th percentile ${values[Math.min(values.length - 1, Math.floor(values.length * 0.9))]} ms · slowest ${most} ms`
      : "No turn was answered yet.";
    const list = byId("turns");
    if (list.children.length > timed.length) list.replaceChildren();
    timed.forEach((turn, n) => {
      const state = `${turn.ms} ${most}`;
      const old = list.children[n];
      if (old && old.dataset.state === state) return;
      const bar = el("span.bar", { "aria-hidden": "true" });
      for (const part of turn.parts) {
        const piece = el(`i.${part.name}`);
        piece.style.width = `${(100 * part.ms) / most}%`;
        bar.append(piece);
      }
      const said = turn.said.understood || turn.said.text;
      const item = el("li", {}, el("button", { type: "button", onclick: () => seek(turn.from - 0.5, true) },
        el("span.turn-head", {}, el("time.num", {}, clock(turn.from)), el("span.said", {}, said), el("b.num", {}, `${turn.ms} ms`)),
        bar,
        el("span.turn-parts.num", {}, ...turn.parts.map((part) => el(`span.${part.name}`, {}, `${part.title} ${part.ms}`)))));
      item.dataset.state = state;
      if (old) old.replaceWith(item);
      else list.append(item);
    });
  }

  // -- events ----------------------------------------------------------------------------------------

  function list(more) {
    const lines = found.text ? found.lines : null;
    const all = lines || call.kinds.keys();
    shownEvents = [];
    for (const i of all) if (lines || !hidden.has(call.kinds[i])) shownEvents.push(i);
    events.show(shownEvents.length, more && !found.text);
    const counts = new Map();
    for (const kind of call.kinds) counts.set(kind, (counts.get(kind) || 0) + 1);
    const state = [...counts].join() + [...hidden].join();
    const box = byId("kinds");
    if (box.dataset.state === state) return;
    box.dataset.state = state;
    box.replaceChildren(...KINDS.filter((kind) => counts.has(kind)).map((kind) => {
      const chip = el("button.chip.kind", { type: "button", onclick: () => toggle(kind) }, el("b", {}, kind), String(counts.get(kind)));
      chip.dataset.kind = kind;
      chip.setAttribute("aria-pressed", String(!hidden.has(kind)));
      return chip;
    }));
  }

  function toggle(kind) {
    if (hidden.has(kind)) hidden.delete(kind);
    else hidden.add(kind);
    list(false);
  }

  const UNSHOWN = /"(event_id|type|custom_event)":"[^"]*",?/g;

  function eventRow(n) {
    const i = shownEvents[n];
    const entry = call.entry(i);
    const payload = (entry.personal || {}).payload;
    const shown = payload && typeof payload === "object" ? payload : { ...entry.data, ...entry.personal };
    const text = entry.kind === "log" ? String(shown.text || "") : JSON.stringify(shown).slice(0, 600).replace(UNSHOWN, "");
    const brief = entry.kind === "log" ? "" : entry.name;
    const item = el("button.event", { type: "button", onclick: () => pick(i) },
      el("time.num", {}, clock(entry.t)),
      el("i", {}, entry.kind),
      el("b", {}, ...marked(brief)),
      el("span", {}, ...marked(text === "{}" ? "" : text)));
    item.dataset.kind = entry.kind;
    if (i === chosen) item.classList.add("chosen");
    return item;
  }

  /** Show an entry as it stands in the trace; `open` brings its list into sight, too. */
  function pick(i, open = false) {
    chosen = i;
    const entry = call.entry(i);
    byId("raw").hidden = false;
    byId("raw-title").textContent = `${clock(entry.t)} ${entry.name}`;
    byId("raw-text").textContent = JSON.stringify(entry, null, 2);
    if (open && currentTab() !== "ladder") tab("events");
    reveal(i);
    ladder.choose(i);
    events.redraw();
  }

  function reveal(i) {
    let n = shownEvents.indexOf(i);
    if (n < 0 && !found.text) {
      hidden.delete(call.kinds[i]);
      list(false);
      n = shownEvents.indexOf(i);
    }
    if (n >= 0) events.reveal(n);
  }

  // -- search ----------------------------------------------------------------------------------------

  function search(text) {
    const wanted = text.trim().toLowerCase();
    found = { text: wanted, lines: [], at: -1 };
    if (wanted) {
      // Letters beyond ASCII stand in the trace as they are.
      const escaped = JSON.stringify(wanted).slice(1, -1);
      call.lines.forEach((line, i) => {
        if (line.toLowerCase().includes(escaped)) found.lines.push(i);
      });
    }
    byId("hits").textContent = wanted ? `${found.lines.length}` : "";
    lanes.hits = found.lines.map((i) => call.at[i]);
    lanes.changed();
    transcript();
    list(false);
  }

  function nextHit(step) {
    if (!found.lines.length) return;
    found.at = (found.at + step + found.lines.length) % found.lines.length;
    const i = found.lines[found.at];
    byId("hits").textContent = `${found.at + 1} of ${found.lines.length}`;
    seek(call.at[i], true);
    pick(i, true);
  }

  // -- time ------------------------------------------------------------------------------------------

  let at = 0;

  function seek(t, show = false) {
    at = Math.max(0, t);
    if (audio) {
      audio.open();
      audio.currentTime = at;
    }
    if (show) lanes.reveal(at);
    step();
    const said = currentlySaid();
    if (said) showWord(said, true);
  }

  function step() {
    byId("where").textContent = `${clock(at)} / ${clock(call.last)}`;
    lanes.at(at);
    const said = currentlySaid();
    for (const node of byId("transcript").querySelectorAll(".now")) node.classList.remove("now");
    if (said) showWord(said, audio && !audio.paused);
  }

  function currentlySaid() {
    return call.utterances.findLast((each) => each.from !== null && each.from <= at && (each.to ?? call.last) >= at);
  }

  function showWord(said, scroll) {
    const item = drawn.get(said);
    if (!item) return;
    item.classList.add("now");
    let last = null;
    for (const node of item.querySelectorAll(".w")) if (Number(node.dataset.t) <= at) last = node;
    if (last) last.classList.add("now");
    const box = byId("transcript");
    if (scroll && (item.offsetTop < box.scrollTop || item.offsetTop + item.offsetHeight > box.scrollTop + box.clientHeight)) {
      box.scrollTop = item.offsetTop - box.clientHeight / 3;
    }
  }

  function playing() {
    if (!audio || audio.paused) return;
    at = audio.currentTime;
    step();
    lanes.reveal(at);
    requestAnimationFrame(playing);
  }

  function play() {
    if (!audio) return;
    audio.open();
    audio.playbackRate = Number(byId("speed").value);
    if (audio.paused) {
      if (Math.abs(audio.currentTime - at) > 0.3) audio.currentTime = at;
      audio.play();
    } else audio.pause();
  }

  function playLabel() {
    byId("play").replaceChildren(icon(audio && !audio.paused ? "pause" : "play"), audio && !audio.paused ? "Pause" : "Play");
  }

  function setFollow(on) {
    lanes.follow = on;
    byId("follow").setAttribute("aria-pressed", String(on));
    if (on) lanes.changed();
  }

  // -- tabs ------------------------------------------------------------------------------------------

  function currentTab() {
    return document.querySelector('[role="tab"][aria-selected="true"]').dataset.panel;
  }

  function tab(name) {
    for (const each of document.querySelectorAll('[role="tab"]')) {
      each.setAttribute("aria-selected", String(each.dataset.panel === name));
      each.tabIndex = each.dataset.panel === name ? 0 : -1;
    }
    for (const panel of document.querySelectorAll(".panel")) panel.hidden = panel.dataset.panel !== name;
    document.body.dataset.tab = name;
    if (name === "events") events.draw();
    if (name === "ladder") {
      ladder.rows.draw();
      if (at) ladder.reveal(at);
    }
  }

  function wire() {
    playLabel();
    byId("play").addEventListener("click", play);
    byId("speed").addEventListener("change", () => audio && (audio.playbackRate = Number(byId("speed").value)));
    byId("in").addEventListener("click", () => lanes.zoom(0.6));
    byId("out").addEventListener("click", () => lanes.zoom(1.7));
    byId("fit").addEventListener("click", () => lanes.fit());
    byId("follow").addEventListener("click", () => setFollow(byId("follow").getAttribute("aria-pressed") !== "true"));
    byId("deltas").addEventListener("change", () => {
      ladder.deltas = byId("deltas").checked;
      ladder.columns = null;
      ladder.update();
    });
    byId("raw-close").addEventListener("click", () => (byId("raw").hidden = true));
    byId("raw-copy").addEventListener("click", () => navigator.clipboard && navigator.clipboard.writeText(byId("raw-text").textContent));
    let typing = null;
    byId("search").addEventListener("input", () => {
      clearTimeout(typing);
      typing = setTimeout(() => search(byId("search").value), 120);
    });
    byId("search").addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault();
      clearTimeout(typing);
      if (byId("search").value.trim().toLowerCase() !== found.text) search(byId("search").value);
      nextHit(event.shiftKey ? -1 : 1);
    });
    const tabs = [...document.querySelectorAll('[role="tab"]')];
    for (const each of tabs) {
      each.addEventListener("click", () => tab(each.dataset.panel));
      each.addEventListener("keydown", (event) => {
        const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (!step) return;
        const seen = tabs.filter((one) => one.offsetParent);
        const next = seen[(seen.indexOf(each) + step + seen.length) % seen.length];
        tab(next.dataset.panel);
        next.focus();
      });
    }
    const narrow = matchMedia("(max-width: 899px)");
    const arrange = () => {
      const home = narrow.matches ? document.querySelector('.panel[data-panel="words"]') : byId("panel-words");
      home.append(byId("transcript"));
      tab(narrow.matches ? "words" : currentTab() === "words" ? "turns" : currentTab());
    };
    narrow.addEventListener("change", arrange);
    arrange();
    document.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea")) return;
      if (event.key === " " && !event.target.matches("button, a")) {
        event.preventDefault();
        play();
      } else if (event.key === "/") {
        event.preventDefault();
        byId("search").focus();
      } else if (event.key === "0") lanes.fit();
      else if (event.key === "n") nextHit(1);
      else if (event.key === "Escape") byId("raw").hidden = true;
    });
    byId("where").textContent = "0:00.0";
  }

  window.voxpy.shown = { call, peaks, get lanes() { return lanes; }, seek, firstAt };
  start();
})();

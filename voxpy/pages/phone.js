// The phone: destinations, keys, meters and both sides' words. Its lines are in phone-line.js.
"use strict";
(() => {
  const { el, icon, clock, byId, listen, ask, refusal, Call, Peaks, SocketLine, RtcLine } = window.voxpy;
  const DIGITS = [..."123456789*0#"];
  const LETTERS = { 2: "ABC", 3: "DEF", 4: "GHI", 5: "JKL", 6: "MNO", 7: "PQRS", 8: "TUV", 9: "WXYZ", 0: "+" };
  const STATES = {
    dialling: "Calling…",
    ringing: "Ringing…",
    answered: "Connected",
  };
  const REFUSED = {
    404: "No rule of this host takes it",
    480: "Nobody is there",
    486: "The line is busy",
    503: "The host takes no calls now",
    603: "Declined",
  };
  let line = null;
  let answeredAt = null;
  let live = null;
  let ringback = null;
  let settings = { destinations: [], webrtc: false, ice_servers: [], to: "" };

  const to = byId("to");
  const from = byId("from");
  const transport = byId("transport");

  function show(state, whom, text) {
    byId("screen").dataset.state = state;
    byId("whom").textContent = whom;
    byId("state").textContent = text;
    const busy = state !== "idle" && state !== "ended";
    const call = byId("call");
    call.replaceChildren(icon(busy ? "hangup" : "phone"), busy ? "Hang up" : "Call");
    call.classList.toggle("hang-up", busy);
    byId("mute").disabled = !busy;
    to.disabled = from.disabled = transport.disabled = byId("device").disabled = busy;
    for (const chip of byId("rules").children) chip.disabled = busy;
  }

  async function begin() {
    const destination = to.value.trim();
    if (!destination) {
      to.focus();
      show("idle", "Ready", "Choose a destination first");
      return;
    }
    remember();
    clearTalk();
    show("dialling", destination, STATES.dialling);
    const Chosen = transport.value === "webrtc" && settings.webrtc ? RtcLine : SocketLine;
    const mine = (line = new Chosen((event) => take(mine, event)));
    window.voxpy.line = line; // for whoever looks from the console
    try {
      await line.call({
        to: destination,
        from: from.value.trim() || "browser",
        deviceId: byId("device").value,
        iceServers: settings.ice_servers,
      });
    } catch (error) {
      take(mine, { event: "ended", code: 500, reason: error.message });
    }
    listDevices();
  }

  function take(of, event) {
    if (of !== line) return;
    switch (event.event) {
      case "level":
        meter(event.side, event.level);
        break;
      case "listening":
        note(`You can listen and press keys: ${event.why}.`);
        break;
      case "session":
        follow(event.id);
        break;
      case "ringing":
        show("ringing", to.value.trim(), STATES.ringing);
        ring(true);
        break;
      case "answered":
        ring(false);
        answeredAt = performance.now();
        show("answered", to.value.trim(), STATES.answered);
        tick();
        break;
      case "words":
        note(event.text);
        break;
      case "ended":
        over(event);
        break;
      default:
    }
  }

  function over(event) {
    ring(false);
    const spoke = answeredAt === null ? "" : ` after ${clock((performance.now() - answeredAt) / 1000, false)}`;
    answeredAt = null;
    const plain = event.reason === "Rejected" ? "" : event.reason;
    const why = plain || REFUSED[event.code] || (event.code === 200 ? "Call ended" : `Refused (${event.code})`);
    show("ended", to.value.trim(), `${why}${spoke}`);
    byId("screen").dataset.failed = String(event.code >= 300 && !spoke);
    mute(false);
    meter("mine", 0);
    meter("theirs", 0);
    line = null;
  }

  function tick() {
    if (answeredAt === null) return;
    byId("state").textContent = `${STATES.answered} · ${clock((performance.now() - answeredAt) / 1000, false)}`;
    setTimeout(tick, 500);
  }

  function meter(side, level) {
    const decibels = level > 0 ? 20 * Math.log10(level) : -100;
    byId(side).style.setProperty("--level", String(Math.max(0, Math.min(1, (decibels + 60) / 55))));
  }

  function mute(muted) {
    if (line) line.mute(muted);
    const button = byId("mute");
    button.setAttribute("aria-pressed", String(muted));
    button.replaceChildren(icon(muted ? "micoff" : "mic"), el("span", {}, muted ? "Muted" : "Mute"));
  }

  function keypad(open) {
    byId("keys").classList.toggle("open", open);
    const button = byId("keypad");
    button.setAttribute("aria-pressed", String(open));
    button.setAttribute("aria-expanded", String(open));
  }

  function press(digit) {
    if (line) line.press(digit);
    else to.value += digit;
    const key = byId("keys").querySelector(`[data-digit="${CSS.escape(digit)}"]`);
    if (key) {
      key.classList.add("pressed");
      setTimeout(() => key.classList.remove("pressed"), 120);
    }
  }

  /** The ringing that a network would send: two tones, two seconds in six. */
  function ring(on) {
    if (ringback) ringback.close();
    ringback = null;
    if (!on) return;
    ringback = new AudioContext();
    const gain = ringback.createGain();
    gain.gain.value = 0;
    for (let n = 0; n < 20; n++) {
      gain.gain.setValueAtTime(0.03, ringback.currentTime + 6 * n);
      gain.gain.setValueAtTime(0, ringback.currentTime + 6 * n + 2);
    }
    gain.connect(ringback.destination);
    for (const frequency of [440, 480]) {
      const tone = ringback.createOscillator();
      tone.frequency.value = frequency;
      tone.connect(gain);
      tone.start();
    }
  }

  // -- what is said ------------------------------------------------------------------------------

  function clearTalk() {
    if (live) live.close();
    live = null;
    byId("lines").replaceChildren();
    byId("empty").hidden = false;
    byId("why").hidden = true;
  }

  function note(text) {
    byId("empty").hidden = true;
    byId("lines").append(el("li.note", {}, text));
  }

  function follow(id) {
    const call = new Call();
    const why = byId("why");
    why.href = `/calls/${encodeURIComponent(id)}`;
    why.hidden = false;
    let read = 0;
    const peaks = new Peaks();
    let timed = 0;
    // When the caller's last sound was, only the recording knows; it is written each half second.
    const hear = async () => {
      const answer = await ask(`/calls/${encodeURIComponent(id)}/peaks?from=${peaks.length}`);
      if (answer.ok) peaks.add(new Uint8Array(await answer.arrayBuffer()));
      call.hearSides(peaks);
      draw(call);
    };
    live = listen(
      () => `/calls/${encodeURIComponent(id)}/live?from=${read}`,
      (data) => {
        read += new TextEncoder().encode(data).length;
        call.feed(data);
        draw(call);
        const turns = call.turns.filter((turn) => turn.to).length;
        if (turns > timed) {
          timed = turns;
          setTimeout(hear, 1500);
        }
      },
    );
  }

  const drawn = new WeakMap();

  function draw(call) {
    const list = byId("lines");
    const nearEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 60;
    let before = null;
    for (const said of call.utterances) {
      const text = said.who === "agent" ? said.text : said.understood || said.text;
      if (!text || (said.who === "agent" && said.from === null)) continue;
      let item = drawn.get(said);
      if (!item) {
        item = el(`li.${said.who === "agent" ? "agent" : "caller"}`, {}, el("p"), el("small"));
        drawn.set(said, item);
        if (before) before.after(item);
        else list.append(item);
      }
      const heard = said.who === "agent" && said.cut ? said.heard : text;
      const lost = said.who === "agent" && said.cut ? text.slice(heard.length) : "";
      item.firstChild.replaceChildren(heard, el("s", {}, lost));
      const turn = said.who === "agent" && call.turns.find((t) => t.to && Math.abs(t.to - said.from) < 0.5);
      item.lastChild.textContent = turn && turn.said.to !== null && (turn.lastSound || turn.ms > 200) ? `answered after ${turn.ms} ms` : "";
      before = item;
    }
    byId("empty").hidden = list.children.length > 0;
    if (nearEnd) list.scrollTop = list.scrollHeight;
  }

  // -- what was chosen before --------------------------------------------------------------------

  function remember() {
    try {
      localStorage.setItem("voxpy.phone", JSON.stringify({ to: to.value, from: from.value, transport: transport.value }));
    } catch {
      // private browsing
    }
  }

  function recall() {
    try {
      return JSON.parse(localStorage.getItem("voxpy.phone")) || {};
    } catch {
      return {};
    }
  }

  async function listDevices() {
    if (!navigator.mediaDevices) return;
    const devices = (await navigator.mediaDevices.enumerateDevices()).filter((d) => d.kind === "audioinput" && d.deviceId);
    const chosen = byId("device").value;
    const options = devices.map((d, n) => el("option", { value: d.deviceId }, d.label || `Microphone ${n + 1}`));
    byId("device").replaceChildren(el("option", { value: "" }, "The usual one"), ...options);
    byId("device").value = chosen;
  }

  async function start() {
    for (const digit of DIGITS) {
      const key = el("button.key", { type: "button", onclick: () => press(digit) }, el("b", {}, digit), el("i", {}, LETTERS[digit] || ""));
      key.dataset.digit = digit;
      byId("keys").append(key);
    }
    byId("keypad").append(icon("keypad"), el("span", {}, "Keypad"));
    byId("keypad").addEventListener("click", () => keypad(byId("keypad").getAttribute("aria-pressed") !== "true"));
    byId("mute").addEventListener("click", () => mute(!line || !line.muted));
    byId("dial").addEventListener("submit", (event) => {
      event.preventDefault();
      if (line) line.hangUp();
      else begin();
    });
    document.addEventListener("keydown", shortcut);
    addEventListener("pagehide", () => line && line.hangUp());
    mute(false);
    show("idle", "Ready", "Choose a destination and call");
    const before = recall();
    from.value = before.from || "";
    const told = await ask("/phone.json");
    if (told.ok) settings = { ...settings, ...(await told.json()) };
    else show("idle", "Not ready", refusal(told));
    byId("transport-field").hidden = !settings.webrtc;
    transport.value = settings.webrtc && before.transport === "webrtc" ? "webrtc" : "socket";
    for (const { to: number, rule } of settings.destinations) {
      const choose = () => {
        to.value = number;
        byId("call").focus();
      };
      byId("rules").append(el("button.chip", { type: "button", title: `rule ${rule}`, onclick: choose }, el("b", {}, rule), number === rule ? "" : el("span", {}, number)));
    }
    const known = settings.destinations.some(({ to: number }) => number === before.to);
    to.value = (known || !settings.to ? before.to : "") || settings.to || (settings.destinations[0] || { to: "" }).to;
    document.body.dataset.ready = "true";
  }

  function shortcut(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea")) return;
    if (DIGITS.includes(event.key)) press(event.key);
    else if (event.key === "m" && line) mute(!line.muted);
    else if (event.key === "k") keypad(byId("keypad").getAttribute("aria-pressed") !== "true");
    else if (event.key === "Escape" && line) line.hangUp();
  }

  start();
})();

// What every page uses. Text goes into a page as text: nothing here, or anywhere, sets markup.
"use strict";
(() => {
  /** `el("a.link", {href}, "text", child)`: an element; texts become text nodes. */
  function el(what, attributes, ...children) {
    const [tag, ...classes] = what.split(".");
    const node = document.createElement(tag || "div");
    if (classes.length) node.className = classes.join(" ");
    for (const [name, value] of Object.entries(attributes || {})) {
      if (value === null || value === undefined || value === false) continue;
      if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else if (name in node && name !== "list") node[name] = value;
      else node.setAttribute(name, value);
    }
    node.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
    return node;
  }

  const ICONS = new Set(["phone", "hangup", "mic", "micoff", "keypad", "play", "pause", "search", "ear", "lips"]);

  /** An icon of the sheet in the page. */
  function icon(name) {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    if (!ICONS.has(name)) return svg;
    svg.setAttribute("class", "icon");
    svg.setAttribute("viewBox", "0 0 24 24");
    svg.setAttribute("aria-hidden", "true");
    for (const d of PATHS[name]) {
      const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
      path.setAttribute("d", d);
      svg.append(path);
    }
    return svg;
  }

  const HANDSET =
    "M5 4h4l2 5-2.5 1.5a11 11 0 0 0 5 5L15 13l5 2v4a2 2 0 0 1-2 2A16 16 0 0 1 3 6a2 2 0 0 1 2-2";
  const MIC = ["M12 3a3 3 0 0 0-3 3v6a3 3 0 0 0 6 0V6a3 3 0 0 0-3-3", "M5 11a7 7 0 0 0 14 0", "M12 18v3"];
  const PATHS = {
    phone: [HANDSET],
    hangup: ["M3 15.5c5-5.3 13-5.3 18 0l-2.3 2.3-3.6-1.6v-2.6a11 11 0 0 0-6.2 0v2.6l-3.6 1.6z"],
    mic: MIC,
    micoff: [...MIC, "M4 3l16 18"],
    keypad: ["M5 5h.01M12 5h.01M19 5h.01M5 12h.01M12 12h.01M19 12h.01M5 19h.01M12 19h.01M19 19h.01"],
    play: ["M7 4.5v15l12-7.5z"],
    pause: ["M8 5v14M16 5v14"],
    search: ["M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14", "M16 16l5 5"],
    ear: ["M6 9a6 6 0 1 1 12 0c0 4-4 4.5-4 8a3 3 0 0 1-5.5 1.7", "M9.500 9a2.500 2.500 0 0 1 5 0c0 1.800-2 2.200-2 4"],
    lips: ["M4 6h16v10H11l-4 4v-4H4z"],
  };

  /** `1:02.3`, or `1:02` without tenths. */
  function clock(seconds, tenths = true) {
    const whole = Math.max(0, tenths ? Math.round(seconds * 10) / 10 : Math.floor(seconds));
    const hours = Math.floor(whole / 3600);
    const minutes = Math.floor(whole / 60) % 60;
    const rest = (whole % 60).toFixed(tenths ? 1 : 0).padStart(tenths ? 4 : 2, "0");
    return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
  }

  function lasted(seconds) {
    if (seconds === null || seconds === undefined) return "";
    if (seconds < 60) return `${seconds.toFixed(1)} s`;
    const minutes = Math.floor(seconds / 60);
    if (minutes < 60) return `${minutes} min ${Math.floor(seconds % 60)} s`;
    return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  }

  function median(values) {
    if (!values.length) return null;
    const sorted = [...values].sort((a, b) => a - b);
    const middle = sorted.length >> 1;
    return sorted.length % 2 ? sorted[middle] : Math.round((sorted[middle - 1] + sorted[middle]) / 2);
  }

  /** A WebSocket that comes back when it was cut, until `close` is called. */
  function listen(path, onMessage, onState = () => {}) {
    let socket = null;
    let wait = 500;
    let closed = false;
    const open = () => {
      socket = new WebSocket(`${location.origin.replace(/^http/, "ws")}${path()}`);
      socket.onopen = () => {
        wait = 500;
        onState(true);
      };
      socket.onmessage = ({ data }) => onMessage(data);
      socket.onclose = ({ code }) => {
        onState(false);
        if (closed || code === 1000) return;
        setTimeout(open, wait);
        wait = Math.min(wait * 2, 15000);
      };
    };
    open();
    return {
      close() {
        closed = true;
        socket.close();
      },
    };
  }

  /** Fetch all of an answer; one that is not ok, of status 0, where the host is gone. */
  async function ask(url, options) {
    try {
      const answer = await fetch(url, options);
      const body = await answer.arrayBuffer();
      return new Response(body.byteLength ? body : null, answer);
    } catch {
      return Response.error();
    }
  }

  /** What to say of an answer that is not ok. */
  function refusal({ status }) {
    return status ? `The host answered ${status}` : "The host does not answer";
  }

  window.voxpy = { ...window.voxpy, el, icon, clock, lasted, median, listen, ask, refusal, byId: (id) => document.getElementById(id) };
})();

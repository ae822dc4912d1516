// Listening in to a call that runs, whispering to its agent, talking to both sides.
"use strict";
(() => {
  const { el, icon, SocketLine } = window.voxpy;
  const MODES = [
    ["listen", "Listen", "Hear both sides; nobody hears you"],
    ["whisper", "Whisper", "The agent hears you, the caller does not"],
    ["talk", "Talk", "Both sides hear you"],
  ];
  let line = null;
  let mode = "";

  /** The buttons, for a call that runs. */
  function controls(id, onTrouble) {
    const box = el("span.group", { role: "group", ariaLabel: "Listen in" });
    const meter = el("i.ear-meter", { ariaHidden: "true" });
    const show = () => {
      for (const button of box.children) button.setAttribute("aria-pressed", String(button.dataset.mode === mode));
      meter.hidden = !mode;
    };
    const choose = async (wanted) => {
      if (wanted === mode) {
        line.hangUp();
        return;
      }
      mode = wanted;
      show();
      if (!line) {
        const mine = (line = new SocketLine((event) => {
          if (event.event === "level" && event.side === "theirs") meter.style.setProperty("--level", String(Math.min(1, event.level * 4)));
          if (event.event === "listening") onTrouble(`Nobody can hear you: ${event.why}.`);
          if (event.event === "ended" && line === mine) {
            line = null;
            mode = "";
            show();
          }
        }));
        await line.listen(`/calls/${encodeURIComponent(id)}/listen`);
      }
      if (mode !== "listen" && !line.microphone) await line.useMicrophone("");
      line.mute(mode === "listen");
      line.say({ mode });
    };
    for (const [name, title, help] of MODES) {
      const button = el("button.button", { type: "button", title: help, onclick: () => choose(name) }, name === "listen" ? icon("ear") : name === "whisper" ? icon("lips") : icon("mic"), title);
      button.dataset.mode = name;
      box.append(button);
    }
    show();
    return [box, meter];
  }

  window.voxpy = { ...window.voxpy, controls };
})();

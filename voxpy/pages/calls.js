// The list of calls: filters, search, and what runs now, over a WebSocket.
"use strict";
(() => {
  const { el, lasted, median, listen, ask, refusal, byId } = window.voxpy;
  const PAGE = 100;
  let rows = [];
  let which = "";
  let older = false;

  async function load(before = "") {
    const query = new URLSearchParams({ limit: String(PAGE) });
    if (which === "running") query.set("state", "running");
    if (which === "errors") query.set("errors", "1");
    if (before) query.set("before", before);
    const answer = await ask(`/api/sessions?${query}`);
    if (!answer.ok) {
      say(`${refusal(answer)}.`);
      return;
    }
    const found = (await answer.json()).result;
    if (before) rows = [...rows, ...found];
    else rows = found.length < PAGE ? found : [...found, ...rows.filter((row) => row.start_date < found[found.length - 1].start_date)];
    if (before || rows.length <= PAGE) older = found.length === PAGE;
    draw();
  }

  function draw() {
    const wanted = byId("search").value.trim().toLowerCase();
    const shown = wanted ? rows.filter((row) => words(row).includes(wanted)) : rows;
    byId("rows").replaceChildren(...shown.map(line));
    byId("more").hidden = !older;
    say(shown.length ? "" : rows.length ? "No call here has these words." : which === "running" ? "No call is up." : which === "errors" ? "No call has failed." : "No calls yet. Call from the phone, or let one come in.");
  }

  function say(text) {
    byId("empty").textContent = text;
    byId("empty").hidden = !text;
  }

  function words(row) {
    return [row.callerid, row.destination, row.rule_name, row.channel, row.end_reason, row.end_detail, row.finish_reason, row.custom_data, row.session_id, row.state, ...row.scenarios].join(" ").toLowerCase();
  }

  /** A call of `voxpy run` has no rule of its own. */
  function scenario(row) {
    return (row.scenarios[0] || "local").split("/").pop().replace(/\.py$/, "");
  }

  function line(row) {
    const began = new Date(row.start_date);
    const today = began.toDateString() === new Date().toDateString();
    const href = `/calls/${encodeURIComponent(row.session_id)}`;
    const state = row.state === "running" ? "running" : row.failed || row.state === "interrupted" ? "failed" : "ended";
    const more = row.calls.length > 1 ? el("small.muted", {}, ` +${row.calls.length - 1}`) : null;
    const told = row.end_detail || row.finish_reason || row.state;
    const badges = [
      row.barge_in_ms.length ? el("span.badge.barge", { title: "barge-ins" }, `${row.barge_in_ms.length} barge-in${row.barge_in_ms.length > 1 ? "s" : ""}`) : null,
      row.warnings ? el("span.badge.warn", {}, `${row.warnings} warning${row.warnings > 1 ? "s" : ""}`) : null,
      row.errors ? el("span.badge.error", {}, `${row.errors} error${row.errors > 1 ? "s" : ""}`) : null,
    ];
    const item = el("tr", { onclick: (event) => event.target.closest("a") || (location.href = href) },
      el("td.began.num", {}, el("i.lamp", { title: state }), el("time", { dateTime: row.start_date, title: began.toLocaleString() }, today ? began.toLocaleTimeString() : began.toLocaleString([], { dateStyle: "short", timeStyle: "short" }))),
      el("td.whom", {}, el("a", { href }, row.callerid || "started", el("span.to", {}, " → "), row.destination || row.rule_name), more),
      el("td.rule", {}, row.rule_name === "local" ? scenario(row) : row.rule_name),
      el("td.channel", {}, row.channel),
      el("td.right.num", {}, row.state === "running" ? "live" : lasted(row.duration_s)),
      el("td.right.num.answers", {}, row.reply_ms.length ? `${median(row.reply_ms)} ms` : ""),
      el("td.ended", {}, row.state === "running" ? "" : told, ...badges));
    item.dataset.state = state;
    return item;
  }

  byId("which").addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    which = button.dataset.which;
    for (const each of byId("which").children) each.setAttribute("aria-pressed", String(each === button));
    rows = [];
    load();
  });
  byId("search").addEventListener("input", draw);
  byId("more").addEventListener("click", () => load(rows[rows.length - 1].start_date));
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !event.target.matches("input")) {
      event.preventDefault();
      byId("search").focus();
    }
  });
  load().then(() => {
    document.body.dataset.ready = "true";
    listen(() => "/calls/live", () => load());
  });
})();

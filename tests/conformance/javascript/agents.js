// The Agents SDK of OpenAI for JavaScript, unchanged: one conversation, its words told.
// Usage: node agents.js MODULES ADDRESS TURN [SOUND]
const { createRequire } = require("node:module");
const fs = require("node:fs");

const [modules, address, turn, sound] = process.argv.slice(2);
const load = createRequire(modules + "/");
const { RealtimeAgent, RealtimeSession, OpenAIRealtimeWebSocket, tool } = load("@openai/agents-realtime");

let interrupted = false;
const weather = tool({
  name: "get_weather",
  description: "Return the weather.",
  strict: false,
  parameters: {
    type: "object",
    properties: { city: { type: "string" } },
    required: [],
    additionalProperties: true,
  },
  execute: async () => JSON.stringify({ degrees: 7 }),
});
const agent = new RealtimeAgent({ name: "Voxi", instructions: "You are Voxi.", tools: [weather] });
const transport = new OpenAIRealtimeWebSocket({
  url: `wss://${address}/v1/realtime?model=gpt-realtime`,
  useInsecureApiKey: true,
});
const byHand = turn === "push_to_talk";
const session = new RealtimeSession(agent, {
  transport,
  model: "gpt-realtime",
  config: byHand ? { audio: { input: { turnDetection: null } } } : {},
  tracingDisabled: true,
});

function say(commit) {
  const data = fs.readFileSync(sound);
  const step = 9600;
  for (let n = 0; n < data.length; n += step) {
    const piece = data.subarray(n, n + step);
    const copy = piece.buffer.slice(piece.byteOffset, piece.byteOffset + piece.length);
    session.sendAudio(copy, { commit: commit && n + step >= data.length });
  }
}

session.on("error", (error) => {
  console.error(JSON.stringify(error));
  process.exit(1);
});
session.on("audio_interrupted", () => (interrupted = true));
transport.on("turn_done", (event) => {
  const items = event.response.output.filter((item) => item.type === "message");
  const words = items.flatMap((item) => item.content.map((part) => part.transcript ?? part.text)).join("");
  if (!words || event.response.status === "cancelled") return;
  if (turn === "barge_in" && !interrupted && words.startsWith("Once upon a time")) return say(false);
  console.log(JSON.stringify(words));
  session.close();
  process.exit(0);
});

session.connect({ apiKey: "any" }).then(() => {
  if (turn === "text") session.sendMessage("Good morning");
  if (turn === "tool") session.sendMessage("weather please");
  if (turn === "barge_in") session.sendMessage("Tell me a story");
  if (turn === "audio") say(false);
  if (byHand) {
    say(true);
    transport.sendEvent({ type: "response.create" });
  }
});

// The official client of OpenAI's Realtime API for Node, unchanged: one conversation, its words told.
// It speaks TLS alone, so NODE_EXTRA_CA_CERTS must name who vouches for the agent.
// Usage: node openai.js MODULES ADDRESS TURN [SOUND]
const { createRequire } = require("node:module");
const fs = require("node:fs");

const [modules, address, turn, sound] = process.argv.slice(2);
const load = createRequire(modules + "/");
const OpenAI = load("openai");
const { OpenAIRealtimeWS } = load("openai/realtime/ws");

const client = new OpenAI({ apiKey: "any", baseURL: `https://${address}/v1` });
const socket = new OpenAIRealtimeWS({ model: "gpt-realtime" }, client);
const words = {};
let last = "";
let heard = false;

const WEATHER = {
  type: "function",
  name: "get_weather",
  description: "Return the weather.",
  parameters: { type: "object", properties: { city: { type: "string" } } },
};

function write(text) {
  const content = [{ type: "input_text", text }];
  socket.send({ type: "conversation.item.create", item: { type: "message", role: "user", content } });
  socket.send({ type: "response.create" });
}

function say() {
  const data = fs.readFileSync(sound);
  for (let n = 0; n < data.length; n += 9600) {
    const audio = data.subarray(n, n + 9600).toString("base64");
    socket.send({ type: "input_audio_buffer.append", audio });
  }
}

function end(text) {
  console.log(JSON.stringify(text));
  socket.close();
}

socket.on("error", (error) => {
  console.error(error);
  process.exit(1);
});
socket.on("session.created", () => {
  const audio = { input: turn === "push_to_talk" ? { turn_detection: null } : {} };
  socket.send({ type: "session.update", session: { type: "realtime", audio, tools: [WEATHER] } });
});
socket.on("session.updated", () => {
  if (turn === "text") write("Good morning");
  if (turn === "tool") write("weather please");
  if (turn === "barge_in") write("Tell me a story");
  if (turn === "audio") say();
  if (turn === "push_to_talk") {
    say();
    socket.send({ type: "input_audio_buffer.commit" });
    socket.send({ type: "response.create" });
  }
});
socket.on("input_audio_buffer.speech_started", () => {
  heard = true;
  if (turn === "barge_in")
    socket.send({ type: "conversation.item.truncate", item_id: last, content_index: 0, audio_end_ms: 500 });
});
socket.on("response.output_audio_transcript.delta", (event) => {
  words[event.response_id] = (words[event.response_id] ?? "") + event.delta;
  last = event.item_id;
});
socket.on("response.done", (event) => {
  const [call] = event.response.output.filter((item) => item.type === "function_call");
  if (call) {
    const output = JSON.stringify({ degrees: 7 });
    const item = { type: "function_call_output", call_id: call.call_id, output };
    socket.send({ type: "conversation.item.create", item });
    socket.send({ type: "response.create" });
  } else if (turn === "barge_in" && !heard) say();
  else if (event.response.status === "completed") end(words[event.response.id]);
});

// The TypeScript clients use third-party servers through the gateway: the one before 2.0 (legacy era), and that of today,
// which finds out the era by itself. They get some known answers, and server-everything asks them and tells them things.
//
// usage: field_ts.mjs FOLDER old|new COMMAND...    over stdio
//        field_ts.mjs FOLDER old|new URL TOKEN     over HTTP; a URL that ends in /sse means HTTP+SSE (old only)
//
// FOLDER is where the clients are installed.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [folder, age, ...target] = process.argv.slice(2);
const require = createRequire(`${folder}/package.json`);
const load = (name) => import(pathToFileURL(require.resolve(name)));

const client = age === "old" ? await before2() : await today();
const steps = [];
// Heard where messages arrive: these clients forget whom progress is for as soon as they have read the answer, and hand
// notifications on only after all that they read with them. The last one, which often comes in one piece with the answer
// (also without a gateway), would be missed.
const hear = client.transport.onmessage;
client.transport.onmessage = (message, ...more) => {
  if (message.method === "notifications/progress") steps.push(message.params.progress);
  return hear(message, ...more);
};
const { tools } = await client.listTools();
const names = new Set(tools.map((tool) => tool.name));
const text = (result) => result.content.map((block) => block.text ?? "").join(" ");
const exposed = (name) => (names.has(name) ? name : [...names].find((it) => it.endsWith(`_${name}`)));
const call = async (name, given, ...more) =>
  text(await client.callTool({ name: exposed(name), arguments: given }, ...more));
const patience = (more) => (age === "old" ? [undefined, more] : [more]);

assert.match(await call("echo", { message: "grüß dich 🚢" }), /Echo: grüß dich 🚢/);
assert.match(await call("read_query", { query: "SELECT 6 * 7 AS answer" }), /42/);
assert.match(
  await call("convert_time", { source_timezone: "UTC", time: "12:00", target_timezone: "Asia/Kolkata" }),
  /17:30:00\+05:30/,
);
assert.match(await call("configuration_view", { minified: true }), /current-context: field/);
const onprogress = () => {};
assert.match(await call("trigger-long-running-operation", { duration: 1, steps: 4 }, ...patience({ onprogress })), /Steps: 4/);
assert.deepEqual(steps, [1, 2, 3, 4]);

const giveUp = new AbortController();
const given = call("trigger-long-running-operation", { duration: 60, steps: 300 },
  ...patience({ signal: giveUp.signal, onprogress: () => giveUp.abort("the judge has seen enough") }));
await assert.rejects(given);

assert.match(await call("trigger-sampling-request", { prompt: "hello" }), /sampled: .*hello/);
assert.match(await call("trigger-elicitation-request", {}), /Ada/);
assert.match(await call("get-roots-list", {}), /file:\/\/\/srv\/judge/);
const read = await client.readResource({ uri: "demo://resource/dynamic/text/7" });
assert.match(read.contents[0].text, /Resource 7/);
const prompt = await client.getPrompt({ name: "args-prompt", arguments: { city: "Oslo" } });
assert.match(prompt.messages[0].content.text, /Oslo/);
const version = client.getNegotiatedProtocolVersion?.() ?? client.transport?.protocolVersion ?? "legacy";
await client.close();
console.log(`${tools.length} tools, known answers and features, protocol ${version}`);

function answers() {
  return {
    sample: async ({ params }) => ({
      role: "assistant",
      model: "judge",
      content: { type: "text", text: `sampled: ${params.messages[0].content.text}` },
    }),
    elicit: async () => ({ action: "accept", content: { name: "Ada", check: true, integer: 7 } }),
    roots: async () => ({ roots: [{ uri: "file:///srv/judge", name: "judge" }] }),
  };
}

async function before2() {
  const { Client } = await load("@modelcontextprotocol/sdk/client/index.js");
  const types = await load("@modelcontextprotocol/sdk/types.js");
  const client = new Client(
    { name: "judge", version: "1" },
    { capabilities: { sampling: {}, elicitation: {}, roots: {} } },
  );
  const person = answers();
  client.setRequestHandler(types.CreateMessageRequestSchema, person.sample);
  client.setRequestHandler(types.ElicitRequestSchema, person.elicit);
  client.setRequestHandler(types.ListRootsRequestSchema, person.roots);
  const requestInit = { headers: { Authorization: `Bearer ${target[1]}` } };
  let transport;
  if (!target[0].startsWith("http")) {
    const { StdioClientTransport } = await load("@modelcontextprotocol/sdk/client/stdio.js");
    transport = new StdioClientTransport({ command: target[0], args: target.slice(1), env: process.env, stderr: "ignore" });
  } else if (target[0].endsWith("/sse")) {
    const { SSEClientTransport } = await load("@modelcontextprotocol/sdk/client/sse.js");
    transport = new SSEClientTransport(new URL(target[0]), { requestInit });
  } else {
    const { StreamableHTTPClientTransport } = await load("@modelcontextprotocol/sdk/client/streamableHttp.js");
    transport = new StreamableHTTPClientTransport(new URL(target[0]), { requestInit });
  }
  await client.connect(transport);
  return client;
}

async function today() {
  const { Client, StreamableHTTPClientTransport } = await load("@modelcontextprotocol/client");
  const client = new Client(
    { name: "judge", version: "1" },
    { capabilities: { sampling: {}, elicitation: {}, roots: {} }, versionNegotiation: { mode: "auto" } },
  );
  const person = answers();
  client.setRequestHandler("sampling/createMessage", person.sample);
  client.setRequestHandler("elicitation/create", person.elicit);
  client.setRequestHandler("roots/list", person.roots);
  let transport;
  if (target[0].startsWith("http")) {
    const requestInit = { headers: { Authorization: `Bearer ${target[1]}` } };
    transport = new StreamableHTTPClientTransport(new URL(target[0]), { requestInit });
  } else {
    const { StdioClientTransport } = await load("@modelcontextprotocol/client/stdio");
    transport = new StdioClientTransport({ command: target[0], args: target.slice(1), env: process.env, stderr: "ignore" });
  }
  await client.connect(transport);
  return client;
}

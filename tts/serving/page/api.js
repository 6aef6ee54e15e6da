// Calls of the server that the page came from.

const KEY = "twotier-tts-key";

export const setKey = (key) => sessionStorage.setItem(KEY, key);

/** What the server refused, in its own words; `param`: the field that it names, if any. */
export class Refused extends Error {
  constructor(status, message, param) {
    super(message);
    Object.assign(this, { status, param });
  }
}

async function call(path, options = {}) {
  const key = sessionStorage.getItem(KEY);
  const headers = { ...options.headers, ...(key ? { Authorization: `Bearer ${key}` } : {}) };
  let answer;
  try {
    answer = await fetch(path, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The server does not answer. Is tts serve still running?");
  }
  if (answer.ok) return answer;
  const detail = (await answer.json().catch(() => ({}))).error ?? {};
  throw new Refused(answer.status, detail.message ?? `The server answered ${answer.status}.`, detail.param);
}

/** What the voice is, and what may be asked of it. */
export async function voices() {
  return (await call("v1/audio/voices")).json();
}

/** The digits of a recording, those below the threshold too. */
export async function transcribe(blob) {
  const body = new FormData();
  body.append("file", blob, "recording");
  body.append("model", "digits-recognizer");
  body.append("response_format", "verbose_json");
  return (await call("v1/audio/transcriptions", { method: "POST", body })).json();
}

/** Speech while it is made: yields Float32Array chunks, and returns the timeline. */
export async function* speech(request, signal) {
  const answer = await call("v1/audio/speech", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ ...request, response_format: "pcm", stream_format: "sse" }),
    signal,
  });
  for await (const event of events(answer.body)) {
    if (event.type === "speech.audio.delta") yield samples(event.audio);
    if (event.type === "speech.audio.done") return event.timeline;
  }
  throw new Error("The answer broke off before its end. Try again.");
}

/** Server-sent events, each the JSON of its data. */
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read().catch((error) => {
      if (error.name === "AbortError") throw error;
      throw new Error("The connection broke off. Try again.");
    });
    if (done) return;
    const parts = (text + value).split("\n\n");
    text = parts.pop();
    for (const part of parts) yield JSON.parse(part.slice("data: ".length));
  }
}

function samples(base64) {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  return Float32Array.from(new Int16Array(bytes.buffer), (value) => value / 32768);
}

// The form, the link with its settings, and the recognizer.

import { Refused, setKey, transcribe, voices } from "./api.js";
import { Recorder } from "./sound.js";
import { Take } from "./take.js";

const LONGEST_RECORDING = 30; // s
const $ = (id) => document.getElementById(id);
/** The fields that a link holds. */
const FIELDS = ["text", "speaker", "seed", "temperature", "speed", "read", "compare", "speaker2", "seed2"].map($);

let voice = null;
let context = null; // AudioContext with the voice's rate
let takes = [];
let running = null; // AbortController of what is being made or played
let recorder = null;

// Errors

/** `name`: the field that it is about, where the server does not say. */
function fail(error, name) {
  if (error.name === "AbortError") return;
  $("error").textContent = error.message;
  $("error").hidden = false;
  if (error.status === 401) {
    $("access").hidden = false;
    $("key").focus();
  }
  if (error.status !== 400) return;
  const names = { input: "text", voice: "speaker" }; // as the server has them, and as the page has them
  const field = FIELDS.find((one) => one.id === (names[error.param] ?? error.param ?? name));
  field?.setAttribute("aria-invalid", "true");
  field?.focus();
}

function clearErrors() {
  $("error").hidden = true;
  for (const field of FIELDS) field.removeAttribute("aria-invalid");
}

// Settings, and the link that holds them

const value = (field) => (field.type === "checkbox" ? (field.checked ? "1" : "") : field.value);

function writeLink() {
  const link = new URLSearchParams(FIELDS.map((field) => [field.id, value(field)]));
  history.replaceState(null, "", `#${link}`);
}

function readLink() {
  for (const [name, text] of new URLSearchParams(location.hash.slice(1))) {
    const field = FIELDS.find((one) => one.id === name);
    if (!field) continue;
    const known = field.type !== "select-one" || !text || [...field.options].some((option) => option.value === text);
    if (field.type === "checkbox") field.checked = text === "1";
    else if (known) field.value = text;
    else fail(new Error(`The link names the ${name.replace("2", "")} "${text}", which this voice does not have.`));
  }
  $("second").hidden = !$("compare").checked;
}

/** The number in a field. Throws where there is none. */
function number(id) {
  const field = $(id);
  if (field.value !== "" && Number.isFinite(field.valueAsNumber)) return field.valueAsNumber;
  throw new Refused(400, `${id.replace("2", "")}: type a number.`, id);
}

function request(speaker, seed) {
  return {
    model: voice.model,
    input: $("text").value,
    voice: $(speaker).value,
    seed: number(seed),
    temperature: number("temperature"),
    speed: number("speed"),
    read: $("read").value || null,
    sample_rate: voice.sample_rate,
  };
}

// Speaking

/** The seconds that every picture shows: those of the longest utterance, in steps while one is being made. */
function range() {
  const made = Math.max(0.5, ...takes.map((take) => take.made));
  return takes.some((take) => take.state === "making") ? 2 ** Math.ceil(Math.log2(Math.max(made, 2))) : made;
}

function stop() {
  running?.abort();
  for (const take of takes) take.stop();
}

/** Make one utterance or two, and play the first from its beginning, then the second. */
async function speak() {
  if (!voice) return; // Enter, before the server has said what the voice is, or while it asks for a key
  stop();
  clearErrors();
  try {
    const requests = [request("speaker", "seed")];
    if ($("compare").checked) requests.push(request("speaker2", "seed2"));
    context ??= new AudioContext({ sampleRate: voice.sample_rate });
    const own = (running = new AbortController());
    takes = requests.map(
      ({ input, voice: speaker, seed }) =>
        new Take(`${input.slice(0, 40)} · ${speaker} · seed ${seed}`, context, { onPlay: stop, range }),
    );
    $("takes").replaceChildren(...takes.map((take) => take.element));
    for (const take of takes) take.draw();
    $("stop").disabled = false;
    $("status").textContent = "Speaking.";
    const made = Promise.all(takes.map((take, k) => take.make(requests[k], own.signal)));
    const played = playAll(takes, own.signal);
    try {
      await made.catch((error) => {
        own.abort(); // the other one
        throw error;
      });
      $("status").textContent = takes.map((take) => take.summary).join(" "); // read aloud once, when it is complete
      await played;
    } finally {
      if (own === running) {
        if (takes.some((take) => take.state !== "done")) $("status").textContent = "Stopped.";
        $("stop").disabled = true;
        for (const take of takes) take.draw();
      }
    }
  } catch (error) {
    fail(error, "text");
  }
}

async function playAll(takes, signal) {
  for (const take of takes) if (!signal.aborted) await take.play();
}

// The recognizer

async function record() {
  if (recorder) {
    await finishRecording();
    return;
  }
  clearErrors();
  stop();
  $("record").disabled = true; // until the microphone is there: a second click would start a second recording
  try {
    recorder = await Recorder.start((level) => {
      $("level").value = recorder ? level : 0;
      if (recorder?.seconds > Math.min(LONGEST_RECORDING, voice.limits.upload_seconds)) finishRecording();
    });
    $("record").textContent = "Stop and recognize";
    $("record").setAttribute("aria-pressed", "true");
    $("recorder-status").textContent = "Recording. Say digits.";
  } catch (error) {
    fail(error);
  } finally {
    $("record").disabled = false;
    $("record").focus();
  }
}

async function finishRecording() {
  const own = recorder;
  recorder = null;
  $("record").textContent = "Record";
  $("record").setAttribute("aria-pressed", "false");
  $("level").value = 0;
  await recognize(await own.stop());
}

async function recognize(blob) {
  clearErrors();
  $("recorder-status").textContent = "Recognizing.";
  $("recognized").hidden = true;
  try {
    const found = await transcribe(blob);
    const all = [...found.words, ...found.rejected].sort((a, b) => a.start - b.start);
    $("digits").replaceChildren(...all.map((word) => digitRow(word, found.rejected.includes(word))));
    $("recorder-status").textContent = found.text
      ? `Recognized: ${found.text}.`
      : `No digit with a score of ${voice.recognizer_threshold} or more.`;
    URL.revokeObjectURL($("recording").src);
    $("recording").src = URL.createObjectURL(blob);
    $("repeat").disabled = !found.text;
    $("repeat").onclick = () => repeat(found.text);
    $("recognized").hidden = false;
  } catch (error) {
    $("recorder-status").textContent = "";
    fail(error);
  }
}

function digitRow({ word, score, start, end }, rejected) {
  const row = document.createElement("tr");
  const texts = [rejected ? `${word} (below ${voice.recognizer_threshold}, left out)` : word, score.toFixed(3)];
  for (const text of [...texts, start.toFixed(2), end.toFixed(2)]) row.insertCell().textContent = text;
  const meter = Object.assign(document.createElement("meter"), { min: 0, max: 1, value: score, ariaLabel: "Score" });
  row.cells[1].append(" ", meter);
  return row;
}

function repeat(text) {
  $("text").value = text;
  writeLink();
  speak();
}

// The page

function options(select, names) {
  select.append(...names.map((name) => new Option(name, name)));
}

async function load() {
  voice = await voices();
  const { limits, speakers } = voice;
  $("voice").textContent =
    `Voice ${voice.model}: ${speakers.length} speakers, ${voice.sample_rate} Hz, language ${voice.language}, ` +
    `license ${voice.license}`;
  for (const id of ["speaker", "speaker2"]) options($(id), speakers);
  $("speaker").value = voice.default_speaker;
  $("speaker2").value = speakers.find((name) => name !== voice.default_speaker) ?? voice.default_speaker;
  options($("read"), voice.read);
  for (const id of ["seed", "seed2"]) $(id).max = limits.seed[1];
  for (const id of ["speed", "temperature"]) [$(id).min, $(id).max] = limits[id];
  $("temperature").value = voice.temperature;
  if (!voice.has_speed) $("speed").disabled = true;
  readLink();
  $("go").disabled = $("record").disabled = false;
}

function listen() {
  $("speak").onsubmit = (event) => {
    event.preventDefault();
    speak();
  };
  $("text").onkeydown = (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    $("speak").requestSubmit();
  };
  $("speak").oninput = () => {
    $("second").hidden = !$("compare").checked;
    writeLink();
  };
  $("random").onclick = () => {
    $("seed").value = crypto.getRandomValues(new Uint32Array(1))[0];
    writeLink();
  };
  $("stop").onclick = stop;
  $("copy").onclick = async () => {
    writeLink();
    const copied = await navigator.clipboard?.writeText(location.href).then(() => true, () => false);
    $("status").textContent = copied ? "Link copied." : "Copy the link from the address bar.";
  };
  $("record").onclick = record;
  $("file").onchange = () => $("file").files.length && recognize($("file").files[0]);
  $("access").onsubmit = (event) => {
    event.preventDefault();
    setKey($("key").value);
    clearErrors();
    $("access").hidden = true;
    load().catch((error) => fail(error));
  };
  addEventListener("hashchange", () => {
    clearErrors();
    readLink();
  });
  matchMedia("(prefers-color-scheme: dark)").onchange = () => takes.forEach((take) => take.draw());
}

$("go").disabled = $("record").disabled = true;
listen();
load().catch((error) => fail(error));

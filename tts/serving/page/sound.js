// Sound in and out: playing what is still being made, recording, WAV files.

const AHEAD = 0.3; // s: how much is always scheduled, where there is so much
const PIECE = 1; // s: at most this much waits to be scheduled in one piece

/** The chunks joined. */
export function joined(chunks) {
  const whole = new Float32Array(chunks.reduce((count, chunk) => count + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}

/** A 16-bit WAV file of one channel. */
export function wav(samples, rate) {
  const data = new DataView(new ArrayBuffer(44 + 2 * samples.length));
  const letters = (at, text) => [...text].forEach((letter, k) => data.setUint8(at + k, letter.charCodeAt(0)));
  letters(0, "RIFF");
  data.setUint32(4, 36 + 2 * samples.length, true);
  letters(8, "WAVEfmt ");
  data.setUint32(16, 16, true);
  data.setUint16(20, 1, true); // PCM
  data.setUint16(22, 1, true);
  data.setUint32(24, rate, true);
  data.setUint32(28, 2 * rate, true);
  data.setUint16(32, 2, true);
  data.setUint16(34, 16, true);
  letters(36, "data");
  data.setUint32(40, 2 * samples.length, true);
  samples.forEach((value, k) => {
    data.setInt16(44 + 2 * k, Math.max(-32768, Math.min(32767, Math.round(value * 32768))), true);
  });
  return new Blob([data], { type: "audio/wav" });
}

/**
 * Plays chunks one after another, without a gap where they come in time. `ended` is a promise of the end; `close` says
 * that no chunk follows. The context has the rate of the chunks, so that each sample is at its place.
 */
export class Playback {
  constructor(context) {
    this.context = context;
    this.waiting = [];
    this.pieces = []; // {source, at: time of the context, from: seconds of the utterance}
    this.scheduled = 0; // seconds
    this.next = context.currentTime + 0.1; // so that a late second chunk makes no gap
    this.closed = false;
    this.ended = new Promise((resolve) => (this.end = resolve));
  }

  add(samples) {
    this.waiting.push(samples);
    const waits = this.waiting.reduce((count, chunk) => count + chunk.length, 0) / this.context.sampleRate;
    if (waits >= PIECE || this.next - this.context.currentTime < AHEAD) this.schedule();
  }

  close() {
    if (this.waiting.length) this.schedule();
    this.closed = true;
    const last = this.pieces.at(-1)?.source;
    if (!last || last.over) this.end();
  }

  stop() {
    this.waiting = [];
    this.closed = true;
    for (const { source } of this.pieces) source.stop();
    this.end();
  }

  /** How far it has come, in seconds of the utterance. */
  get seconds() {
    const now = this.context.currentTime - (this.context.outputLatency || 0);
    const piece = this.pieces.findLast((one) => one.at <= now);
    return piece ? piece.from + Math.min(now - piece.at, piece.source.buffer.duration) : 0;
  }

  schedule() {
    const samples = joined(this.waiting);
    this.waiting = [];
    const buffer = this.context.createBuffer(1, samples.length, this.context.sampleRate);
    buffer.copyToChannel(samples, 0);
    const source = new AudioBufferSourceNode(this.context, { buffer });
    source.connect(this.context.destination);
    this.next = Math.max(this.next, this.context.currentTime + 0.02);
    source.start(this.next);
    const piece = { source, at: this.next, from: this.scheduled };
    this.pieces.push(piece);
    this.next += buffer.duration;
    this.scheduled += buffer.duration;
    source.onended = () => {
      source.over = true;
      if (this.closed && this.pieces.at(-1) === piece) this.end();
    };
  }
}

const REASONS = {
  NotAllowedError: "The microphone is not allowed. Allow it for this page in the browser's settings.",
  NotFoundError: "There is no microphone. Connect one, or choose a file.",
  NotReadableError: "The microphone cannot be read; another program may be using it.",
};

/** A recording from the microphone. `onLevel` gets the peak of each block. */
export class Recorder {
  static async start(onLevel) {
    if (!navigator.mediaDevices) {
      throw new Error("A microphone works on https or localhost only. Open the page there, or choose a file.");
    }
    const wanted = { channelCount: 1, echoCancellation: false, noiseSuppression: false };
    const stream = await navigator.mediaDevices.getUserMedia({ audio: wanted }).catch((error) => {
      throw new Error(REASONS[error.name] ?? `The microphone failed: ${error.message}`);
    });
    const context = new AudioContext();
    await context.audioWorklet.addModule("recorder.js");
    const node = new AudioWorkletNode(context, "recorder", { numberOfOutputs: 0 });
    const recorder = Object.assign(new Recorder(), { stream, context, blocks: [] });
    node.port.onmessage = ({ data }) => {
      recorder.blocks.push(data);
      onLevel(data.reduce((most, value) => Math.max(most, Math.abs(value)), 0));
    };
    context.createMediaStreamSource(stream).connect(node);
    await context.resume();
    return recorder;
  }

  /** Seconds so far. */
  get seconds() {
    return this.blocks.reduce((count, block) => count + block.length, 0) / this.context.sampleRate;
  }

  /** End it; the recording as a WAV file. */
  async stop() {
    this.stream.getTracks().forEach((track) => track.stop());
    const rate = this.context.sampleRate;
    await this.context.close();
    return wav(joined(this.blocks), rate);
  }
}

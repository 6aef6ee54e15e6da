// One utterance: made, played, drawn, saved.

import { speech } from "./api.js";
import { draw, position } from "./plots.js";
import { Playback, joined, wav } from "./sound.js";

const REDRAW = 200; // ms, at least, between two pictures of what is being made
const SHARE = 0.1; // of the time, at most, goes into these pictures: sound comes first on a slow machine
const LEGEND = ["pause", "onset", "nucleus", "coda"];

const seconds = (value) => value.toFixed(2);

export class Take {
  /** `onPlay`: called before it is played by its own button; `range`: gives the seconds that the picture shows. */
  constructor(title, context, { onPlay, range }) {
    Object.assign(this, { title, context, range, rate: context.sampleRate });
    this.element = document.getElementById("take").content.firstElementChild.cloneNode(true);
    this.find = (selector) => this.element.querySelector(selector);
    this.find("h3").textContent = title;
    this.chunks = [];
    this.samples = new Float32Array(0);
    this.timeline = this.playback = null;
    this.state = "making";
    this.redraw = 0; // when
    this.find(".play").onclick = () => {
      onPlay();
      this.play();
    };
    this.find(".download").onclick = () => this.download();
    new ResizeObserver(() => this.draw()).observe(this.find(".plot"));
  }

  set state(state) {
    this.element.dataset.state = state;
  }

  get state() {
    return this.element.dataset.state;
  }

  get made() {
    return this.samples.length / this.rate;
  }

  /** Ask for it, and keep what comes. Throws what the server refuses; the picture shows what had come by then. */
  async make(request, signal) {
    try {
      const chunks = speech(request, signal);
      let next = await chunks.next();
      for (; !next.done; next = await chunks.next()) {
        this.chunks.push(next.value);
        this.playback?.add(next.value);
        if (performance.now() > this.redraw) this.gather();
      }
      this.timeline = next.value;
      this.state = "done";
    } catch (error) {
      this.state = error.name === "AbortError" ? "stopped" : "failed";
      throw error;
    } finally {
      this.gather();
      this.playback?.close();
      for (const button of this.element.querySelectorAll("button")) button.disabled = !this.samples.length;
      this.describe();
    }
  }

  /** Play it from its beginning, also while it is being made; a promise of the end. */
  async play() {
    this.stop();
    await this.context.resume();
    const playback = new Playback(this.context);
    this.playback = playback;
    for (const chunk of this.chunks) playback.add(chunk);
    if (this.state !== "making") playback.close();
    const head = this.find(".playhead");
    const move = () => {
      if (this.playback !== playback) return;
      head.hidden = false;
      head.style.transform = `translateX(${position(this.find("canvas"), playback.seconds, this.range())}px)`;
      this.element.dataset.played = playback.seconds.toFixed(2);
      requestAnimationFrame(move);
    };
    move();
    await playback.ended;
    if (this.playback === playback) {
      this.playback = null;
      head.hidden = true;
    }
  }

  stop() {
    this.playback?.stop();
  }

  gather() {
    this.samples = joined(this.chunks);
    this.chunks = [this.samples];
    this.draw();
  }

  draw() {
    const canvas = this.find("canvas");
    if (!canvas.clientWidth) return;
    const began = performance.now();
    draw(canvas, { samples: this.samples, rate: this.rate, range: this.range(), timeline: this.timeline });
    const ended = performance.now();
    this.redraw = ended + Math.max(REDRAW, (ended - began) / SHARE);
  }

  /** One sentence about it. */
  get summary() {
    const { timeline } = this;
    if (!timeline) return `${this.title}: ${this.state} after ${seconds(this.made)} s.`;
    const words = timeline.words.length;
    const units = timeline.words.reduce((count, word) => count + word.units.length, 0);
    const end = timeline.stop_reason === "stop" ? "ended by the stop bit" : "cut at the longest time allowed";
    const forced = timeline.forced_advances;
    const cut = forced ? `; ${forced} ${forced > 1 ? "units were" : "unit was"} cut at the longest duration` : "";
    return `${seconds(timeline.seconds)} s, ${words} ${words > 1 ? "words" : "word"}, ${units} units, ${end}${cut}.`;
  }

  describe() {
    this.find(".facts").textContent = this.summary;
    this.find("canvas").setAttribute("aria-label", `Waveform, spectrogram and pointer. ${this.summary}`);
    if (!this.timeline) return;
    for (const name of LEGEND) {
      const item = Object.assign(document.createElement("span"), { className: name, textContent: name });
      this.find(".legend").append(item);
    }
    this.find("details").hidden = false;
    for (const { word, units } of this.timeline.words) {
      for (const { unit, start, end } of units) {
        const row = this.find("tbody").insertRow();
        for (const text of [word, unit, start.toFixed(3), end.toFixed(3)]) row.insertCell().textContent = text;
      }
    }
  }

  download() {
    const name = this.title.replace(/[^\p{L}\p{N}]+/gu, "-").slice(0, 60);
    const link = Object.assign(document.createElement("a"), {
      href: URL.createObjectURL(wav(this.samples, this.rate)),
      download: `${name}.wav`,
    });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }
}

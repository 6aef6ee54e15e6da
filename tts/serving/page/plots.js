// One picture for an utterance: its words, the waveform, the spectrogram, and the pointer, above one axis of time.
// It is drawn anew as a whole: a column of pixels at a time, so that its cost does not grow with the utterance.

const LEFT = 52; // px, for the labels of the axes
const RIGHT = 14;
const BANDS = { words: [0, 22], wave: [22, 96], spectrum: [102, 212], pointer: [220, 312], time: [312, 336] };
const RANGE_DB = 65; // from the loudest point of the spectrogram to its background
const WINDOW_SECONDS = 0.032;

const tables = new Map();

/** Cosine and sine of -2 pi k / n. */
function table(n) {
  if (!tables.has(n)) {
    const angles = Float64Array.from({ length: n / 2 }, (_, k) => (-2 * Math.PI * k) / n);
    tables.set(n, [angles.map(Math.cos), angles.map(Math.sin)]);
  }
  return tables.get(n);
}

/** Powers of the n / 2 + 1 frequencies of a real signal of n (a power of two) values; overwrites `real`. */
export function spectrum(real) {
  const n = real.length;
  const imaginary = new Float64Array(n);
  const [cosines, sines] = table(n);
  for (let i = 1, j = 0; i < n; i++) {
    let bit = n >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j |= bit;
    if (i < j) [real[i], real[j]] = [real[j], real[i]];
  }
  for (let size = 2; size <= n; size *= 2) {
    for (let k = 0; k < size / 2; k++) {
      const c = cosines[(k * n) / size];
      const s = sines[(k * n) / size];
      for (let a = k; a < n; a += size) {
        const b = a + size / 2;
        const re = real[b] * c - imaginary[b] * s;
        const im = real[b] * s + imaginary[b] * c;
        real[b] = real[a] - re;
        imaginary[b] = imaginary[a] - im;
        real[a] += re;
        imaginary[a] += im;
      }
    }
  }
  return Float64Array.from({ length: n / 2 + 1 }, (_, k) => real[k] ** 2 + imaginary[k] ** 2);
}

/** Where a moment is in the picture, in px from its left edge; `range`: the seconds that its width stands for. */
export const position = (canvas, seconds, range) =>
  LEFT + ((canvas.clientWidth - LEFT - RIGHT) * Math.min(seconds, range)) / range;

/** Draw it. `timeline` is null while the utterance is being made. */
export function draw(canvas, { samples, rate, range, timeline }) {
  const scale = window.devicePixelRatio || 1;
  canvas.width = Math.round(canvas.clientWidth * scale);
  canvas.height = Math.round(canvas.clientHeight * scale);
  const pen = canvas.getContext("2d");
  pen.scale(scale, scale);
  const style = getComputedStyle(canvas);
  const plot = {
    pen,
    color: (name) => style.getPropertyValue(`--${name}`).trim(),
    width: canvas.clientWidth - LEFT - RIGHT,
    x: (seconds) => position(canvas, seconds, range),
    range,
  };
  pen.font = `12px ${style.fontFamily}`;
  pen.textBaseline = "middle";
  drawSpectrum(plot, samples, rate, scale);
  drawWave(plot, samples, rate);
  drawAxes(plot, rate);
  if (timeline) drawTimeline(plot, timeline);
}

function drawWave({ pen, color, width, range }, samples, rate) {
  const [top, bottom] = BANDS.wave;
  const middle = (top + bottom) / 2;
  const height = (bottom - top) / 2;
  const a_column = (range * rate) / width; // samples
  pen.fillStyle = color("wave");
  for (let column = 0; column < width; column++) {
    const begin = Math.floor(column * a_column);
    const end = Math.min(samples.length, Math.max(begin + 1, Math.floor((column + 1) * a_column)));
    let [least, most] = [1, -1];
    for (let k = begin; k < end; k++) {
      least = Math.min(least, samples[k]);
      most = Math.max(most, samples[k]);
    }
    if (most >= least) {
      pen.fillRect(LEFT + column, middle - height * most, 1, Math.max(1, height * (most - least)));
    }
  }
}

function drawSpectrum({ pen, color, width, range }, samples, rate, scale) {
  const n = 2 ** Math.round(Math.log2(WINDOW_SECONDS * rate));
  const hann = Float64Array.from({ length: n }, (_, k) => 0.5 - 0.5 * Math.cos((2 * Math.PI * k) / n));
  const columns = Math.max(1, Math.floor(width * Math.min(scale, 2)));
  const filled = Math.min(columns, Math.ceil((columns * samples.length) / (range * rate)));
  const power = Array.from({ length: filled }, (_, column) => {
    const begin = Math.round(((column + 0.5) * range * rate) / columns) - n / 2;
    return spectrum(hann.map((weight, k) => weight * (samples[begin + k] ?? 0)));
  });
  const loudest = power.reduce((most, one) => one.reduce((a, b) => Math.max(a, b), most), 1e-6);
  const palette = paletteOf(color("spectrum"));
  const rows = n / 2 + 1;
  const image = new ImageData(columns, rows);
  const pixels = new Uint32Array(image.data.buffer).fill(palette[0]);
  power.forEach((one, column) => {
    for (let k = 0; k < rows; k++) {
      const level = 1 + (10 * Math.log10(one[k] / loudest + 1e-12)) / RANGE_DB;
      pixels[(rows - 1 - k) * columns + column] = palette[Math.max(0, Math.round(255 * level))];
    }
  });
  const [top, bottom] = BANDS.spectrum;
  const own = Object.assign(document.createElement("canvas"), { width: columns, height: rows });
  own.getContext("2d").putImageData(image, 0, 0);
  pen.drawImage(own, LEFT, top, width, bottom - top);
}

/** 256 colors, as pixels, between those of a list in CSS. */
function paletteOf(list) {
  const stops = list.split(",").map((color) => parseInt(color.trim().slice(1), 16));
  return Uint32Array.from({ length: 256 }, (_, k) => {
    const place = (k / 255) * (stops.length - 1);
    const first = Math.min(Math.floor(place), stops.length - 2);
    const mixed = [16, 8, 0].map((shift) => {
      const [a, b] = [stops[first], stops[first + 1]].map((color) => (color >> shift) & 255);
      return Math.round(a + (b - a) * (place - first));
    });
    return (255 << 24) | (mixed[2] << 16) | (mixed[1] << 8) | mixed[0]; // little-endian: alpha, blue, green, red
  });
}

function drawAxes({ pen, color, width, x, range }, rate) {
  pen.strokeStyle = color("line");
  pen.strokeRect(LEFT - 0.5, BANDS.spectrum[0] - 0.5, width + 1, BANDS.spectrum[1] - BANDS.spectrum[0] + 1);
  pen.strokeRect(LEFT - 0.5, BANDS.pointer[0] - 0.5, width + 1, BANDS.pointer[1] - BANDS.pointer[0] + 1);
  pen.fillStyle = color("muted");
  pen.textAlign = "right";
  const [top, bottom] = BANDS.spectrum;
  pen.fillText(`${rate / 2000} kHz`, LEFT - 5, top + 6);
  pen.fillText("0", LEFT - 5, bottom - 6);
  pen.fillText("wave", LEFT - 5, (BANDS.wave[0] + BANDS.wave[1]) / 2);
  pen.fillText("pointer", LEFT - 5, (BANDS.pointer[0] + BANDS.pointer[1]) / 2);
  pen.textAlign = "center";
  const steps = [0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300];
  const step = steps.find((one) => (width * one) / range >= 50) ?? 600;
  for (let k = 0; k * step <= range * 1.0001; k++) {
    const at = x(k * step);
    pen.fillRect(at - 0.5, BANDS.time[0], 1, 4);
    pen.fillText(`${Number((k * step).toFixed(1))}${k ? "" : " s"}`, at, BANDS.time[0] + 14);
  }
}

/** The color of a unit's kind. */
const kind = (unit) => ({ word: "nucleus", consonants: "coda" })[unit] ?? unit;

function drawTimeline({ pen, color, x }, { words, seconds, stop_reason: reason }) {
  const units = words.flatMap((word) => word.units);
  const [top, bottom] = BANDS.pointer;
  const step = (bottom - top) / Math.max(units.length, 1);
  units.forEach(({ unit, start, end }, k) => {
    const [from, to] = [x(start), x(end)];
    pen.fillStyle = color(kind(unit));
    const thickness = Math.max(2, step);
    pen.fillRect(from, top + k * step + (step - thickness) / 2, Math.max(1, to - from), thickness);
    pen.globalAlpha = 0.35;
    if (to - from > 3) pen.fillRect(to - 0.5, BANDS.wave[0], 1, BANDS.pointer[1] - BANDS.wave[0]);
    pen.globalAlpha = 1;
  });
  pen.fillStyle = color("text");
  pen.textAlign = "center";
  words.forEach(({ word, start, end }) => {
    if (pen.measureText(word).width < x(end) - x(start)) pen.fillText(word, (x(start) + x(end)) / 2, 10);
  });
  pen.fillStyle = color("playhead");
  const last = x(seconds);
  for (let y = BANDS.wave[0]; y < bottom; y += 7) pen.fillRect(last - 1, y, 2, 4);
  pen.textAlign = "right";
  pen.fillText(reason === "stop" ? "stop" : "cap", last - 4, top + 9);
}

// Runs in the audio thread: sends the microphone's samples to the page, 4,096 at a time.

class RecorderProcessor extends AudioWorkletProcessor {
  block = new Float32Array(4096);
  count = 0;

  process([[channel]]) {
    for (const value of channel ?? []) {
      this.block[this.count++] = value;
      if (this.count === this.block.length) {
        this.port.postMessage(this.block.slice());
        this.count = 0;
      }
    }
    return true;
  }
}

registerProcessor("recorder", RecorderProcessor);

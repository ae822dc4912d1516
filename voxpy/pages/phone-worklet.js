// Runs in the audio thread: the microphone in 20 ms frames out, what the host sends played in order.
"use strict";

const METER_BLOCKS = 8; // of 128 samples: 43 ms at 24 kHz
const PREBUFFER_S = 0.06;
const KEPT_S = 10;
const FADE_S = 0.004;

class Capture extends AudioWorkletProcessor {
  constructor() {
    super();
    this.frame = new Int16Array(Math.round(sampleRate / 50));
    this.filled = 0;
    this.blocks = 0;
    this.power = 0;
  }

  process(inputs) {
    const input = inputs[0] && inputs[0][0];
    const count = input ? input.length : 128; // without a microphone silence goes on
    for (let n = 0; n < count; n++) {
      const value = input ? input[n] : 0;
      this.power += value * value;
      this.frame[this.filled++] = Math.max(-32768, Math.min(32767, Math.round(value * 32767)));
      if (this.filled === this.frame.length) {
        const buffer = this.frame.buffer;
        this.port.postMessage({ frame: buffer }, [buffer]);
        this.frame = new Int16Array(Math.round(sampleRate / 50));
        this.filled = 0;
      }
    }
    if (++this.blocks === METER_BLOCKS) {
      this.port.postMessage({ level: Math.sqrt(this.power / (METER_BLOCKS * count)) });
      this.blocks = 0;
      this.power = 0;
    }
    return true;
  }
}

/** Plays after a short wait that evens out the network. A clear is silence from the next block on. */
class Playout extends AudioWorkletProcessor {
  constructor() {
    super();
    this.ring = new Float32Array(KEPT_S * sampleRate);
    this.written = 0;
    this.played = 0;
    this.marks = [];
    this.waiting = true;
    this.patience = 0;
    this.last = 0;
    this.blocks = 0;
    this.power = 0;
    this.starved = 0;
    this.port.onmessage = ({ data }) => this.take(data);
  }

  take(data) {
    if (data.audio) {
      const samples = new Int16Array(data.audio);
      if (this.written - this.played + samples.length > this.ring.length) return; // nobody sends so much
      if (this.waiting && this.written === this.played) this.patience = PREBUFFER_S * sampleRate;
      for (const sample of samples) this.ring[this.written++ % this.ring.length] = sample / 32768;
    } else if (data.mark !== undefined) {
      this.marks.push([this.written, data.mark]);
      this.tellMarks();
    } else if (data.clear !== undefined) {
      const dropped = this.written - this.played;
      this.played = this.written;
      this.marks = [];
      this.waiting = true;
      this.port.postMessage({ cleared: data.clear, dropped_ms: (1000 * dropped) / sampleRate });
    }
  }

  tellMarks() {
    while (this.marks.length && this.marks[0][0] <= this.played) {
      this.port.postMessage({ mark: this.marks.shift()[1] });
    }
  }

  process(inputs, outputs) {
    const out = outputs[0][0];
    const waits = this.written - this.played;
    if (this.waiting && waits > 0) {
      this.patience -= out.length;
      if (waits >= PREBUFFER_S * sampleRate || this.patience <= 0) this.waiting = false;
    }
    const step = 1 / (FADE_S * sampleRate);
    for (let n = 0; n < out.length; n++) {
      if (!this.waiting && this.played < this.written) {
        this.last = out[n] = this.ring[this.played++ % this.ring.length];
      } else {
        // Not a step to zero, which would be heard as a click.
        this.last -= Math.sign(this.last) * Math.min(Math.abs(this.last), step);
        out[n] = this.last;
      }
      this.power += out[n] * out[n];
    }
    if (!this.waiting && this.played === this.written) {
      this.waiting = true;
      this.starved++;
    }
    if (this.marks.length) this.tellMarks();
    if (++this.blocks === METER_BLOCKS) {
      this.port.postMessage({
        level: Math.sqrt(this.power / (METER_BLOCKS * out.length)),
        waiting_ms: (1000 * (this.written - this.played)) / sampleRate,
        starved: this.starved,
      });
      this.blocks = 0;
      this.power = 0;
    }
    return true;
  }
}

registerProcessor("capture", Capture);
registerProcessor("playout", Playout);

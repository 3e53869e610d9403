/** Records all its inputs side by side, sample for sample, for as long as it is connected. */
class Tape extends AudioWorkletProcessor {
  process(inputs) {
    const channels = inputs.map((input) => input[0]?.slice() ?? new Float32Array(128));
    this.port.postMessage({ frame: currentFrame, channels }, channels.map((channel) => channel.buffer));
    return true;
  }
}

registerProcessor("tape", Tape);

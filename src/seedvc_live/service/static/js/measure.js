/**
 * Mouth to ear, measured: chirps are sent in place of the microphone, and looked for in what comes back.
 *
 * Both are recorded by one audio clock, sample by sample, so nothing has to be synchronised. Not included: what
 * sound cards and their drivers add at both ends, which no page can see.
 */

import { SWEEP, chirpDelays, findPattern, makeChirp } from "./pure/chirp.js";
import { quantile } from "./pure/delay.js";

const CHIRPS = 5;
const LEAD = 0.6; // seconds of silence first: the encoder has to get used to another track
const RATE = 16000; // about what the search runs at; the chirp ends far below its half

/**
 * @param {import("./graph.js").Graph} graph @param {import("./call.js").Call} call
 * @param {MediaStreamTrack} microphone what is sent again afterwards
 * @param {number} longest greatest delay looked for, seconds; chirps are further apart than that
 * @returns {Promise<{medianMs: number|null, leastMs: number|null, mostMs: number|null, found: number, sent: number}>}
 */
export async function measure(graph, call, microphone, longest) {
  const { context } = graph;
  await context.audioWorklet.addModule(new URL("tape.worklet.js", import.meta.url));
  const destination = context.createMediaStreamDestination();
  // Without a source at work, nothing is sent between the chirps, and jitter buffers lose their bearings.
  const silence = new ConstantSourceNode(context, { offset: 0 });
  silence.connect(destination);
  silence.start();
  const tape = new AudioWorkletNode(context, "tape", { numberOfInputs: 2, numberOfOutputs: 0, channelCount: 1, channelCountMode: "explicit" });
  const recorded = [];
  tape.port.onmessage = ({ data }) => recorded.push(data.channels);
  const output = graph.output;
  output.connect(tape, 0, 1);

  const apart = longest + 2 * SWEEP.seconds;
  const chirp = makeChirp(context.sampleRate);
  const buffer = new AudioBuffer({ length: chirp.length, sampleRate: context.sampleRate });
  buffer.copyToChannel(chirp, 0);
  try {
    await call.replaceTrack(destination.stream.getAudioTracks()[0]);
    const begin = context.currentTime + LEAD;
    for (let i = 0; i < CHIRPS; i++) {
      const source = new AudioBufferSourceNode(context, { buffer });
      source.connect(destination);
      source.connect(tape, 0, 0);
      source.start(begin + i * apart);
    }
    const seconds = LEAD + CHIRPS * apart;
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  } finally {
    output.disconnect(tape);
    silence.stop();
    tape.port.onmessage = null;
    await call.replaceTrack(microphone).catch(() => {}); // the connection may be gone by now
  }
  return evaluate(recorded, context.sampleRate, longest);
}

function evaluate(recorded, rate, longest) {
  const factor = Math.max(1, Math.round(rate / RATE));
  const [sent, heard] = [0, 1].map((i) => decimate(join(recorded.map((channels) => channels[i])), factor));
  const slow = rate / factor;
  const pattern = decimate(makeChirp(rate), factor);
  const begins = [];
  for (let from = 0; begins.length < CHIRPS; ) {
    const { lag, match } = findPattern(sent, pattern, from, from + Math.round((longest + LEAD + 0.5) * slow));
    if (match < 0.9) break;
    begins.push(lag);
    from = lag + pattern.length;
  }
  const { found } = chirpDelays(heard, begins, pattern, slow, longest);
  return {
    medianMs: quantile(found, 0.5),
    leastMs: quantile(found, 0),
    mostMs: quantile(found, 1),
    found: found.length,
    sent: CHIRPS,
  };
}

function join(parts) {
  const whole = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Means of `factor` samples: enough of a filter for a signal far below the new half rate. */
function decimate(samples, factor) {
  return Float32Array.from({ length: Math.floor(samples.length / factor) }, (_, i) => {
    let sum = 0;
    for (let j = 0; j < factor; j++) sum += samples[i * factor + j];
    return sum / factor;
  });
}

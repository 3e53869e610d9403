// Runs in the page: the web client's own connection, both directions recorded by one audio clock.
async ({ token, seconds, wanted }) => {
  let step = "loading the page's modules";
  // The driver waits for ever; whatever gets stuck has to say so itself.
  const late = new Promise((_, reject) => setTimeout(() => reject(new Error(`stuck while ${step}`)), (seconds + 60) * 1000));
  return Promise.race([record(), late]);

  async function record() {
    const base = document.baseURI;
    const load = (name) => import(new URL(`static/js/${name}`, base));
    const [{ Api }, { Call }, delay] = await Promise.all([load("api.js"), load("call.js"), load("pure/delay.js")]);
    const begin = performance.now();
    const api = new Api(base);
    if (token) api.useToken(token);
    const processing = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
    step = "opening the microphone";
    const microphone = await navigator.mediaDevices.getUserMedia({ audio: { ...processing, channelCount: 1, latency: { ideal: 0 } } });

    const context = new AudioContext({ sampleRate: 48000, latencyHint: "interactive" });
    await context.audioWorklet.addModule(new URL("static/js/tape.worklet.js", base));
    const tape = new AudioWorkletNode(context, "tape", { numberOfInputs: 2, numberOfOutputs: 0, channelCount: 1, channelCountMode: "explicit" });
    const blocks = [];
    let firstAudio = null;
    tape.port.onmessage = ({ data }) => {
      blocks.push(data.channels);
      if (firstAudio === null && data.channels[1].some((x) => Math.abs(x) > 0.003)) firstAudio = performance.now() - begin;
    };
    context.createMediaStreamSource(microphone).connect(tape, 0, 0);

    step = "connecting";
    const call = new Call(api, await api.iceServers());
    const output = new Audio();
    call.addEventListener("stream", ({ detail }) => {
      output.srcObject = detail;
      output.play();
      context.createMediaStreamSource(detail).connect(tape, 0, 1);
    });
    let lost = null;
    let server = null;
    const network = [];
    call.addEventListener("lost", ({ detail }) => (lost = detail));
    call.addEventListener("network", ({ detail }) => network.push(detail));
    call.addEventListener("stats", ({ detail }) => (server = detail));
    await call.open(microphone, wanted);
    step = "recording";
    const inbound = async () => delay.pickStats((await call.getStats()).values()).inbound;

    // A jitter buffer starts deep and settles; what is measured is the settled state.
    await new Promise((resolve) => setTimeout(resolve, 3000));
    const from = await inbound();
    const skip = blocks.length;
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    const to = await inbound();
    step = "ending the session";
    const recorded = blocks.slice(skip);
    const session = lost ? null : await api.session(call.id);
    call.close();
    microphone.getTracks().forEach((track) => track.stop());
    await context.close();
    if (lost) throw new Error(lost);

    step = "handing over the recording";
    const whole = [0, 1].map((i) => encode(recorded.map((channels) => channels[i])));
    const since = delay.receiving(from, to);
    const median = (values) => delay.quantile(values.filter(Number.isFinite), 0.5);
    return {
      rate: context.sampleRate,
      sent: whole[0],
      heard: whole[1],
      firstAudio,
      delay: server?.delay ?? session.delay,
      serverStats: server,
      client: {
        jitter_buffer_ms: since.jitterBufferMs,
        rtt_ms: median(network.map(({ rttMs }) => rttMs)),
        concealed: since.concealed,
        packets_received: since.received,
        packets_lost: since.lost,
      },
    };
  }

  /** 16-bit samples as base64. */
  function encode(parts) {
    const samples = new Int16Array(parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of parts) for (const x of part) samples[at++] = Math.max(-32768, Math.min(32767, Math.round(x * 32767)));
    const bytes = new Uint8Array(samples.buffer);
    let text = "";
    for (let i = 0; i < bytes.length; i += 0x8000) text += String.fromCharCode(...bytes.subarray(i, i + 0x8000));
    return btoa(text);
  }
}

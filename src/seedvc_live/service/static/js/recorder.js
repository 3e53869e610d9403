/** Recording a stream to a file. */

const TYPES = ["audio/webm;codecs=opus", "audio/mp4", "audio/ogg;codecs=opus"];
const EXTENSIONS = { "audio/webm": "webm", "audio/mp4": "m4a", "audio/ogg": "ogg" };

export class Recorder {
  #parts = [];
  #begin = 0;

  /** @param {MediaStream} stream */
  constructor(stream) {
    const mimeType = TYPES.find((type) => MediaRecorder.isTypeSupported(type));
    this.recorder = new MediaRecorder(stream, { mimeType, audioBitsPerSecond: 128000 });
    this.recorder.ondataavailable = ({ data }) => data.size && this.#parts.push(data);
    this.recorder.start(1000);
    this.#begin = performance.now();
  }

  /** @returns {Promise<{blob: Blob, seconds: number, extension: string}>} */
  stop() {
    const seconds = (performance.now() - this.#begin) / 1000;
    return new Promise((resolve) => {
      const done = () => {
        const type = this.recorder.mimeType.split(";")[0];
        resolve({ blob: new Blob(this.#parts, { type }), seconds, extension: EXTENSIONS[type] ?? "webm" });
      };
      this.recorder.onstop = done;
      if (this.recorder.state === "inactive") done();
      else this.recorder.stop();
    });
  }
}

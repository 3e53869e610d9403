/** Microphones and speakers. */

export const PROCESSING = ["echoCancellation", "noiseSuppression", "autoGainControl"];

/** Whether this page may ask for a microphone at all: only pages from HTTPS or localhost may. */
export const secure = () => Boolean(navigator.mediaDevices?.getUserMedia);

export const canChooseSpeaker = () => "setSinkId" in HTMLMediaElement.prototype;

/**
 * @param {import("./preferences.js").Preferences} chosen
 * @returns {Promise<MediaStream>} one channel of the chosen microphone
 * @throws {DOMException} refused, absent or in use
 */
export async function openMicrophone(chosen) {
  const audio = { channelCount: 1, latency: { ideal: 0 } };
  for (const name of PROCESSING) audio[name] = chosen[name];
  if (chosen.microphone) audio.deviceId = { exact: chosen.microphone };
  try {
    return await navigator.mediaDevices.getUserMedia({ audio });
  } catch (error) {
    // The one chosen last week may be at home today.
    if (error.name !== "OverconstrainedError" || !audio.deviceId) throw error;
    delete audio.deviceId;
    return navigator.mediaDevices.getUserMedia({ audio });
  }
}

/** A microphone as it is, for a reference clip: processing would become part of the voice. */
export function openRawMicrophone(chosen) {
  const raw = Object.fromEntries(PROCESSING.map((name) => [name, false]));
  return openMicrophone({ ...chosen, ...raw });
}

/** @returns {Promise<{microphones: MediaDeviceInfo[], speakers: MediaDeviceInfo[]}>} empty labels before permission */
export async function listDevices() {
  const all = (await navigator.mediaDevices?.enumerateDevices?.()) ?? [];
  const named = (kind) => all.filter((device) => device.kind === kind && device.label && device.deviceId !== "default");
  return { microphones: named("audioinput"), speakers: named("audiooutput") };
}

export function stopStream(stream) {
  stream?.getTracks().forEach((track) => track.stop());
}

/** Asks for the server's token, until it is right or the person gives up. */

import { byId } from "./dom.js";

/**
 * @param {import("./api.js").Api} api
 * @returns {Promise<boolean>} whether the server takes the token now
 */
export async function askForToken(api) {
  const dialog = byId("token-dialog");
  byId("token-wrong").hidden = true;
  for (;;) {
    byId("token").value = "";
    dialog.returnValue = "cancel";
    dialog.showModal();
    await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
    if (dialog.returnValue !== "ok") return false;
    api.useToken(byId("token").value.trim());
    try {
      await api.voices();
      return true;
    } catch (error) {
      if (error.status !== 401 && error.status !== 403) throw error;
      byId("token-wrong").hidden = false;
    }
  }
}

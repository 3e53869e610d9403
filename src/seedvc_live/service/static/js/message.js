/** A message in its place on the page, read out by screen readers, with what can be done about it. */

import { make } from "./dom.js";
import { secure } from "./devices.js";
import { explain } from "./pure/problems.js";

const LABELS = { retry: "Try again", token: "Enter the token", voice: "Go to the voices" };

/**
 * @param {HTMLElement} place with role="alert"
 * @param {unknown} error
 * @param {Record<string, () => void>} [actions] by name of the action; one that is not given gets no button
 */
export function show(place, error, actions = {}) {
  const { title, detail, action, command } = explain(error, { secure: secure() });
  const parts = [make("strong", { textContent: title })];
  if (detail) parts.push(make("span", { textContent: detail }));
  if (command) parts.push(make("code", { textContent: command }));
  if (action && actions[action]) {
    const button = make("button", { type: "button", className: "secondary", textContent: LABELS[action] });
    button.addEventListener("click", () => {
      clear(place);
      actions[action]();
    });
    parts.push(button);
  }
  place.replaceChildren(...parts);
  place.hidden = false;
}

export function clear(place) {
  place.hidden = true;
  place.replaceChildren();
}

/** Small helpers for the page. */

/** @param {string} id @returns {HTMLElement} */
export const byId = (id) => document.getElementById(id);

/**
 * @param {string} tag @param {object} [properties] @param {...(Node|string)} children
 * @returns {HTMLElement} text stays text: nothing is parsed as HTML
 */
export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/** Draw at the screen's own resolution. @returns {{context: CanvasRenderingContext2D, width: number, height: number}} */
export function sharp(canvas) {
  const ratio = devicePixelRatio || 1;
  const { clientWidth: width, clientHeight: height } = canvas;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height };
}

/** @param {string} name of a custom property of the theme @returns {string} */
export const theme = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

// Signs on buttons, as lines: fonts do not have them everywhere.

import { svg } from "./dom";

const PATHS = {
  point: "M12 3v5M12 16v5M3 12h5M16 12h5M12 11.5v1",
  brush: "M4 20c3 0 5-1 5-4a3 3 0 0 1 3-3l1 1a3 3 0 0 1-3 3M12 13 19 4l2 2-8 8",
  eraser: "M8 20h12M5 16l9-11 6 5-8 10H8z M10 10l6 5",
  polygon: "M12 3l9 7-4 11H7L3 10z",
  edges: "M4 19c2-8 5 0 7-7s5 1 9-8M4 19h.01M20 4h.01",
  fill: "M5 12l7-8 7 7-8 8zM5 12h14M20 15c2 3 1 5 0 5s-2-2 0-5z",
  hand: "M12 3v18M3 12h18M12 3l-3 3M12 3l3 3M12 21l-3-3M12 21l3-3M3 12l3-3M3 12l3 3M21 12l-3-3M21 12l-3 3",
  undo: "M8 5 3 10l5 5M3 10h11a6 6 0 0 1 0 11h-3",
  redo: "M16 5l5 5-5 5M21 10H10a6 6 0 0 0 0 11h3",
  first: "M6 5v14M19 5 9 12l10 7z",
  last: "M18 5v14M5 5l10 7-10 7z",
  back: "M17 5 7 12l10 7z",
  on: "M7 5l10 7-10 7z",
  play: "M7 4l13 8-13 8z",
  pause: "M8 5v14M16 5v14",
  locked: "M6 11h12v9H6zM8 11V8a4 4 0 0 1 8 0v3",
  open: "M6 11h12v9H6zM8 11V8a4 4 0 0 1 7.5-2",
  shown: "M2 12c5-8 15-8 20 0-5 8-15 8-20 0zM12 9a3 3 0 1 1 0 6 3 3 0 0 1 0-6",
  hidden: "M3 12c5-8 13-8 18 0M4 20 20 4",
  gone: "M6 6l12 12M18 6 6 18",
  theme: "M20 14A8.5 8.5 0 1 1 10 4a7 7 0 0 0 10 10z",
} as const;

export type Sign = keyof typeof PATHS;
const FILLED: Sign[] = ["play", "theme", "first", "last"];

export function icon(sign: Sign): SVGElement {
  return svg("svg", { viewBox: "0 0 24 24", class: FILLED.includes(sign) ? "icon filled" : "icon", "aria-hidden": "true" }, svg("path", { d: PATHS[sign] }));
}

// The sheet of keys; keys.ts does what it says.

import { dialog } from "./dialogs";
import { h } from "./dom";

export const SHEET: [string, [string, string][]][] = [
  [
    "Tools",
    [
      ["P", "point: click adds, Alt-click or right button takes away, drag makes a box"],
      ["B, E", "brush (Alt or right button erases), eraser"],
      ["L", "polygon: click corners; double click or Enter closes"],
      ["K", "line that follows edges"],
      ["F", "fill an area of one colour"],
      ["H, hold Space", "hand: move the picture"],
      ["[ ], wheel", "brush smaller, larger"],
      ["Esc, ⌫", "give up a line, take its last corner back"],
    ],
  ],
  [
    "Objects and masks",
    [
      ["Ctrl Z", "undo; Ctrl Shift Z: redo"],
      ["+, −", "grow, shrink the mask by a pixel"],
      ["Delete", "the object is not on this frame"],
      ["Shift Delete", "it is gone from this frame on"],
      ["Ctrl Delete", "delete it everywhere"],
      ["X", "take the given mask back"],
      ["A, 1 … 9, F2", "new object, choose one, name it"],
      ["U, I", "lock, hide the object"],
      ["C", "hold: before the last change"],
    ],
  ],
  [
    "Along the clip",
    [
      ["R", "run to the end, from the first frame that needs it"],
      ["Shift R", "run to the frame shown"],
      ["Ctrl Enter", "run on from the frame shown"],
      ["Shift B", "run backward from the frame shown"],
      ["D", "run both ways over the whole clip"],
      ["S, Esc", "stop"],
      ["N, G", "next unsure, next given frame (Shift: previous); N: the weakest where none is unsure"],
      ["Ctrl O, I, E", "open, import, export"],
    ],
  ],
  [
    "Watch",
    [
      ["← →, comma dot", "one frame back, on (Shift: ten)"],
      ["Home, End", "first, last frame"],
      ["Enter", "play, pause"],
      ["V", "next view"],
      ["O", "onion skin: dashed outline of the frame before"],
      ["Z, Shift Z", "zoom in, out; also wheel (with a brush: Ctrl)"],
      ["0", "fit the picture into the window"],
      ["T, ?", "light or dark, this sheet"],
    ],
  ],
];

export function keysDialog(): void {
  const parts = SHEET.map(([title, keys]) => h("section", {}, h("h3", {}, title), h("dl", {}, ...keys.flatMap(([key, what]) => [h("dt", {}, key), h("dd", {}, what)]))));
  dialog("Keys", h("div", { class: "keys" }, ...parts)).classList.add("wide");
}

// Windows that come up: open, import, export, and the sheet of keys.

import { launch } from "./api";
import { button, h, toast } from "./dom";
import type { Editor } from "./editor";
import { icon } from "./icons";
import type { Entry } from "./types";

function dialog(title: string, ...content: Node[]): HTMLDialogElement {
  const close = button(icon("gone"), "Close (Esc)", () => element.close(), { class: "plain" });
  const element = h("dialog", {}, h("header", {}, h("h2", {}, title), close), ...content);
  element.addEventListener("close", () => element.remove());
  element.addEventListener("click", (event) => event.target === element && element.close());
  document.body.append(element);
  element.showModal();
  return element;
}

const KINDS: Record<Entry["kind"], string> = {
  demo: "built-in clip",
  video: "video",
  frames: "folder of frames",
  project: "project",
  masks: "masks",
};

async function choose(title: string, hint: string, kinds: Entry["kind"][], chosen: (entry: Entry) => void): Promise<void> {
  const entries = (await launch()).entries.filter((entry) => kinds.includes(entry.kind));
  const list = h("ul", { class: "entries" });
  const filter = h("input", { type: "search", placeholder: "filter by name", "aria-label": "filter by name" });
  const fill = () =>
    list.replaceChildren(
      ...entries
        .filter((entry) => entry.label.toLowerCase().includes(filter.value.toLowerCase()))
        .map((entry) => {
          const choice = button(entry.label, entry.label, () => {
            element.close();
            chosen(entry);
          });
          return h("li", {}, choice, h("span", { class: "quiet" }, KINDS[entry.kind]));
        }),
    );
  filter.addEventListener("input", fill);
  fill();
  const element = dialog(title, h("p", { class: "quiet" }, hint), filter, list);
  filter.focus();
}

export function openDialog(opened: (key: string) => void): Promise<void> {
  return choose(
    "Open",
    "Videos, folders of frames and projects under the folder that the service was started in (--root).",
    ["demo", "project", "video", "frames"],
    (entry) => opened(entry.key),
  );
}

export function importDialog(editor: Editor): Promise<void> {
  return choose(
    "Import masks",
    "A mask of the frame that is shown, or a folder of masks named after the frames. All that “rotoscope check” understands.",
    ["masks"],
    (entry) =>
      void editor.change(async (api) => {
        const frames = await api.takeIn(entry.key, editor.index);
        toast(`Masks of ${frames.length} frame${frames.length === 1 ? "" : "s"} taken in.`);
      }),
  );
}

const FORMATS: Record<string, string> = {
  palette: "a PNG a frame, the object’s id as colour of the DAVIS palette",
  objects: "a black-and-white PNG a frame and object",
  soft: "a 16-bit PNG a frame and object, soft edges kept",
  npz: "NumPy: float masks and ids",
  coco: "one JSON of run lengths for the clip",
  cutout: "the frame with the objects cut out, PNG with alpha",
  overlay: "an MP4 with the masks laid over",
};

export function exportDialog(editor: Editor, formats: string[]): void {
  const boxes = formats.map((name) => h("input", { type: "checkbox", value: name, checked: name === "palette" || name === "overlay" }));
  const line = h("code", { class: "command" });
  const bar = h("progress", { max: 1, value: 0, hidden: true });
  const result = h("p", { class: "result", role: "status" });
  const chosen = () => boxes.filter((box) => box.checked).map((box) => box.value);
  const go = button("Export", "Write the files", () => void start(), { class: "primary" });
  const halt = button("Stop", "Stop writing", () => void editor.stop(), { hidden: true });
  const show = () => {
    go.disabled = !chosen().length;
    void editor.attempt(async () => (line.textContent = await editor.api.command(chosen())));
  };
  const watch = () => {
    const now = editor.progress;
    if (now?.kind !== "export" || !element.isConnected) return;
    bar.max = now.of || 1;
    bar.value = now.done;
  };
  const start = async () => {
    result.textContent = "";
    bar.hidden = halt.hidden = false;
    go.disabled = true;
    if ((await editor.attempt(() => editor.api.export(chosen()))) === undefined) rest();
  };
  const rest = () => {
    bar.hidden = halt.hidden = true;
    go.disabled = false;
  };
  editor.runs.exported = (folder, stopped) => {
    rest();
    result.replaceChildren(stopped ? "Stopped. What was written is in " : "Written to ", h("code", {}, folder));
  };
  editor.on("task", watch);
  boxes.forEach((box) => box.addEventListener("change", show));
  const copy = button("Copy", "Copy the command line", () => void navigator.clipboard.writeText(line.textContent ?? "").then(() => toast("Copied.")));
  const element = dialog(
    "Export",
    h("div", { class: "formats" }, ...formats.map((name, n) => h("label", {}, boxes[n]!, h("b", {}, name), h("span", { class: "quiet" }, FORMATS[name] ?? "")))),
    h("p", { class: "quiet" }, "Without the page, this runs forward from the masks you gave:"),
    h("div", { class: "row" }, line, copy),
    bar,
    result,
    h("footer", {}, halt, go),
  );
  element.classList.add("export");
  show();
}

export const SHEET: [string, [string, string][]][] = [
  ["Tools", [["P", "point: click adds, Alt-click or right button takes away, drag makes a box"], ["B", "brush (Alt or right button erases)"], ["E", "eraser"], ["L", "polygon: click corners, double click or Enter closes"], ["K", "line that follows edges"], ["F", "fill an area of one colour"], ["H, hold Space", "hand: move the picture"], ["[  ]  wheel", "brush smaller, larger"], ["Esc, ⌫", "give up a line, take its last corner back"]]],
  ["Masks", [["Ctrl Z, Ctrl Shift Z", "undo, redo"], ["+  −", "grow, shrink the mask by a pixel"], ["Delete", "the object is not on this frame"], ["X", "take the given mask back"], ["A", "new object"], ["1 … 9", "choose object"], ["C", "hold: before the last change"]]],
  ["Along the clip", [["R", "run to the end, from the first frame that needs it"], ["Shift R", "run to the frame shown"], ["Ctrl Enter", "run on from the frame shown"], ["Shift B", "run backward from the frame shown"], ["S, Esc", "stop"], ["N, Shift N", "next, previous unsure frame"], ["G, Shift G", "next, previous given frame"]]],
  ["Watch", [["← →, , .", "one frame back, on (Shift: ten)"], ["Home, End", "first, last frame"], ["Enter", "play, pause"], ["V", "next view"], ["O", "onion skin: outline of the frame before"], ["wheel, Ctrl wheel", "zoom (with a brush: Ctrl)"], ["0", "fit"], ["T", "light, dark"], ["?", "this sheet"]]],
];

export function keysDialog(): void {
  const parts = SHEET.map(([title, keys]) =>
    h("section", {}, h("h3", {}, title), h("dl", {}, ...keys.flatMap(([key, what]) => [h("dt", {}, key), h("dd", {}, what)]))),
  );
  dialog("Keys", h("div", { class: "keys" }, ...parts));
}

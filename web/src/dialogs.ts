// Windows that come up, and those to choose something in: open, import.

import { launch } from "./api";
import { button, h, hush, toast } from "./dom";
import type { Editor } from "./editor";
import { icon } from "./icons";
import type { Entry } from "./types";

export function dialog(title: string, ...content: Node[]): HTMLDialogElement {
  const close = button(icon("gone"), "Close (Esc)", () => element.close(), { class: "plain" });
  const element = h("dialog", { tabindex: -1, autofocus: true }, h("header", {}, h("h2", {}, title), close), ...content);
  element.addEventListener("close", () => element.remove());
  element.addEventListener("click", (event) => event.target === element && element.close());
  document.body.append(element);
  hush();
  element.showModal();
  element.focus(); // rather than its first button
  return element;
}

const KINDS: Record<Entry["kind"], string> = {
  demo: "built-in clip",
  video: "video",
  frames: "folder of frames",
  project: "project",
  masks: "masks",
  set: "clips with masks",
  run: "finished run",
};

async function choose(title: string, hint: string, kinds: Entry["kind"][], chosen: (entry: Entry) => void, ...more: Node[]): Promise<void> {
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
  if (!entries.length) list.replaceChildren(h("li", { class: "quiet" }, "There is nothing of that kind in the folder."));
  const element = dialog(title, h("p", { class: "quiet" }, hint), filter, list, ...more);
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

/** Take masks in; those of a finished run come as it goes, and the bar below shows how far it is. */
export function importDialog(editor: Editor): Promise<void> {
  const resize = h("input", { type: "checkbox", id: "resize" });
  const take = async (entry: Entry) => {
    const taken = await editor.api.takeIn(entry.key, editor.index, resize.checked);
    if (!taken.frames) return;
    const whose = (taken.objects ?? []).join(", ");
    toast(`Masks of ${taken.frames.length} frame${taken.frames.length === 1 ? "" : "s"} taken in, as ${whose}.`);
    for (const note of taken.notes?.slice(0, 3) ?? []) toast(note);
    if (!taken.frames.includes(editor.index)) await editor.show(taken.frames[0]!);
  };
  return choose(
    "Import masks",
    "A mask of the frame that is shown; a folder of masks named after frames, or with a folder for each object; a data set laid out as YouTube-VOS is; or a finished run of rotoscope segment. Every form of mask that rotoscope check knows will do.",
    ["run", "set", "masks"],
    (entry) => void editor.change(() => take(entry)),
    h("label", { class: "row" }, resize, "bring masks of another size to the clip’s"),
  );
}

// The window that writes masks to files.

import { dialog } from "./dialogs";
import { button, h, toast } from "./dom";
import type { Editor } from "./editor";

const FORMATS: Record<string, string> = {
  palette: "a PNG a frame, the object’s id as colour of the DAVIS palette",
  objects: "a black-and-white PNG a frame and object",
  soft: "a 16-bit PNG a frame and object, soft edges kept",
  npz: "NumPy: float masks and ids",
  coco: "one JSON of run lengths for the clip",
  cutout: "the frame with the objects cut out, PNG with alpha",
  overlay: "an MP4 with the masks laid over, in the objects’ colours",
  png: "the objects as PNG with alpha a frame, for other programs",
  exr: "mattes as OpenEXR, a frame a file, a layer for each object by its name",
  prores: "ProRes 4444 with alpha (MOV)",
  webm: "VP9 with alpha (WebM)",
  ffv1: "FFV1 with alpha, lossless (MKV)",
  matte: "the matte alone, ProRes 422 HQ (MOV)",
  greenscreen: "an MP4 with the objects on green",
  blur: "an MP4 with all but the objects blurred",
};

export function exportDialog(editor: Editor, formats: string[], delivered: string[]): void {
  const boxes = formats.map((name) => h("input", { type: "checkbox", value: name, checked: name === "palette" || name === "overlay" }));
  const line = h("code", { class: "command" });
  const bar = h("progress", { max: 1, value: 0, hidden: true });
  const result = h("p", { class: "result", role: "status" });
  const chosen = () => boxes.filter((box) => box.checked).map((box) => box.value);
  const objects = h("select", {}, h("option", { value: "all" }, "all together"), h("option", { value: "each" }, "a file each"));
  const alpha = h("select", {}, h("option", { value: "straight" }, "straight"), h("option", { value: "premultiplied" }, "premultiplied"));
  const refine = h("input", { type: "checkbox" });
  const delivery = h("div", { class: "row delivery" }, h("label", { class: "row" }, "Objects", objects), h("label", { class: "row" }, "Alpha", alpha), h("label", { class: "row" }, refine, "bring edges to the picture’s"));
  const shown = () => ({ objects: objects.value, alpha: alpha.value, refine: refine.checked });
  const go = button("Export", "Write the files", () => void start(), { class: "primary" });
  const halt = button("Stop", "Stop writing", () => void editor.stop(), { hidden: true });
  const show = () => {
    go.disabled = !chosen().length;
    delivery.hidden = !chosen().some((name) => delivered.includes(name));
    void editor.attempt(async () => (line.textContent = await editor.api.command(chosen(), shown())));
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
    if ((await editor.attempt(() => editor.api.export(chosen(), shown()))) === undefined) rest();
  };
  const rest = () => {
    bar.hidden = halt.hidden = true;
    go.disabled = false;
  };
  editor.runs.exported = (folder, stopped) => {
    rest();
    if (folder) result.replaceChildren(stopped ? "Stopped. What was written is in " : "Written to ", h("code", {}, folder));
  };
  editor.on("task", watch);
  for (const one of [...boxes, objects, alpha, refine]) one.addEventListener("change", show);
  const ends = editor.project.objects.some((one) => one.ends !== null); // which no option of the command line says
  const copy = button("Copy", "Copy the command line", () => void navigator.clipboard.writeText(line.textContent ?? "").then(() => toast("Copied.")));
  const element = dialog(
    "Export",
    h("div", { class: "formats" }, ...formats.map((name, n) => h("label", {}, boxes[n]!, h("b", {}, name), h("span", { class: "quiet" }, FORMATS[name] ?? "")))),
    delivery,
    h("p", { class: "quiet" }, `Without the page, this runs forward from the masks you gave${ends ? ", and follows objects past where they end" : ""}:`),
    h("div", { class: "row" }, line, copy),
    bar,
    result,
    h("footer", {}, halt, go),
  );
  element.classList.add("export");
  show();
}

import { launch, listen, open } from "./api";
import { button, h, toast } from "./dom";
import { importDialog, openDialog } from "./dialogs";
import { exportDialog } from "./export";
import { icon, type Sign } from "./icons";
import { Editor, type Tool, type View } from "./editor";
import { keyboard } from "./keys";
import { Panel } from "./panel";
import { Player } from "./player";
import { keysDialog } from "./sheet";
import { Stage } from "./stage";
import { Timeline } from "./timeline";
import { Transport } from "./transport";

const TOOLS: [Tool & Sign, string][] = [
  ["point", "Point: click adds, Alt-click takes away, drag makes a box (P)"],
  ["brush", "Brush (B)"],
  ["eraser", "Eraser (E)"],
  ["polygon", "Polygon (L)"],
  ["edges", "Line that follows edges (K)"],
  ["fill", "Fill an area of one colour (F)"],
  ["hand", "Hand: move the picture (H, hold Space)"],
];

const VIEWS: [View, string][] = [
  ["overlay", "masks over the frame"],
  ["outline", "outlines"],
  ["checkers", "cut-out on checkers"],
  ["black", "cut-out on black"],
  ["white", "cut-out on white"],
  ["green", "cut-out on green"],
  ["masks", "masks alone"],
];

const editor = new Editor();
const stage = new Stage(editor);
const timeline = new Timeline(editor);
const panel = new Panel(editor);
const player = new Player(editor, () => transport.drawFrame());
let formats: string[] = [];
let delivered: string[] = [];

// The bar above.

const title = h("span", { class: "title" });
const state = h("span", { class: "state", role: "status", "aria-live": "polite" });
const views = h("select", { title: "View (V)", "aria-label": "view" }, ...VIEWS.map(([value, text]) => h("option", { value }, text)));
views.addEventListener("change", () => {
  setView(views.value as View);
  views.blur();
});
const before = button("Before", "Hold: before the last change of this frame (C)", () => undefined, { id: "before" });
before.addEventListener("pointerdown", () => stage.compare(true));
for (const end of ["pointerup", "pointerleave"]) before.addEventListener(end, () => stage.compare(false));
const onion = button("Onion", "Dashed outline of the frame before (O)", toggleOnion, { "aria-pressed": "false" });
const bar = h(
  "header",
  { class: "bar" },
  h("b", { class: "brand" }, "Rotoscope"),
  title,
  button("Open", "Open another clip or project (Ctrl O)", choose),
  button("Import", "Import masks (Ctrl I)", take, { id: "import" }),
  button("Export", "Export masks (Ctrl E)", give, { id: "export" }),
  h("span", { class: "gap" }),
  state,
  views,
  onion,
  before,
  button("Fit", "Fit the picture into the window (0)", () => stage.fit()),
  button(icon("theme"), "Light or dark (T)", theme, { class: "plain" }),
  button("?", "Keys (?)", keysDialog, { class: "plain", id: "help" }),
);

// The column at the left.

const size = h("input", { type: "range", min: 1, max: 100, class: "size", title: "Size of the brush ([ ] or wheel)", "aria-label": "size of the brush" });
size.addEventListener("input", () => stage.setBrush(Number(size.value)));
const tools = h(
  "nav",
  { class: "tools", "aria-label": "tools" },
  ...TOOLS.map(([tool, text]) => button(icon(tool), text, () => editor.setTool(tool), { "data-tool": tool })),
  size,
  h("span", { class: "gap" }),
  button(icon("undo"), "Undo (Ctrl Z)", () => void editor.turn("undo"), { id: "undo" }),
  button(icon("redo"), "Redo (Ctrl Shift Z)", () => void editor.turn("redo"), { id: "redo" }),
);

const transport = new Transport(editor, player, { go, jump, run });

document.body.append(bar, tools, stage.element, panel.element, transport.element, timeline.element);

// What happens.

function choose(): void {
  void editor.attempt(() => openDialog((key) => void openKey(key)));
}

function take(): void {
  void editor.attempt(() => importDialog(editor));
}

function give(): void {
  exportDialog(editor, formats, delivered);
}

function go(index: number): void {
  player.playing && player.pause();
  editor.follow = false;
  void editor.show(index);
}

/** Go to the next unsure or given frame; behind the last of them, where a run ends, it goes on from the clip's other end. */
function jump(code: "u" | "g", step: 1 | -1): void {
  const kind = code === "u" ? "unsure" : "given";
  const ahead = editor.next(code, step);
  const found = ahead ?? editor.next(code, step, step === 1 ? -1 : editor.project.frames);
  if (found === null && code === "u") return void editor.attempt(weakest);
  if (found === null) return toast("No frame is given yet.");
  if (found === editor.index) return toast(`No other frame is ${kind}.`);
  if (ahead === null) toast(`No more ${kind} frames that way: on from the ${step === 1 ? "first" : "last"} of them.`);
  go(found);
  const those = editor.thoseAt(found, code); // the column at the right says why
  if (those[0] && !those.some((one) => one.id === editor.selected)) editor.select(those[0].id);
}

/** Where no frame is unsure, the one that is nearest to it is the one to look at. */
async function weakest(): Promise<void> {
  const { frame, object } = await editor.api.weakest();
  if (frame === null || object === null) return toast("Nothing has been found yet. Run first.");
  editor.select(object);
  go(frame);
  toast(`No frame is unsure. Of those found, frame ${frame} is the weakest.`);
}

function run(how: "end" | "from" | "here" | "back" | "both"): void {
  editor.follow = transport.following;
  const here = editor.index;
  if (how === "end") void editor.run("forward", null, null);
  else if (how === "from") void editor.run("forward", here, null);
  else if (how === "here") void editor.run("forward", null, here);
  else if (how === "back") void editor.run("backward", here, null);
  else void editor.run("both", null, null);
}

function setView(view: View): void {
  editor.view = view;
  views.value = view;
  editor.tell("masks");
}

function nextView(): void {
  const at = VIEWS.findIndex(([view]) => view === editor.view);
  setView(VIEWS[(at + 1) % VIEWS.length]![0]);
}

function toggleOnion(): void {
  editor.onion = !editor.onion;
  onion.setAttribute("aria-pressed", String(editor.onion));
  void editor.attempt(() => editor.pictures.needLabels(Math.max(0, editor.index - 1)).then(() => editor.tell("masks")));
}

function theme(): void {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  localStorage.setItem("theme", root.dataset.theme);
  editor.tell("facts");
}

function drawState(): void {
  const waiting = editor.saving.waiting;
  state.textContent = !editor.connected ? "The service cannot be reached. Trying again." : editor.wrong || (waiting ? "keeping …" : "all kept");
  state.classList.toggle("wrong", !editor.connected || Boolean(editor.wrong));
  document.body.dataset.kept = waiting || editor.stroking ? "no" : "yes";
}

function drawTool(): void {
  for (const one of tools.querySelectorAll<HTMLButtonElement>("[data-tool]")) one.setAttribute("aria-pressed", String(one.dataset.tool === editor.tool));
  size.value = String(Math.round(editor.brush));
  size.hidden = editor.tool !== "brush" && editor.tool !== "eraser";
}

function drawFacts(): void {
  const { name, frames, size: sides, fps, undo, redo, folder } = editor.project;
  title.textContent = `${name} · ${sides[0]}×${sides[1]} · ${frames} frames · ${Number(fps.toFixed(3))}/s`;
  title.title = folder;
  (document.getElementById("undo") as HTMLButtonElement).disabled = !undo;
  (document.getElementById("redo") as HTMLButtonElement).disabled = !redo;
}

editor.on("frame", () => {
  sessionStorage.setItem("frame", String(editor.index));
  document.body.dataset.frame = String(editor.index);
  document.body.dataset.ready = editor.ready ? "yes" : "no";
});
editor.on("saving", drawState);
editor.on("tool", drawTool);
editor.on("facts", drawFacts);

async function openKey(key: string, frame = 0): Promise<void> {
  await editor.attempt(async () => {
    const project = await open(key);
    sessionStorage.setItem("project", project);
    await editor.open(project, frame);
    stage.sized();
    await editor.show(editor.index);
    document.body.dataset.open = project;
    if (!editor.project.objects.length) toast("Click on something to cut it out. Alt-click takes away. Then press Run.");
  });
}

async function begin(): Promise<void> {
  const stored = localStorage.getItem("theme");
  if (stored) document.documentElement.dataset.theme = stored;
  const found = await editor.attempt(launch);
  if (!found) return;
  formats = found.formats;
  delivered = found.delivered;
  editor.known = found.reasons;
  panel.tools(found.tools.filter((name) => name !== "flood"));
  const last = sessionStorage.getItem("project");
  const known = found.entries.some((entry) => entry.key === last);
  await openKey(known ? last! : found.first, known ? Number(sessionStorage.getItem("frame") ?? 0) : 0);
}

keyboard(editor, stage, panel, { go, jump, run, open: choose, take, export: give, nextView, toggleOnion, theme, play: () => player.toggle(), setTool: (tool) => editor.setTool(tool) });
drawTool();
drawState();
void begin();
let first = true;
listen(
  (event) => editor.heard(event),
  (there) => {
    editor.connected = there;
    drawState();
    if (there && !first && editor.facts) void openKey(editor.api.key, editor.index);
    if (there) first = false;
  },
);

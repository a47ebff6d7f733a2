import { launch, listen, open } from "./api";
import { button, h, toast } from "./dom";
import { exportDialog, importDialog, keysDialog, openDialog } from "./dialogs";
import { icon, type Sign } from "./icons";
import { Editor, type Tool, type View } from "./editor";
import { keyboard } from "./keys";
import { Panel } from "./panel";
import { Player } from "./player";
import { Stage } from "./stage";
import { Timeline } from "./timeline";

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
const player = new Player(editor, () => drawTransport());
let formats: string[] = [];

// The bar above.

const title = h("span", { class: "title" });
const state = h("span", { class: "state", role: "status", "aria-live": "polite" });
const views = h("select", { title: "View (V)", "aria-label": "view" }, ...VIEWS.map(([value, text]) => h("option", { value }, text)));
views.addEventListener("change", () => {
  setView(views.value as View);
  views.blur();
});
const onion = button("Onion", "Outline of the frame before (O)", toggleOnion, { "aria-pressed": "false" });
const bar = h(
  "header",
  { class: "bar" },
  h("b", { class: "brand" }, "Rotoscope"),
  title,
  button("Open", "Open another clip or project", () => void editor.attempt(() => openDialog((key) => void openKey(key)))),
  button("Import", "Import masks", () => void editor.attempt(() => importDialog(editor))),
  button("Export", "Export masks", () => exportDialog(editor, formats), { id: "export" }),
  h("span", { class: "gap" }),
  state,
  views,
  onion,
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

// The bar below.

const play = button(icon("play"), "Play (Enter)", () => player.toggle(), { class: "play" });
const counter = h("input", { type: "text", inputmode: "numeric", class: "counter", title: "Frame; type one to go there", "aria-label": "frame" });
counter.addEventListener("change", () => {
  void editor.show(Number(counter.value) || 0);
  counter.blur();
});
const total = h("span", { class: "quiet" });
const follow = h("input", { type: "checkbox", checked: true });
follow.addEventListener("change", () => (editor.follow = follow.checked));
const runs = h(
  "div",
  { class: "runs" },
  button("Run", "To the end, from the first frame that needs it (R)", () => run("end"), { class: "primary", id: "run" }),
  button("From here", "Run on from the frame shown (Ctrl Enter)", () => run("from")),
  button("To here", "Run to the frame shown (Shift R)", () => run("here")),
  button("Backward", "Run backward from the frame shown (Shift B)", () => run("back")),
  button("Both ways", "Both ways over the whole clip, mixed between given frames", () => run("both")),
);
const meter = h("progress", { max: 1, value: 0 });
const speed = h("span", { class: "speed" });
const halt = button("Stop", "Stop (S)", () => void editor.stop(), { class: "stop", id: "stop" });
const running = h("div", { class: "running", hidden: true }, halt, meter, speed);
const transport = h(
  "div",
  { class: "transport" },
  button(icon("first"), "First frame (Home)", () => go(0)),
  button(icon("back"), "One frame back (←)", () => go(editor.index - 1)),
  play,
  button(icon("on"), "One frame on (→)", () => go(editor.index + 1)),
  button(icon("last"), "Last frame (End)", () => go(editor.project.frames - 1)),
  counter,
  total,
  button("Next unsure", "Next unsure frame (N)", () => jump("u", 1)),
  h("span", { class: "gap" }),
  running,
  runs,
  h("label", { class: "quiet", title: "Show each frame as it is done" }, follow, "follow"),
);

document.body.append(bar, tools, stage.element, panel.element, transport, timeline.element);

// What happens.

function go(index: number): void {
  player.playing && player.pause();
  editor.follow = false;
  void editor.show(index);
}

function jump(code: "u" | "g", step: 1 | -1): void {
  const found = editor.next(code, step);
  if (found === null) toast(code === "u" ? "No more unsure frames that way." : "No more given frames that way.");
  else go(found);
}

function run(how: "end" | "from" | "here" | "back" | "both"): void {
  editor.follow = follow.checked;
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

function drawTransport(): void {
  play.replaceChildren(icon(player.playing ? "pause" : "play"));
  play.title = player.playing ? "Pause (Enter)" : "Play (Enter)";
  if (document.activeElement !== counter) counter.value = String(editor.index);
}

function drawTask(): void {
  const now = editor.progress;
  runs.hidden = now !== null;
  running.hidden = now === null;
  document.body.dataset.task = now?.kind ?? "idle";
  if (!now) return;
  meter.max = now.of || 1;
  meter.value = now.done;
  const left = now.rate > 0 ? (now.of - now.done) / now.rate : 0;
  const time = left > 90 ? `${Math.round(left / 60)} min left` : left > 0 ? `${Math.ceil(left)} s left` : "";
  const at = now.kind === "run" ? `frame ${now.at}` : "writing";
  speed.textContent = now.done ? `${at} · ${now.done}/${now.of}${now.rate ? ` · ${now.rate.toFixed(1)}/s` : ""} ${time}` : now.kind === "run" && now.at > now.start - 1 ? "getting ready" : at;
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
  total.textContent = `/ ${frames - 1}`;
  (document.getElementById("undo") as HTMLButtonElement).disabled = !undo;
  (document.getElementById("redo") as HTMLButtonElement).disabled = !redo;
}

editor.on("frame", () => {
  drawTransport();
  sessionStorage.setItem("frame", String(editor.index));
  document.body.dataset.frame = String(editor.index);
});
editor.on("task", drawTask);
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
  editor.known = found.reasons;
  const last = sessionStorage.getItem("project");
  const known = found.entries.some((entry) => entry.key === last);
  await openKey(known ? last! : found.first, known ? Number(sessionStorage.getItem("frame") ?? 0) : 0);
}

keyboard(editor, stage, panel, { go, jump, run, nextView, toggleOnion, theme, play: () => player.toggle(), setTool: (tool) => editor.setTool(tool) });
drawTool();
drawState();
drawTask();
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

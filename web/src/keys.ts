// What each key does; sheet.ts says the same to people.

import type { Editor, Tool } from "./editor";
import type { Panel } from "./panel";
import { keysDialog } from "./sheet";
import type { Stage } from "./stage";

export interface Acts {
  go(index: number): void;
  jump(code: "u" | "g", step: 1 | -1): void;
  run(how: "end" | "from" | "here" | "back" | "both"): void;
  open(): void;
  take(): void;
  export(): void;
  nextView(): void;
  toggleOnion(): void;
  theme(): void;
  play(): void;
  setTool(tool: Tool): void;
}

const TOOLS: Record<string, Tool> = { p: "point", b: "brush", e: "eraser", l: "polygon", k: "edges", f: "fill", h: "hand" };

export function keyboard(editor: Editor, stage: Stage, panel: Panel, acts: Acts): void {
  const plain: Record<string, () => void> = {
    "[": () => stage.setBrush(editor.brush / 1.2),
    "]": () => stage.setBrush(editor.brush * 1.2),
    "+": () => panel.grow(1),
    "=": () => panel.grow(1),
    "-": () => panel.grow(-1),
    "−": () => panel.grow(-1),
    ",": () => acts.go(editor.index - 1),
    ".": () => acts.go(editor.index + 1),
    "0": () => stage.fit(),
    "?": keysDialog,
    arrowleft: () => acts.go(editor.index - 1),
    arrowright: () => acts.go(editor.index + 1),
    home: () => acts.go(0),
    end: () => acts.go(editor.project.frames - 1),
    backspace: () => void stage.lines.back(),
    delete: () => panel.gone("here"),
    f2: () => panel.rename(),
    a: () => void editor.addObject(),
    d: () => acts.run("both"),
    g: () => acts.jump("g", 1),
    i: () => panel.toggle("hidden"),
    n: () => acts.jump("u", 1),
    o: acts.toggleOnion,
    r: () => acts.run("end"),
    s: () => void editor.stop(),
    t: acts.theme,
    u: () => panel.toggle("locked"),
    v: acts.nextView,
    x: () => panel.release(),
    z: () => stage.zoom(1.25),
  };
  const shifted: Record<string, () => void> = {
    arrowleft: () => acts.go(editor.index - 10),
    arrowright: () => acts.go(editor.index + 10),
    delete: () => panel.gone("from"),
    b: () => acts.run("back"),
    g: () => acts.jump("g", -1),
    n: () => acts.jump("u", -1),
    r: () => acts.run("here"),
    z: () => stage.zoom(1 / 1.25),
    "?": keysDialog,
    "+": () => panel.grow(1),
  };
  const control: Record<string, (shift: boolean) => void> = {
    z: (shift) => void editor.turn(shift ? "redo" : "undo"),
    y: () => void editor.turn("redo"),
    enter: () => acts.run("from"),
    delete: () => panel.gone("everywhere"),
    o: acts.open,
    i: acts.take,
    e: acts.export,
  };

  addEventListener("keydown", (event) => {
    const target = event.target as HTMLElement;
    if (target.matches("input[type=text], input[type=search], textarea") || document.querySelector("dialog[open]")) return;
    const key = event.key.toLowerCase();
    const act = event.ctrlKey || event.metaKey ? control[key] && (() => control[key]!(event.shiftKey)) : event.altKey ? undefined : find(key, event);
    if (!act || (!editor.facts && key !== "?")) return;
    event.preventDefault();
    act();
  });
  addEventListener("keyup", (event) => {
    if (event.key === " ") stage.space = false;
    if (event.key.toLowerCase() === "c") stage.compare(false);
  });
  addEventListener("blur", () => {
    stage.space = false;
    stage.compare(false);
  });

  function find(key: string, event: KeyboardEvent): (() => void) | undefined {
    if (key === " ") return () => (stage.space = true);
    if (key === "c") return () => stage.compare(true);
    if (key === "escape")
      return () => {
        stage.cancel();
        if (editor.progress) void editor.stop();
      };
    if (key === "enter") return () => (editor.tool === "polygon" || editor.tool === "edges") && stage.lines.drawn ? stage.lines.finish() : acts.play();
    if (event.shiftKey && shifted[key]) return shifted[key];
    if (/^[1-9]$/.test(key)) {
      const one = editor.facts?.objects[Number(key) - 1];
      return one && (() => editor.select(one.id));
    }
    if (TOOLS[key] && !event.shiftKey) return () => acts.setTool(TOOLS[key]!);
    return plain[key];
  }
}

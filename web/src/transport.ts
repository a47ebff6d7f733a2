// The bar below the picture: frames, runs, and how far what goes on has come.

import { button, h } from "./dom";
import type { Editor } from "./editor";
import { icon } from "./icons";
import type { Acts } from "./keys";
import type { Player } from "./player";

export class Transport {
  readonly element: HTMLElement;
  private readonly play: HTMLButtonElement;
  private readonly counter = h("input", { type: "text", inputmode: "numeric", class: "counter", title: "Frame; type one to go there", "aria-label": "frame" });
  private readonly total = h("span", { class: "quiet" });
  private readonly follow = h("input", { type: "checkbox", checked: true });
  private readonly runs: HTMLElement;
  private readonly meter = h("progress", { max: 1, value: 0 });
  private readonly speed = h("span", { class: "speed" });
  private readonly running: HTMLElement;

  constructor(
    private readonly editor: Editor,
    private readonly player: Player,
    private readonly acts: Pick<Acts, "go" | "jump" | "run">,
  ) {
    this.play = button(icon("play"), "Play (Enter)", () => player.toggle(), { class: "play" });
    const halt = button("Stop", "Stop (S)", () => void editor.stop(), { class: "stop", id: "stop" });
    this.running = h("div", { class: "running", hidden: true }, halt, this.meter, this.speed);
    this.runs = this.makeRuns();
    this.element = this.make();
    this.counter.addEventListener("focus", () => this.counter.select());
    this.counter.addEventListener("change", () => {
      const wanted = Number.parseInt(this.counter.value, 10);
      if (Number.isNaN(wanted)) this.counter.value = String(editor.index);
      else acts.go(wanted);
    });
    this.counter.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.counter.value = String(editor.index);
      if (event.key === "Escape" || event.key === "Enter") this.counter.blur(); // keys mean tools again
    });
    this.follow.addEventListener("change", () => (editor.follow = this.follow.checked));
    editor.on("frame", () => this.drawFrame());
    editor.on("facts", () => (this.total.textContent = `/ ${editor.project.frames - 1}`));
    editor.on("task", () => this.drawTask());
    this.drawTask();
  }

  get following(): boolean {
    return this.follow.checked;
  }

  private makeRuns(): HTMLElement {
    const { run } = this.acts;
    return h(
      "div",
      { class: "runs" },
      button("Run", "To the end, from the first frame that needs it (R)", () => run("end"), { class: "primary", id: "run" }),
      button("From here", "Run on from the frame shown (Ctrl Enter)", () => run("from")),
      button("To here", "Run to the frame shown (Shift R)", () => run("here")),
      button("Backward", "Run backward from the frame shown (Shift B)", () => run("back")),
      button("Both ways", "Both ways over the whole clip, mixed between given frames (D)", () => run("both")),
    );
  }

  private make(): HTMLElement {
    const { editor } = this;
    const { go, jump } = this.acts;
    return h(
      "div",
      { class: "transport" },
      button(icon("first"), "First frame (Home)", () => go(0)),
      button(icon("back"), "One frame back (←)", () => go(editor.index - 1)),
      this.play,
      button(icon("on"), "One frame on (→)", () => go(editor.index + 1)),
      button(icon("last"), "Last frame (End)", () => go(editor.project.frames - 1)),
      this.counter,
      this.total,
      button("Next unsure", "Next unsure frame; the weakest where none is unsure (N)", () => jump("u", 1), { id: "next-unsure" }),
      h("span", { class: "gap" }),
      this.running,
      this.runs,
      h("label", { class: "quiet", title: "Show each frame as it is done" }, this.follow, "follow"),
    );
  }

  drawFrame(): void {
    this.play.replaceChildren(icon(this.player.playing ? "pause" : "play"));
    this.play.title = this.player.playing ? "Pause (Enter)" : "Play (Enter)";
    if (document.activeElement !== this.counter) this.counter.value = String(this.editor.index);
  }

  private drawTask(): void {
    const now = this.editor.progress;
    this.runs.hidden = now !== null;
    this.running.hidden = now === null;
    document.body.dataset.task = now?.kind ?? "idle";
    document.body.dataset.ended = String(this.editor.runs.ended);
    if (!now) return;
    this.meter.max = now.of || 1;
    this.meter.value = now.done;
    const left = now.rate > 0 ? (now.of - now.done) / now.rate : 0;
    const time = left > 90 ? `${Math.round(left / 60)} min left` : left > 0 ? `${Math.ceil(left)} s left` : "";
    const at = now.kind === "run" ? `frame ${now.at}` : now.kind === "export" ? "writing" : "taking in";
    const waits = now.kind !== "run" ? at : now.at === now.start ? "getting ready" : `reading frame ${now.at} again`;
    this.speed.textContent = now.done ? `${at} · ${now.done}/${now.of}${now.rate ? ` · ${now.rate.toFixed(1)}/s` : ""} ${time}` : waits;
  }
}

// What the service says of a run or an export that is going on.

import { toast } from "./dom";
import type { Editor } from "./editor";
import type { ServiceEvent, TaskFacts } from "./types";

export interface Progress {
  kind: "run" | "export" | "import";
  direction: string;
  start: number;
  end: number;
  at: number;
  done: number;
  of: number;
  rate: number;
}

type Answered = Extract<ServiceEvent, { type: "frame" | "passed" }>;
type Ended = Extract<ServiceEvent, { type: "ended" }>;

export class Runs {
  progress: Progress | null = null;
  /** How many runs, exports and imports have ended since the page was opened. */
  ended = 0;
  /** Called when an export has ended. */
  exported: (folder: string, stopped: boolean) => void = () => undefined;

  constructor(private readonly editor: Editor) {}

  begun(task: TaskFacts | null): void {
    const { editor } = this;
    const mine = task && task.project === editor.api.key;
    const start = task?.start ?? 0;
    const end = task?.end ?? editor.project.frames;
    this.progress = mine ? { kind: task.kind, direction: task.direction ?? "", start, end, at: start, done: 0, of: end - start, rate: 0 } : null;
    editor.tell("task");
  }

  heard(event: ServiceEvent): void {
    if (event.type === "begun") this.begun(event);
    else if (event.type === "frame" || event.type === "passed") this.answered(event);
    else if (event.type === "ended") this.end(event);
    else if (event.type === "steps" && this.progress) {
      Object.assign(this.progress, { done: event.done, of: event.of });
      this.editor.tell("task");
    }
  }

  private answered(event: Answered): void {
    const { editor, progress } = this;
    if (progress) {
      progress.at = event.frame;
      progress.done += event.type === "frame" ? 1 : 0;
      if (event.type === "frame") progress.rate = event.rate;
    }
    if (event.type === "frame") {
      for (const [id, value] of Object.entries(event.confidence)) this.mark(event.frame, id, value, event.look[id] ?? 0);
      if (editor.follow && event.frame !== editor.index) {
        editor.pictures.drop(event.frame);
        void editor.show(event.frame, true);
      } else void editor.attempt(() => editor.reload(event.frame));
    }
    editor.tell("task");
  }

  /** Note in the strip how sure a frame is. */
  private mark(frame: number, id: string, confidence: number, look: number): void {
    const { timeline, look: all } = this.editor.project;
    const codes = timeline[id];
    if (codes === undefined || codes[frame] === "g") return;
    timeline[id] = codes.slice(0, frame) + (confidence === 0 ? "a" : look ? "u" : "s") + codes.slice(frame + 1);
    const own = (all[id] ??= {});
    if (look) own[frame] = look;
    else delete own[frame];
  }

  private end(event: Ended): void {
    const { editor } = this;
    this.progress = null;
    this.ended++;
    if (event.error) toast(event.error, "wrong");
    if (event.kind === "export") this.exported(event.error ? "" : (event.folder ?? ""), event.stopped);
    else if (event.kind === "import") {
      editor.pictures.drop();
      if (!event.error) toast(`Masks of ${event.frames ?? 0} frames taken in.`);
      void editor.attempt(() => editor.reload(editor.index));
    } else if (!event.error) {
      const rate = event.frames && event.seconds ? `, ${(event.frames / event.seconds).toFixed(1)} frames/s` : "";
      toast(`${event.stopped ? "Stopped" : "Done"}: ${event.frames ?? 0} frames${rate}`);
    }
    void editor.attempt(() => editor.refresh());
    editor.tell("task");
  }
}

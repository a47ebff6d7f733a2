// Plays the clip at its own rate; a frame that is not there yet is waited for.

import type { Editor } from "./editor";

const AHEAD = 10;

export class Player {
  playing = false;
  private clock = 0;
  private from = 0;

  constructor(
    private readonly editor: Editor,
    private readonly changed: () => void,
  ) {}

  toggle(): void {
    this.playing ? this.pause() : this.play();
  }

  play(): void {
    const { editor } = this;
    if (editor.index >= editor.project.frames - 1) void editor.show(0);
    editor.follow = false;
    this.playing = true;
    this.restart();
    this.changed();
    requestAnimationFrame((now) => this.step(now));
  }

  pause(): void {
    this.playing = false;
    this.changed();
  }

  private restart(): void {
    this.clock = performance.now();
    this.from = this.editor.index;
  }

  private step(now: number): void {
    if (!this.playing) return;
    const { editor } = this;
    const passed = Math.max(0, now - this.clock); // a frame of the screen may have begun before the clock did
    const wanted = Math.min(this.from + Math.floor((passed / 1000) * editor.project.fps), editor.project.frames - 1);
    for (let n = 1; n <= AHEAD; n++) wanted + n < editor.project.frames && editor.pictures.ahead(wanted + n);
    if (wanted !== editor.index) {
      if (editor.pictures.has(wanted)) void editor.show(wanted, true);
      else {
        editor.pictures.ahead(wanted);
        // Stand still rather than leap: the clock goes on from here when the frame has come.
        this.clock = now - (1000 / editor.project.fps) * Math.max(0, wanted - this.from - 1);
      }
    }
    if (editor.index >= editor.project.frames - 1) this.pause();
    else requestAnimationFrame((later) => this.step(later));
  }
}

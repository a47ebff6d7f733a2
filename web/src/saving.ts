// Painted masks on their way to the service: in order, again and again until they have arrived.

import { GoneError, type ProjectApi } from "./api";

interface Waiting {
  frame: number;
  object: number;
  mask: Uint8Array;
}

export class Saving {
  private readonly queue: Waiting[] = [];
  private sending = false;
  private idle: (() => void)[] = [];

  constructor(
    private readonly api: () => ProjectApi,
    private readonly told: (waiting: number, wrong?: string) => void,
  ) {
    addEventListener("beforeunload", (event) => {
      if (this.queue.length) event.preventDefault();
    });
  }

  get waiting(): number {
    return this.queue.length;
  }

  has(frame: number): boolean {
    return this.queue.some((one) => one.frame === frame);
  }

  put(frame: number, object: number, mask: Uint8Array): void {
    const last = this.queue.at(-1);
    // A mask of the same place that has not been sent yet is replaced by the later one.
    if (last && this.queue.length > 1 && last.frame === frame && last.object === object) last.mask = mask;
    else this.queue.push({ frame, object, mask });
    this.told(this.queue.length);
    void this.send();
  }

  /** Resolves when all that was painted is kept. */
  done(): Promise<void> {
    return this.queue.length ? new Promise((resolve) => this.idle.push(resolve)) : Promise.resolve();
  }

  private async send(): Promise<void> {
    if (this.sending) return;
    this.sending = true;
    while (this.queue.length) {
      const next = this.queue[0]!;
      try {
        await this.api().paint(next.frame, next.object, next.mask);
        this.queue.shift();
        this.told(this.queue.length);
      } catch (error) {
        if (error instanceof GoneError) {
          this.told(this.queue.length, "not kept yet: the service cannot be reached. Trying again.");
          await new Promise((resolve) => setTimeout(resolve, 1000));
        } else {
          this.queue.shift();
          this.told(this.queue.length, (error as Error).message);
        }
      }
    }
    this.sending = false;
    for (const resolve of this.idle.splice(0)) resolve();
  }
}

// What was used last, within a number of bytes.

export class Keep<Value> {
  private readonly values = new Map<number, { value: Value; bytes: number }>();
  private used = 0;

  constructor(
    private readonly budget: number,
    private readonly gone: (value: Value) => void = () => undefined,
  ) {}

  get(key: number): Value | undefined {
    const found = this.values.get(key);
    if (!found) return undefined;
    this.values.delete(key);
    this.values.set(key, found);
    return found.value;
  }

  has(key: number): boolean {
    return this.values.has(key);
  }

  set(key: number, value: Value, bytes: number): void {
    this.drop(key);
    this.values.set(key, { value, bytes });
    this.used += bytes;
    for (const old of this.values.keys()) {
      if (this.used <= this.budget || this.values.size <= 2) break;
      this.drop(old);
    }
  }

  drop(key: number): void {
    const found = this.values.get(key);
    if (!found) return;
    this.values.delete(key);
    this.used -= found.bytes;
    this.gone(found.value);
  }

  clear(): void {
    for (const key of [...this.values.keys()]) this.drop(key);
  }
}

/**
 * Onsite for devices, in one file without dependencies: pings are kept on disk until the server has them.
 *
 *     const store = new IndexedDbStore();                  // in a browser; in Node: new FileStore(fs, "pings.journal")
 *     const client = new OnsiteClient({ url: "https://onsite.example.com", token: "onsite_…", store });
 *     client.start();                                      // sends what is waiting, again until it is taken
 *     await client.add("van-12", 53.4084, -2.9916, { accuracy_m: 8 });
 *     await client.stop();                                 // sends what it can; the rest waits for the next start
 *
 * Browsers, and Node 20.10 or newer. What `add` has resolved for survives a crash. Each ping has an id of its own and
 * is sent until the server answers 202, so none is lost; the server knows a ping it has seen, so none counts twice.
 * Without `start`, call `flush`.
 */

/** Small enough that the server never takes a batch for a backlog, which would have to wait its turn. */
export const BATCH_PINGS = 250;
export const SHORTEST_WAIT_S = 1;
export const LONGEST_WAIT_S = 300;
const ANSWER_WITHIN_S = 30;
const GZIP_FROM_BYTES = 1_024;

/** What a fix may say beside where; `ts` is when it was measured, RFC 3339 or epoch milliseconds, by default now. */
export interface PingFields {
  ts?: string | number;
  ping_id?: string;
  activity?: string;
  accuracy_m?: number; speed_mps?: number; bearing_deg?: number; altitude_m?: number; battery?: number;
}

export type Ping = PingFields & { device_id: string; ts: string | number; lat: number; lon: number; ping_id: string };

/** Where pings wait, by number, in the order they came. What `add` and `remove` have resolved for is on the disk. */
export interface PingStore {
  add(ping: Ping): Promise<void>;
  oldest(limit: number): Promise<[number, Ping][]>;
  remove(numbers: number[]): Promise<void>;
  count(): Promise<number>;
  close(): Promise<void>;
}

type Rejected = { index: number; reason: string };

/** The server does not want these pings from this client: the token, or the address, is wrong. They are kept. */
export class RefusedError extends Error {}

/** The server cannot be reached or has no time; `retryAfterS` where it says when it will. */
export class NotNowError extends Error {
  retryAfterS = 0;
}

export interface Options {
  url: string;
  token: string;
  store: PingStore;
  /** Told of each ping that the server refuses by itself; it keeps them with their reasons, they are not sent again. */
  onRejected?: (ping: Ping, reason: string) => void;
  /** Told why pings could not be sent, and after how long that is tried again. */
  onTrouble?: (error: unknown, retryInS: number) => void;
}

/** Posts the pings of a store. */
export class OnsiteClient {
  readonly #options: Options;
  #batchPings = BATCH_PINGS;
  #flushing: Promise<unknown> = Promise.resolve();
  #running: Promise<void> = Promise.resolve();
  #stopping = false;
  #wake = (): void => undefined;

  constructor(options: Options) {
    this.#options = options;
  }

  /** How many pings the server does not have yet. */
  waiting(): Promise<number> {
    return this.#options.store.count();
  }

  /** Keep a fix until it is sent; resolves to its id once it is on the disk. */
  async add(device_id: string, lat: number, lon: number, more: PingFields = {}): Promise<string> {
    if (!Number.isFinite(lat) || !Number.isFinite(lon)) throw new RangeError(`no position: ${lat}, ${lon}`);
    const ping_id = more.ping_id ?? crypto.randomUUID();
    await this.#options.store.add({ ...more, device_id, ts: more.ts ?? Date.now(), lat, lon, ping_id });
    return ping_id;
  }

  /**
   * Send everything that is waiting; resolves to how many pings wait no more. Rejects with NotNowError when the server
   * cannot take them now, RefusedError when it never will; what was not taken is kept.
   */
  flush(): Promise<number> {
    const sent = this.#flushing.then(() => this.#sendAll());
    this.#flushing = sent.catch(() => undefined);
    return sent;
  }

  /** Send what was added, at most `everyS` later, and again until it is taken. */
  start(everyS = 10): void {
    this.#stopping = false;
    this.#running = this.#run(everyS);
  }

  /** Stop after a last try, and close the store. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#wake();
    await this.#running;
    await this.#flushing;
    await this.#options.store.close();
  }

  async #run(everyS: number): Promise<void> {
    for (let failures = 0, last = false; !last; ) {
      last = this.#stopping;
      let waitS = everyS;
      try {
        await this.flush();
        failures = 0;
      } catch (error) {
        failures += 1;
        waitS = error instanceof NotNowError ? waitBeforeRetryS(failures, error.retryAfterS) : LONGEST_WAIT_S;
        this.#options.onTrouble?.(error, waitS);
      }
      if (this.#stopping) continue;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, waitS * 1000);
        this.#wake = () => resolve(clearTimeout(timer));
      });
    }
  }

  async #sendAll(): Promise<number> {
    const { store, onRejected } = this.#options;
    for (let sent = 0; ; ) {
      const batch = await store.oldest(this.#batchPings);
      if (batch.length === 0) return sent;
      const rejected = await this.#post(batch.map(([, ping]) => ping));
      if (rejected === "fewer") continue;
      await store.remove(batch.map(([number]) => number));
      sent += batch.length;
      for (const { index, reason } of rejected) onRejected?.(batch[index]![1], reason);
    }
  }

  /** Which of the pings were rejected, once the server has the others; "fewer" where it wants fewer at a time. */
  async #post(pings: Ping[]): Promise<Rejected[] | "fewer"> {
    const sent_at = Date.now();
    const headers = new Headers({ Authorization: `Bearer ${this.#options.token}`, "Content-Type": "application/json" });
    const signal = AbortSignal.timeout(ANSWER_WITHIN_S * 1000);
    let answer: Response, said: string;
    try {
      let body: BodyInit = JSON.stringify(pings.map((ping) => ({ ...ping, sent_at })));
      if (body.length >= GZIP_FROM_BYTES && typeof CompressionStream !== "undefined") {
        body = await new Response(new Blob([body]).stream().pipeThrough(new CompressionStream("gzip"))).arrayBuffer();
        headers.set("Content-Encoding", "gzip");
      }
      const address = `${this.#options.url.replace(/\/+$/, "")}/v1/pings`;
      answer = await fetch(address, { method: "POST", headers, body, redirect: "error", signal });
      said = await answer.text();
    } catch (error) {
      throw new NotNowError(String(error)); // no connection, torn off, too slow, led elsewhere
    }
    if (answer.status === 202) return rejectedOf(said, pings.length);
    if (answer.status === 413 && pings.length > 1) {
      this.#batchPings = Math.ceil(pings.length / 2);
      return "fewer";
    }
    const detail = `${answer.status} ${said.slice(0, 200)}`;
    if (answer.status >= 400 && answer.status < 500 && answer.status !== 429) throw new RefusedError(detail);
    const retryAfterS = Number(/^\d+$/.exec(answer.headers.get("Retry-After") ?? "")?.[0] ?? 0);
    throw Object.assign(new NotNowError(detail), { retryAfterS }); // also for 200, which is not Onsite's yes
  }
}

/**
 * After so many failures in a row: up to twice as long each time, drawn at random from nothing to that, so that a fleet
 * does not come at once. What the server asks for is waited for at least.
 */
export function waitBeforeRetryS(failures: number, retryAfterS = 0, random: () => number = Math.random): number {
  const longestS = Math.min(LONGEST_WAIT_S, SHORTEST_WAIT_S * 2 ** Math.min(failures, 20));
  return retryAfterS + random() * longestS;
}

/** Pings in IndexedDB, for browsers and what is like them. */
export class IndexedDbStore implements PingStore {
  readonly #database: Promise<IDBDatabase>;

  constructor(name = "onsite") {
    const request = indexedDB.open(name, 1);
    request.onupgradeneeded = () => void request.result.createObjectStore("pings", { autoIncrement: true });
    this.#database = done(request);
    this.#database.catch(() => undefined); // whoever uses it is told
  }

  add(ping: Ping): Promise<void> {
    return this.#write((pings) => pings.add(ping));
  }

  async oldest(limit: number): Promise<[number, Ping][]> {
    const pings = (await this.#database).transaction("pings").objectStore("pings");
    const [numbers, found] = await Promise.all([done(pings.getAllKeys(null, limit)), done(pings.getAll(null, limit))]);
    return numbers.map((number, index) => [Number(number), found[index]]);
  }

  remove(numbers: number[]): Promise<void> {
    return this.#write((pings) => numbers.forEach((number) => pings.delete(number)));
  }

  async count(): Promise<number> {
    return done((await this.#database).transaction("pings").objectStore("pings").count());
  }

  async close(): Promise<void> {
    (await this.#database).close();
  }

  async #write(change: (pings: IDBObjectStore) => unknown): Promise<void> {
    const transaction = (await this.#database).transaction("pings", "readwrite", { durability: "strict" });
    await new Promise<void>((resolve, reject) => {
      transaction.oncomplete = () => resolve();
      transaction.onabort = () => reject(transaction.error);
      change(transaction.objectStore("pings"));
    });
  }
}

/** What `FileStore` needs of Node's `fs`. */
export interface FileSystem {
  appendFileSync(path: string, text: string, options: { flush: boolean }): void;
  readFileSync(path: string, encoding: "utf8"): string;
  truncateSync(path: string): void;
}

/** Pings in a file of one process: a journal of what came and went, emptied whenever nothing waits. */
export class FileStore implements PingStore {
  readonly #waiting = new Map<number, Ping>();
  readonly #fs: FileSystem;
  readonly #path: string;
  #newest = 0;

  constructor(fs: FileSystem, path: string) {
    [this.#fs, this.#path] = [fs, path];
    fs.appendFileSync(path, "", { flush: true });
    for (const line of fs.readFileSync(path, "utf8").split("\n")) this.#replay(line);
  }

  async add(ping: Ping): Promise<void> {
    this.#newest += 1;
    this.#write({ number: this.#newest, ping });
    this.#waiting.set(this.#newest, ping);
  }

  async oldest(limit: number): Promise<[number, Ping][]> {
    return [...this.#waiting].slice(0, limit);
  }

  async remove(numbers: number[]): Promise<void> {
    for (const number of numbers) this.#waiting.delete(number);
    if (this.#waiting.size === 0) this.#fs.truncateSync(this.#path);
    else this.#write({ removed: numbers });
  }

  async count(): Promise<number> {
    return this.#waiting.size;
  }

  async close(): Promise<void> {}

  #write(entry: object): void {
    // The line break comes first: a line that a crash has torn off ends before the next one begins.
    this.#fs.appendFileSync(this.#path, `\n${JSON.stringify(entry)}`, { flush: true });
  }

  #replay(line: string): void {
    try {
      const { number, ping, removed } = JSON.parse(line);
      for (const each of removed ?? []) this.#waiting.delete(each);
      if (ping !== undefined) this.#waiting.set((this.#newest = number), ping);
    } catch {} // empty, or torn off: nobody was told that it is kept
  }
}

/** Those that an answer names; what is no answer of Onsite's, of a portal say, is no yes. */
function rejectedOf(said: string, pings: number): Rejected[] {
  try {
    const { accepted, rejected } = JSON.parse(said);
    if (accepted + rejected.length === pings && rejected.every((each: Rejected) => each.index < pings)) return rejected;
  } catch {} // told below
  throw new NotNowError(`not an answer of Onsite: ${said.slice(0, 200)}`);
}

function done<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/** The client: what it keeps, when it sends, and what it makes of every answer. */

import assert from "node:assert/strict";
import * as fs from "node:fs";
import { createServer, type IncomingMessage, type Server as HttpServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { gunzipSync } from "node:zlib";

import {
  FileStore,
  LONGEST_WAIT_S,
  NotNowError,
  OnsiteClient,
  RefusedError,
  waitBeforeRetryS,
  type Options,
  type Ping,
} from "../onsite-client.js";

type Taken = Ping & { sent_at: number };
type Answer = { status: number; headers?: Record<string, string>; body?: string };

const DEADLINE_MS = 20_000;

/** Answers posts as it is told, and remembers the pings that it took. */
class Server {
  answers: Answer[] = [];
  taken: Taken[] = [];
  posts = 0;
  readonly #server: HttpServer;

  constructor() {
    this.#server = createServer(async (request, response) => {
      const pings = await pingsOf(request);
      assert.equal(request.url, "/v1/pings");
      assert.equal(request.headers.authorization, "Bearer secret");
      this.posts += 1;
      const all: Answer = { status: 202, body: JSON.stringify({ accepted: pings.length, rejected: [] }) };
      const { status, headers, body } = this.answers.shift() ?? all;
      if (status === 202) this.taken.push(...pings);
      response.writeHead(status, headers).end(body);
    });
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

async function pingsOf(request: IncomingMessage): Promise<Taken[]> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  const body = Buffer.concat(parts);
  const text = request.headers["content-encoding"] === "gzip" ? gunzipSync(body) : body;
  return JSON.parse(text.toString()) as Taken[];
}

let server: Server;
let folder: string;

beforeEach(async () => {
  server = new Server();
  await server.listen();
  folder = fs.mkdtempSync(join(tmpdir(), "onsite-"));
});

afterEach(async () => {
  await server.close();
  fs.rmSync(folder, { recursive: true });
});

function clientOf(options: Partial<Options> = {}): OnsiteClient {
  return new OnsiteClient({ url: server.url, token: "secret", store: journal(), ...options });
}

function journal(): FileStore {
  return new FileStore(fs, join(folder, "pings.journal"));
}

/** An address where nothing listens any more. */
async function nobody(): Promise<string> {
  const gone = new Server();
  await gone.listen();
  const url = gone.url;
  await gone.close();
  return url;
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const giveUp = Date.now() + DEADLINE_MS;
  while (!(await condition())) {
    assert.ok(Date.now() < giveUp, "the condition did not hold in time");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

test("a ping goes out with an id and the time of sending", async () => {
  const client = clientOf({ url: `${server.url}/` });
  const beforeMs = Date.now();
  const pingId = await client.add("van-12", 53.4, -2.9, { ts: "2026-03-02T08:15:00Z", accuracy_m: 8 });
  await client.add("van-12", 53.5, -2.9);
  assert.equal(await client.waiting(), 2);
  assert.equal(await client.flush(), 2);
  assert.equal(await client.waiting(), 0);
  const [first, second] = server.taken;
  assert.ok(first && second);
  const { sent_at, ...rest } = first;
  assert.ok(beforeMs <= sent_at && sent_at <= Date.now());
  const said = { device_id: "van-12", ts: "2026-03-02T08:15:00Z", lat: 53.4, lon: -2.9, accuracy_m: 8 };
  assert.deepEqual(rest, { ...said, ping_id: pingId });
  assert.ok(beforeMs <= Number(second.ts) && Number(second.ts) <= second.sent_at);
  assert.notEqual(second.ping_id, pingId);
});

test("what was added is there after a restart, in its order", async () => {
  const url = await nobody();
  for (let ts = 0; ts < 3; ts += 1) await clientOf({ url }).add("van-12", 53.4, -2.9, { ts });
  const client = clientOf();
  for (let ts = 3; ts < 700; ts += 1) await client.add("van-12", 53.4, -2.9, { ts });
  assert.equal(await client.flush(), 700);
  assert.deepEqual(server.taken.map((ping) => ping.ts), [...Array(700).keys()]);
  assert.equal(server.posts, 3);
  assert.equal(await clientOf().waiting(), 0);
});

for (const status of [429, 500, 502, 503]) {
  test(`a server that has no time (${status}) is asked again and nothing is lost`, async () => {
    const client = clientOf();
    await client.add("van-12", 53.4, -2.9);
    server.answers = [{ status, headers: { "Retry-After": "7" }, body: "busy" }];
    await assert.rejects(client.flush(), (error) => {
      assert.ok(error instanceof NotNowError);
      assert.deepEqual([error.retryAfterS, error.message], [7, `${status} busy`]);
      return true;
    });
    assert.equal(await client.waiting(), 1);
    assert.equal(await client.flush(), 1);
    assert.equal(server.taken.length, 1);
  });
}

for (const status of [400, 401, 403, 404, 405]) {
  test(`a refusal (${status}) keeps the pings`, async () => {
    const client = clientOf();
    await client.add("van-12", 53.4, -2.9);
    server.answers = [{ status, body: "no" }];
    await assert.rejects(client.flush(), RefusedError);
    assert.equal(await client.waiting(), 1);
  });
}

const NO_YES: [string, Answer][] = [
  ["202 that is no JSON", { status: 202, body: "<html>" }],
  ["202 of something else", { status: 202, body: '{"ok":true}' }],
  ["202 for fewer pings", { status: 202, body: '{"accepted":0,"rejected":[]}' }],
  ["200 of a portal", { status: 200, body: '{"accepted":1,"rejected":[]}' }],
  ["204", { status: 204 }],
  ["a way to a portal", { status: 302, headers: { Location: "/login" } }],
];

for (const [name, answer] of NO_YES) {
  test(`only Onsite's 202 takes pings off our hands: ${name} does not`, async () => {
    const client = clientOf();
    await client.add("van-12", 53.4, -2.9);
    server.answers = [answer];
    await assert.rejects(client.flush(), NotNowError);
    assert.equal(await client.waiting(), 1);
  });
}

test("nobody is there", async () => {
  const client = clientOf({ url: await nobody() });
  await client.add("van-12", 53.4, -2.9);
  await assert.rejects(client.flush(), NotNowError);
  assert.equal(await client.waiting(), 1);
});

test("a batch that is too large is halved", async () => {
  const client = clientOf();
  for (let ts = 0; ts < 100; ts += 1) await client.add("van-12", 53.4, -2.9, { ts });
  server.answers = [{ status: 413 }, { status: 413 }];
  assert.equal(await client.flush(), 100);
  assert.deepEqual(server.taken.map((ping) => ping.ts), [...Array(100).keys()]);
  assert.equal(server.posts, 2 + 4);
});

test("one ping that is too large is kept, and told", async () => {
  const client = clientOf();
  await client.add("van-12", 53.4, -2.9);
  server.answers = [{ status: 413 }];
  await assert.rejects(client.flush(), RefusedError);
  assert.equal(await client.waiting(), 1);
});

test("a ping that the server rejects is told and not sent again; the others are as good as ever", async () => {
  const told: [string, string][] = [];
  const client = clientOf({ onRejected: (ping, reason) => told.push([ping.ping_id, reason]) });
  await client.add("van-12", 53.4, -2.9);
  await client.add("van-12", 95, -2.9, { ping_id: "north" });
  const rejected = [{ index: 1, reason: "lat_out_of_range: 95.0" }];
  server.answers = [{ status: 202, body: JSON.stringify({ accepted: 1, rejected }) }];
  assert.equal(await client.flush(), 2);
  assert.equal(await client.waiting(), 0);
  assert.deepEqual(told, [["north", "lat_out_of_range: 95.0"]]);
});

test("a position that is none is told at once", async () => {
  const client = clientOf();
  await assert.rejects(client.add("van-12", NaN, -2.9), RangeError);
  assert.equal(await client.waiting(), 0);
});

test("two that flush at once send nothing twice", async () => {
  const client = clientOf();
  for (let ts = 0; ts < 10; ts += 1) await client.add("van-12", 53.4, -2.9, { ts });
  assert.deepEqual(await Promise.all([client.flush(), client.flush()]), [10, 0]);
  assert.equal(server.taken.length, 10);
});

test("a running client sends, backs off, comes back, and has sent all when it stops", async () => {
  const troubles: number[] = [];
  const client = clientOf({ onTrouble: (_, retryInS) => troubles.push(retryInS) });
  server.answers = [{ status: 503, body: "" }];
  client.start(0.01);
  await client.add("van-12", 53.4, -2.9);
  await until(() => troubles.length === 1);
  await until(() => server.taken.length === 1); // after two seconds at most
  await client.add("van-12", 53.5, -2.9);
  await client.stop();
  assert.deepEqual(server.taken.map((ping) => ping.lat), [53.4, 53.5]);
  assert.ok(troubles.every((retryInS) => retryInS <= 2));
});

test("a client that waits for long stops at once, and keeps what it could not send", async () => {
  let troubles = 0;
  const client = clientOf({ onTrouble: () => (troubles += 1) });
  server.answers = [{ status: 503, headers: { "Retry-After": "3600" } }, { status: 401 }];
  await client.add("van-12", 53.4, -2.9);
  client.start();
  await until(() => troubles === 1);
  await client.stop();
  assert.equal(server.posts, 2);
  assert.equal(await clientOf().waiting(), 1);
});

test("back-off doubles up to a bound and is drawn from all of it", () => {
  for (let failures = 1; failures < 60; failures += 1) {
    const longestS = Math.min(LONGEST_WAIT_S, 2 ** failures);
    assert.equal(waitBeforeRetryS(failures, 0, () => 0), 0);
    assert.equal(waitBeforeRetryS(failures, 0, () => 0.5), longestS / 2);
    assert.equal(waitBeforeRetryS(failures, 60, () => 0.5), 60 + longestS / 2);
    assert.ok(waitBeforeRetryS(failures) <= longestS);
  }
});

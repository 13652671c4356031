/** Every store keeps pings in their order until they are removed, whoever opens it next. */

import "fake-indexeddb/auto";

import assert from "node:assert/strict";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import { FileStore, IndexedDbStore, type Ping, type PingStore } from "../onsite-client.js";

const folder = fs.mkdtempSync(join(tmpdir(), "onsite-"));
process.on("exit", () => fs.rmSync(folder, { recursive: true }));

let names = 0;

function pingOf(ts: number): Ping {
  return { device_id: "van-12", ts, lat: 53.4, lon: -2.9, ping_id: `${ts}` };
}

async function times(store: PingStore, limit = 1_000): Promise<(string | number)[]> {
  return (await store.oldest(limit)).map(([, ping]) => ping.ts);
}

function fileOf(name: string): string {
  return join(folder, name);
}

const STORES: Record<string, (name: string) => PingStore> = {
  IndexedDbStore: (name) => new IndexedDbStore(name),
  FileStore: (name) => new FileStore(fs, fileOf(name)),
};

for (const [kind, open] of Object.entries(STORES)) {
  test(`${kind}: what comes first goes first, and what is removed is gone for good`, async () => {
    const name = `${kind}-${(names += 1)}`;
    const store = open(name);
    assert.equal(await store.count(), 0);
    for (let ts = 0; ts < 5; ts += 1) await store.add(pingOf(ts));
    assert.deepEqual(await times(store, 3), [0, 1, 2]);
    const numbers = (await store.oldest(5)).map(([number]) => number);
    await store.remove(numbers.filter((_, index) => index !== 1));
    assert.deepEqual(await times(store), [1]);
    await store.close();

    const again = open(name);
    assert.deepEqual(await again.oldest(10), [[numbers[1], pingOf(1)]]);
    await again.add(pingOf(5));
    await again.remove([numbers[1]!]);
    assert.deepEqual([await times(again), await again.count()], [[5], 1]);
    await again.close();
  });

  test(`${kind}: a number is never given again while a ping of that number may be on its way`, async () => {
    const store = open(`${kind}-${(names += 1)}`);
    await store.add(pingOf(1));
    const [[first]] = (await store.oldest(1)) as [[number, Ping]];
    await store.remove([first]);
    await store.add(pingOf(2));
    await store.remove([first]);
    assert.deepEqual(await times(store), [2]);
    await store.close();
  });
}

test("a store that cannot be opened says so to whoever uses it", async () => {
  const newer = indexedDB.open("newer", 2);
  await new Promise((resolve) => (newer.onsuccess = resolve));
  newer.result.close();
  await assert.rejects(new IndexedDbStore("newer").add(pingOf(1)), { name: "VersionError" });
});

test("a line that was torn off by a crash loses only itself", async () => {
  const path = fileOf("torn");
  await new FileStore(fs, path).add(pingOf(1));
  fs.appendFileSync(path, '\n{"number":2,"ping":{"devi');
  const after = new FileStore(fs, path);
  await after.add(pingOf(3));
  assert.deepEqual(await times(after), [1, 3]);
  assert.deepEqual(await times(new FileStore(fs, path)), [1, 3]);
});

test("a journal in which nothing waits is empty", async () => {
  const path = fileOf("emptied");
  const store = new FileStore(fs, path);
  for (let ts = 0; ts < 100; ts += 1) await store.add(pingOf(ts));
  await store.remove((await store.oldest(100)).map(([number]) => number));
  assert.equal(fs.statSync(path).size, 0);
});

test("a disk that is full is told to who adds, and what was there is there", async () => {
  const path = fileOf("full");
  await new FileStore(fs, path).add(pingOf(1));
  const full = {
    ...fs,
    appendFileSync: (file: string, text: string) => {
      fs.appendFileSync(file, text.slice(0, 10));
      if (text !== "") throw new Error("ENOSPC");
    },
  };
  const store = new FileStore(full, path);
  await assert.rejects(store.add(pingOf(2)), /ENOSPC/);
  assert.deepEqual(await times(store), [1]);
  await new FileStore(fs, path).add(pingOf(3));
  assert.deepEqual(await times(new FileStore(fs, path)), [1, 3]);
});

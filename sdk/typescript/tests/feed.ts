/** Sends the pings on standard input, one a line: `node feed.js URL TOKEN JOURNAL`. Exit status 1: some still wait. */

import * as fs from "node:fs";
import { createInterface } from "node:readline";

import { FileStore, OnsiteClient } from "../onsite-client.js";

const [url = "", token = "", path = ""] = process.argv.slice(2);
const client = new OnsiteClient({ url, token, store: new FileStore(fs, path) });
client.start(1);
for await (const line of createInterface({ input: process.stdin })) {
  const { device_id, lat, lon, ...more } = JSON.parse(line);
  await client.add(device_id, lat, lon, more);
}
await client.stop();
process.exit((await client.waiting()) > 0 ? 1 : 0);

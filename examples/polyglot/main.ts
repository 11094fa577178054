// Asks the server in Go for a greeting.
import assert from "node:assert/strict";

import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";

import { GreetService } from "./gen/greetpb/greet_pb";

async function main() {
  const transport = createConnectTransport({ baseUrl: process.argv[2], httpVersion: "1.1" });
  const answer = await createClient(GreetService, transport).greet({ name: "TypeScript" });
  assert.equal(answer.greeting, "Hello, TypeScript!");
  console.log("polyglot: ok");
}

main();

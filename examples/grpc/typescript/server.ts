// A server that prints its port, and serves until its standard input ends.
import { timestampNow } from "@bufbuild/protobuf/wkt";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { createServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { Greeter } from "./gen/greet/greet_pb.js";

const server = createServer(
  connectNodeAdapter({
    routes: ({ service }) =>
      service(Greeter, {
        greet: (person) => ({ text: "Hello, " + person.name, language: "TypeScript", at: timestampNow() }),
      }),
  }),
);
server.listen(0, "127.0.0.1", () => console.log((server.address() as AddressInfo).port));
process.stdin.on("end", () => process.exit(0)).resume();

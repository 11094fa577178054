// A client of the server at HOST:PORT, which is its argument. It speaks gRPC, as the
// others do; createConnectTransport would speak the protocol of Connect.
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { Greeter } from "./gen/greet/greet_pb.js";

const client = createClient(Greeter, createGrpcTransport({ baseUrl: "http://" + process.argv[2] }));
const greeting = await client.greet({ name: "TypeScript" });
if (!greeting.at) {
  throw new Error("no time");
}
console.log(greeting.text + ", from " + greeting.language);
process.exit(0); // the connection would stay open for a while

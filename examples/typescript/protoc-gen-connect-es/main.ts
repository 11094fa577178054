// Calls a service in the same process with the code that protoc-gen-es and
// protoc-gen-connect-es wrote into one folder.
import assert from "node:assert/strict";

import { MethodKind } from "@bufbuild/protobuf";
import { createPromiseClient, createRouterTransport } from "@connectrpc/connect";

import { Shop } from "./gen/examples/typescript/shop_connect";
import { Order } from "./gen/examples/typescript/shop_pb";

assert.equal(Shop.methods.watch.kind, MethodKind.ServerStreaming);

const transport = createRouterTransport(({ service }) => {
  service(Shop, { place: ({ order }) => ({ orderId: order?.id }) });
});
createPromiseClient(Shop, transport)
  .place({ order: new Order({ id: "o-1" }) })
  .then((answer) => {
    assert.equal(answer.orderId, "o-1");
    console.log("protoc-gen-connect-es: ok");
  });

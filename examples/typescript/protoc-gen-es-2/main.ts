// Writes and reads an order with the code that protoc-gen-es 2 generated.
import assert from "node:assert/strict";

import { create, equals, fromBinary, toBinary } from "@bufbuild/protobuf";
import { timestampDate, timestampFromDate } from "@bufbuild/protobuf/wkt";

import { Currency } from "./gen/examples/typescript/common/money_pb";
import { OrderSchema, Shop } from "./gen/examples/typescript/shop_pb";

const order = create(OrderSchema, {
  id: "o-1",
  placed: timestampFromDate(new Date("2026-01-02T03:04:05.678Z")),
  products: [{ id: "p-1", price: { currency: Currency.EUR, amount: -250n } }],
  pieces: { "p-1": 2 },
  payment: { case: "card", value: { number: "4111" } },
});

const read = fromBinary(OrderSchema, toBinary(OrderSchema, order));
assert.ok(equals(OrderSchema, read, order));
assert.equal(read.products[0].price?.amount, -250n);
assert.equal(timestampDate(read.placed!).toISOString(), "2026-01-02T03:04:05.678Z");
assert.equal(Shop.method.watch.methodKind, "server_streaming");
console.log("protoc-gen-es-2: ok");

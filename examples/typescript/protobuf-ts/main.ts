// Writes and reads an order with the code that protobuf-ts generated.
import assert from "node:assert/strict";

import { Currency } from "./gen/examples/typescript/common/money";
import { Order, Shop } from "./gen/examples/typescript/shop";
import { Timestamp } from "./gen/google/protobuf/timestamp";

const order = Order.create({
  id: "o-1",
  placed: Timestamp.fromDate(new Date("2026-01-02T03:04:05.678Z")),
  products: [{ id: "p-1", price: { currency: Currency.EUR, amount: -250n } }],
  pieces: { "p-1": 2 },
  payment: { oneofKind: "card", card: { number: "4111" } },
});

const read = Order.fromBinary(Order.toBinary(order));
assert.deepEqual(read, order);
assert.equal(read.products[0].price?.amount, -250n);
assert.equal(Timestamp.toDate(read.placed!).toISOString(), "2026-01-02T03:04:05.678Z");
assert.ok(Shop.methods.some((m) => m.name === "Watch" && m.serverStreaming));
console.log("protobuf-ts: ok");

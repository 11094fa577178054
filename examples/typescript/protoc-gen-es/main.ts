// Writes and reads an order with the code that protoc-gen-es generated.
import assert from "node:assert/strict";

import { Any, Duration, Struct, Timestamp } from "@bufbuild/protobuf";

import { Currency, Money } from "./gen/examples/typescript/common/money_pb";
import { Product, Product_Size } from "./gen/examples/typescript/product_pb";
import { Order } from "./gen/examples/typescript/shop_pb";

const price = new Money({ currency: Currency.EUR, amount: -250n });
const order = new Order({
  id: "o-1",
  placed: Timestamp.fromDate(new Date("2026-01-02T03:04:05.678Z")),
  delivery: new Duration({ seconds: 3600n, nanos: 5 }),
  products: [
    {
      id: "p-1",
      price,
      labels: { colour: "blue", kind: "mug" },
      sizes: [Product_Size.SMALL, Product_Size.LARGE],
      attributes: Struct.fromJson({ weight: 0.3, parts: ["handle", null, true] }),
      picture: { case: "png", value: new Uint8Array([1, 2, 3]) },
    },
  ],
  pieces: { "p-1": 2 },
  total: { currency: Currency.EUR, amount: -500n },
  notes: [Any.pack(price)],
  payment: { case: "card", value: { number: "4111" } },
});

const read = Order.fromBinary(order.toBinary());
assert.ok(read.equals(order));
assert.equal(read.placed?.toDate().toISOString(), "2026-01-02T03:04:05.678Z");
assert.equal(read.products[0].price?.amount, -250n);
assert.equal(read.payment.case === "card" && read.payment.value.number, "4111");
const note = new Money();
assert.ok(read.notes[0].unpackTo(note) && note.equals(price));
assert.equal(Product.typeName, "example.catalog.Product");
console.log("protoc-gen-es: ok");

// Writes and reads an order with the code that ts-proto generated.
import assert from "node:assert/strict";

import { Currency } from "./gen/examples/typescript/common/money";
import { Product_Size } from "./gen/examples/typescript/product";
import { Order, ShopService } from "./gen/examples/typescript/shop";

const order = Order.fromPartial({
  id: "o-1",
  placed: new Date("2026-01-02T03:04:05.678Z"),
  delivery: { seconds: 3600, nanos: 5 },
  products: [
    {
      id: "p-1",
      price: { currency: Currency.CURRENCY_EUR, amount: -250 },
      labels: { colour: "blue", kind: "mug" },
      sizes: [Product_Size.SIZE_SMALL, Product_Size.SIZE_LARGE],
      attributes: { weight: 0.3, parts: ["handle", null, true] },
      png: Buffer.from([1, 2, 3]),
    },
  ],
  pieces: { "p-1": 2 },
  total: { currency: Currency.CURRENCY_EUR, amount: -500 },
  notes: [{ typeUrl: "example.com/note", value: Buffer.from("hi") }],
  card: { number: "4111" },
});

const read = Order.decode(Order.encode(order).finish());
assert.deepEqual(Order.toJSON(read), Order.toJSON(order));
assert.deepEqual(read.placed, order.placed);
assert.equal(read.products[0].price?.amount, -250);
assert.deepEqual(read.products[0].attributes, { weight: 0.3, parts: ["handle", null, true] });
assert.equal(read.card?.number, "4111");
assert.equal(read.voucher, undefined);
assert.deepEqual(Order.fromJSON(Order.toJSON(order)), read);
assert.equal(ShopService.watch.responseStream, true);
console.log("ts-proto: ok");

// Writes and reads an order with the code that protoc-gen-ts generated.
import assert from "node:assert/strict";

import { example as common } from "./gen/examples/typescript/common/money";
import { example as catalog } from "./gen/examples/typescript/product";
import { example as shop } from "./gen/examples/typescript/shop";
import { google as any } from "./gen/google/protobuf/any";
import { google as duration } from "./gen/google/protobuf/duration";
import { google as struct } from "./gen/google/protobuf/struct";
import { google as timestamp } from "./gen/google/protobuf/timestamp";

const { Currency, Money } = common.common;
const { Product } = catalog.catalog;
const { Order } = shop.shop;

const order = new Order({
  id: "o-1",
  placed: new timestamp.protobuf.Timestamp({ seconds: 1767323045, nanos: 678000000 }),
  delivery: new duration.protobuf.Duration({ seconds: 3600, nanos: 5 }),
  products: [
    new Product({
      id: "p-1",
      price: new Money({ currency: Currency.CURRENCY_EUR, amount: -250 }),
      labels: new Map([["colour", "blue"], ["kind", "mug"]]),
      sizes: [Product.Size.SIZE_SMALL, Product.Size.SIZE_LARGE],
      attributes: new struct.protobuf.Struct({
        fields: new Map([["weight", new struct.protobuf.Value({ number_value: 0.3 })]]),
      }),
      png: new Uint8Array([1, 2, 3]),
    }),
  ],
  pieces: new Map([["p-1", 2]]),
  total: new Money({ currency: Currency.CURRENCY_EUR, amount: -500 }),
  notes: [new any.protobuf.Any({ type_url: "example.com/note", value: new Uint8Array([104, 105]) })],
  card: new Order.Card({ number: "4111" }),
});

const read = Order.deserialize(order.serialize());
assert.deepEqual(read.toObject(), order.toObject());
assert.equal(read.products[0].price.amount, -250);
assert.equal(read.products[0].labels.get("kind"), "mug");
assert.equal(read.products[0].attributes.fields.get("weight")?.number_value, 0.3);
assert.equal(read.payment, "card");
assert.equal(read.card.number, "4111");
assert.equal(shop.shop.UnimplementedShopService.definition.Watch.responseStream, true);
console.log("protoc-gen-ts: ok");

// Writes an item as JSON and reads it, and looks up the rules for its fields.
import assert from "node:assert/strict";

import { create, equals, fromJsonString, getOption, toJsonString } from "@bufbuild/protobuf";

import { field } from "./gen/buf/validate/validate_pb";
import { http } from "./gen/google/api/annotations_pb";
import { openapiv2_operation } from "./gen/protoc-gen-openapiv2/options/annotations_pb";
import { ItemSchema, Shop } from "./gen/shop/v1/shop_pb";

const item = create(ItemSchema, { id: "7", name: "Lamp", price: { currencyCode: "EUR", units: 30n } });
assert.ok(equals(ItemSchema, fromJsonString(ItemSchema, toJsonString(ItemSchema, item)), item));

const rules = getOption(ItemSchema.field.name, field).type;
assert.ok(rules.case === "string" && rules.value.maxLen === 80n);
assert.equal(getOption(Shop.method.getItem, http).pattern.value, "/v1/items/{id}");
assert.equal(getOption(Shop.method.getItem, openapiv2_operation).summary, "One item by its id");
console.log("gateway: ok");

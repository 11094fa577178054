"""The door to what every language shares.

- `proto_library`: .proto files and their descriptor set.
- `protobuf_plugins`: one target for every plugin of a plugins.lock.toml.
- `protobuf_toolchain`: protoc and the plugins, as `toolchains//:protobuf`.
- `ProtoInfo`: what a proto_library tells a rule of yours.
"""

load("//prelude:plugins.bzl", _protobuf_plugins = "protobuf_plugins")
load("//prelude:proto_library.bzl", _proto_library = "proto_library")
load("//prelude:providers.bzl", _ProtoInfo = "ProtoInfo")
load("//prelude:toolchain.bzl", _protobuf_toolchain = "protobuf_toolchain")

ProtoInfo = _ProtoInfo
proto_library = _proto_library
protobuf_plugins = _protobuf_plugins
protobuf_toolchain = _protobuf_toolchain

module github.com/birbparty/buck2-protobuf

go 1.26.0

require (
	github.com/BurntSushi/toml v1.6.0
	github.com/agext/levenshtein v1.2.3
	github.com/cenkalti/backoff/v5 v5.0.3
	golang.org/x/mod v0.42.0
	golang.org/x/net v0.62.0
)

require golang.org/x/text v0.43.0 // indirect

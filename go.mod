module github.com/birbparty/buck2-protobuf

go 1.26.0

require (
	github.com/BurntSushi/toml v1.6.0
	github.com/agext/levenshtein v1.2.3
	golang.org/x/mod v0.42.0
	golang.org/x/sys v0.49.0
)

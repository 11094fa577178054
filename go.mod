module github.com/birbparty/buck2-protobuf

go 1.26.0

require (
	github.com/BurntSushi/toml v1.6.0 // indirect
	github.com/agext/levenshtein v1.2.3 // indirect
	golang.org/x/mod v0.42.0 // indirect
)

// For `go build ./...` of the repository, which is not to build the programs in Go here: Buck2 does.
module example.com/grpc

go 1.26

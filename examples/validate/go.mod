// For `go build ./...` of the repository, which is not to build the program in Go here: Buck2 does.
module example.com/validate

go 1.26

// A server that prints its port, and serves until its standard input ends.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	"example.com/greet"
)

type greeter struct {
	greet.UnimplementedGreeterServer
}

func (greeter) Greet(_ context.Context, person *greet.Person) (*greet.Greeting, error) {
	return &greet.Greeting{Text: "Hello, " + person.Name, Language: "Go", At: timestamppb.Now()}, nil
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer()
	greet.RegisterGreeterServer(server, greeter{})
	go server.Serve(listener)
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	io.Copy(io.Discard, os.Stdin)
	server.Stop()
}

// Command server serves greetings by Connect until its input ends.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"

	"connectrpc.com/connect"

	"example.com/greet/greetpb"
)

type server struct{}

func (server) Greet(_ context.Context, r *connect.Request[greetpb.GreetRequest]) (*connect.Response[greetpb.GreetResponse], error) {
	return connect.NewResponse(&greetpb.GreetResponse{Greeting: "Hello, " + r.Msg.Name + "!"}), nil
}

func main() {
	mux := http.NewServeMux()
	mux.Handle(greetpb.NewGreetServiceHandler(server{}))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("http://%s\n", l.Addr())
	go func() { log.Fatal(http.Serve(l, mux)) }()
	io.Copy(io.Discard, os.Stdin)
}

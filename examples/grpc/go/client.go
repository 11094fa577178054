// A client of the server at HOST:PORT, which is its argument.
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"example.com/greet"
)

func main() {
	connection, err := grpc.NewClient(os.Args[1], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	greeting, err := greet.NewGreeterClient(connection).Greet(context.Background(), &greet.Person{Name: "Go"})
	if err != nil {
		log.Fatal(err)
	}
	if greeting.At == nil {
		log.Fatal("no time")
	}
	fmt.Println(greeting.Text + ", from " + greeting.Language)
}

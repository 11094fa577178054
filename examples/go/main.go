// Command notes writes and reads a note, and asks a server for it.
package main

import (
	"context"
	"fmt"
	"log"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"example.com/notes/notepb"
)

type server struct {
	notepb.UnimplementedNotesServer
}

func (server) Put(_ context.Context, n *notepb.Note) (*notepb.Note, error) {
	return &notepb.Note{Title: "Re: " + n.Title, Replies: []*notepb.Note{n}}, nil
}

func main() {
	note := &notepb.Note{
		Title:   "hello",
		Written: &timestamppb.Timestamp{Seconds: 1767323045},
		Votes:   map[string]int64{"up": 3, "down": -1},
	}
	data, err := proto.Marshal(note)
	if err != nil {
		log.Fatal(err)
	}
	read := &notepb.Note{}
	if err := proto.Unmarshal(data, read); err != nil {
		log.Fatal(err)
	}
	if !proto.Equal(read, note) {
		log.Fatalf("read %v, wrote %v", read, note)
	}

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	s := grpc.NewServer()
	notepb.RegisterNotesServer(s, server{})
	go s.Serve(l)
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	answer, err := notepb.NewNotesClient(conn).Put(context.Background(), note)
	if err != nil {
		log.Fatal(err)
	}
	if answer.Title != "Re: hello" || !proto.Equal(answer.Replies[0], note) {
		log.Fatalf("the server answered %v", answer)
	}
	fmt.Println("go: ok")
}

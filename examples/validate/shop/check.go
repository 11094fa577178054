// Reads an order in JSON from its argument, and prints the rules that it breaks.
package main

import (
	"errors"
	"fmt"
	"log"
	"os"

	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/encoding/protojson"

	"example.com/shop"
)

func main() {
	order := new(shop.Order)
	if err := protojson.Unmarshal([]byte(os.Args[1]), order); err != nil {
		log.Fatal(err)
	}
	err := protovalidate.Validate(order)
	var invalid *protovalidate.ValidationError
	if errors.As(err, &invalid) {
		for _, violation := range invalid.Violations {
			fmt.Println(violation.Proto.GetRuleId())
		}
		os.Exit(1)
	}
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("valid")
}

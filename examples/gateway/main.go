// Command gateway serves the shop as JSON over HTTP, and asks it for an item.
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/genproto/googleapis/type/money"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	shopv1 "example.com/shop/v1"
)

type server struct {
	shopv1.UnimplementedShopServer
}

func (server) GetItem(_ context.Context, r *shopv1.GetItemRequest) (*shopv1.Item, error) {
	if r.Id != "7" {
		return nil, status.Error(codes.NotFound, "there is no item "+r.Id)
	}
	return &shopv1.Item{Id: r.Id, Name: "Lamp", Price: &money.Money{CurrencyCode: "EUR", Units: 30}}, nil
}

func main() {
	mux := runtime.NewServeMux()
	if err := shopv1.RegisterShopHandlerServer(context.Background(), mux, server{}); err != nil {
		log.Fatal(err)
	}
	for path, want := range map[string]int{"/v1/items/7": http.StatusOK, "/v1/items/8": http.StatusNotFound, "/v2/items/7": http.StatusNotFound} {
		answer := httptest.NewRecorder()
		mux.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, path, nil))
		if answer.Code != want {
			log.Fatalf("GET %s: status %d, want %d: %s", path, answer.Code, want, answer.Body)
		}
		if want == http.StatusOK {
			item := &shopv1.Item{}
			if err := (&runtime.JSONPb{}).Unmarshal(answer.Body.Bytes(), item); err != nil {
				log.Fatal(err)
			}
			if item.Name != "Lamp" || item.Price.GetUnits() != 30 {
				log.Fatalf("GET %s: %v", path, item)
			}
		}
	}
	fmt.Println("gateway: ok")
}

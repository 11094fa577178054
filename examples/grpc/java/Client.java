import greet.GreeterGrpc;
import greet.Person;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;

/** A client of the server at HOST:PORT, which is its argument. */
class Client {
  public static void main(String[] args) throws Exception {
    var channel = Grpc.newChannelBuilder(args[0], InsecureChannelCredentials.create()).build();
    var greeting =
        GreeterGrpc.newBlockingStub(channel)
            .greet(Person.newBuilder().setName("Java").build());
    channel.shutdownNow();
    if (!greeting.hasAt()) {
      throw new IllegalStateException("no time");
    }
    System.out.println(greeting.getText() + ", from " + greeting.getLanguage());
  }
}

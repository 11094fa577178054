import com.google.protobuf.Timestamp;
import greet.GreeterGrpc;
import greet.Greeting;
import greet.Person;
import io.grpc.Grpc;
import io.grpc.InsecureServerCredentials;
import io.grpc.stub.StreamObserver;
import java.time.Instant;

/** A server that prints its port, and serves until its standard input ends. */
class Server {
  static class Greeter extends GreeterGrpc.GreeterImplBase {
    @Override
    public void greet(Person person, StreamObserver<Greeting> answer) {
      answer.onNext(
          Greeting.newBuilder()
              .setText("Hello, " + person.getName())
              .setLanguage("Java")
              .setAt(Timestamp.newBuilder().setSeconds(Instant.now().getEpochSecond()))
              .build());
      answer.onCompleted();
    }
  }

  public static void main(String[] args) throws Exception {
    var server =
        Grpc.newServerBuilderForPort(0, InsecureServerCredentials.create())
            .addService(new Greeter())
            .build()
            .start();
    System.out.println(server.getPort());
    System.in.readAllBytes();
    server.shutdownNow().awaitTermination();
  }
}

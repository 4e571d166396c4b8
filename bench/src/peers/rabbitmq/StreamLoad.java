import com.rabbitmq.stream.Address;
import com.rabbitmq.stream.ConfirmationHandler;
import com.rabbitmq.stream.Environment;
import com.rabbitmq.stream.OffsetSpecification;
import com.rabbitmq.stream.Producer;
import java.util.concurrent.atomic.LongAdder;

/**
 * Loads one RabbitMQ stream with the Java client, as stream-perf-test does, which no package registry has. Prints a line a
 * second: seconds, records confirmed and records received since the line before.
 *
 * Arguments: host port stream seconds valueBytes batchSize subEntrySize unconfirmedMax consumers
 */
public class StreamLoad {
  public static void main(String[] args) throws Exception {
    String host = args[0];
    int port = Integer.parseInt(args[1]);
    String stream = args[2];
    int seconds = Integer.parseInt(args[3]);
    byte[] value = new byte[Integer.parseInt(args[4])];
    int batchSize = Integer.parseInt(args[5]);
    int subEntrySize = Integer.parseInt(args[6]);
    int unconfirmedMax = Integer.parseInt(args[7]);
    int consumers = Integer.parseInt(args[8]);
    LongAdder confirmed = new LongAdder();
    LongAdder received = new LongAdder();
    LongAdder refused = new LongAdder();
    Address address = new Address(host, port);
    try (Environment environment =
        Environment.builder().host(host).port(port).addressResolver(any -> address).build()) {
      environment.streamCreator().stream(stream).create();
      for (int index = 0; index < consumers; index++) {
        environment
            .consumerBuilder()
            .stream(stream)
            .offset(OffsetSpecification.next())
            .flow()
            .initialCredits(10)
            .builder()
            .messageHandler((context, message) -> received.increment())
            .build();
      }
      Producer producer =
          environment
              .producerBuilder()
              .stream(stream)
              .batchSize(batchSize)
              .subEntrySize(subEntrySize)
              .maxUnconfirmedMessages(unconfirmedMax)
              .build();
      ConfirmationHandler onConfirm =
          status -> {
            if (status.isConfirmed()) confirmed.increment();
            else refused.increment();
          };
      long startNanos = System.nanoTime();
      long endNanos = startNanos + seconds * 1_000_000_000L;
      Thread reporter = new Thread(() -> report(startNanos, confirmed, received));
      reporter.setDaemon(true);
      reporter.start();
      while (System.nanoTime() < endNanos) {
        for (int index = 0; index < 100; index++) {
          producer.send(producer.messageBuilder().addData(value).build(), onConfirm);
        }
      }
      System.out.flush();
      if (refused.sum() > 0) throw new IllegalStateException("refused: " + refused.sum());
      Runtime.getRuntime().halt(0);
    }
  }

  private static void report(long startNanos, LongAdder confirmed, LongAdder received) {
    long before = startNanos;
    while (true) {
      try {
        Thread.sleep(1000);
      } catch (InterruptedException error) {
        return;
      }
      long now = System.nanoTime();
      double seconds = (now - startNanos) / 1e9;
      double length = (now - before) / 1e9;
      before = now;
      long confirms = confirmed.sumThenReset();
      long receipts = received.sumThenReset();
      System.out.printf(
          "time %.3f s, confirmed: %.0f msg/s, received: %.0f msg/s%n",
          seconds, confirms / length, receipts / length);
    }
  }
}

# RabbitMQ: Debian's server; PerfTest and the Java client of streams from Maven's central repository, which has no
# server and no stream-perf-test.
RABBITMQ_PERF_TEST_VERSION=2.22.1
RABBITMQ_STREAM_CLIENT_VERSION=1.11.0
. "$here/maven.sh"

find_peer() {
  if ! has rabbitmq-server; then echo "rabbitmq-server is missing"; return 1; fi
  java_ready || return 1
  for jar in rabbitmq/perf-test-$RABBITMQ_PERF_TEST_VERSION.jar \
    rabbitmq-stream/stream-client-$RABBITMQ_STREAM_CLIENT_VERSION.jar; do
    if [ ! -f "$MILLRACE_PEERS_DIR/$jar" ]; then echo "$(basename "$jar" .jar) is missing"; return 1; fi
  done
  version=$(basename /usr/lib/rabbitmq/lib/rabbitmq_server-* | sed 's/.*-//')
  echo "rabbitmq-server $version (MPL-2.0), perf-test $RABBITMQ_PERF_TEST_VERSION, stream-client $RABBITMQ_STREAM_CLIENT_VERSION"
}

install_peer() {
  install_java || return 1
  has rabbitmq-server || debian_packages rabbitmq-server || return 1
  maven_jars rabbitmq "com.rabbitmq:perf-test:$RABBITMQ_PERF_TEST_VERSION" || return 1
  maven_jars rabbitmq-stream "com.rabbitmq:stream-client:$RABBITMQ_STREAM_CLIENT_VERSION"
}

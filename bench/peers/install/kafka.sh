# Apache Kafka: one broker that is its own controller (KRaft), and its perf tools. 4.3.1 is the newest release whose
# kafka-tools, which hold both, are in Maven's central repository.
KAFKA_VERSION=4.3.1
KAFKA_LOG4J_VERSION=2.25.4
. "$here/maven.sh"

find_peer() {
  java_ready || return 1
  if [ ! -f "$MILLRACE_PEERS_DIR/kafka/kafka-server-$KAFKA_VERSION.jar" ]; then
    echo "kafka $KAFKA_VERSION is missing"
    return 1
  fi
  echo "kafka $KAFKA_VERSION (Apache-2.0)"
}

install_peer() {
  install_java || return 1
  maven_jars kafka "org.apache.kafka:kafka_2.13:$KAFKA_VERSION" "org.apache.kafka:kafka-tools:$KAFKA_VERSION" \
    "org.apache.logging.log4j:log4j-slf4j-impl:$KAFKA_LOG4J_VERSION"
}

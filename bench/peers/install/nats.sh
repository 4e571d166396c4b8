# NATS: core and JetStream; its command line tool is the native load generator.
NATS_SERVER_VERSION=v2.15.2
NATS_CLI_VERSION=v0.5.1

find_peer() {
  if ! has nats-server; then echo "nats-server is missing"; return 1; fi
  if ! has nats; then echo "nats (the command line tool) is missing"; return 1; fi
  echo "nats-server $(nats-server --version | sed 's/.*v//'), nats $(nats --version | sed 's/^v//') (Apache-2.0)"
}

install_peer() {
  has nats-server || go_program github.com/nats-io/nats-server/v2 "$NATS_SERVER_VERSION" || return 1
  has nats || go_program github.com/nats-io/natscli/nats "$NATS_CLI_VERSION"
}

# Redis: pub/sub and Streams. A newer redis-server and redis-benchmark in MILLRACE_PEERS_DIR/bin come first.
find_peer() {
  if ! has redis-server; then echo "redis-server is missing"; return 1; fi
  if ! has redis-benchmark; then echo "redis-benchmark is missing"; return 1; fi
  version=$(redis-server --version | sed -n 's/.*v=\([0-9.]*\).*/\1/p')
  case $version in
    [0-6].* | 7.[0-3].* | 7.[0-3]) licence=BSD-3-Clause ;;
    7.*) licence="RSALv2 or SSPLv1" ;;
    *) licence="AGPL-3.0, RSALv2 or SSPLv1" ;;
  esac
  echo "redis-server $version ($licence)"
}

install_peer() { debian_packages redis-server redis-tools; }

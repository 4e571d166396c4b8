# Mosquitto: MQTT.
find_peer() {
  if ! has mosquitto; then echo "mosquitto is missing"; return 1; fi
  if ! has mosquitto_sub; then echo "mosquitto_sub is missing"; return 1; fi
  version=$(mosquitto -h | sed -n '1s/mosquitto version //p')
  echo "mosquitto $version (EPL-2.0 or EDL-1.0)"
}

install_peer() { debian_packages mosquitto mosquitto-clients; }

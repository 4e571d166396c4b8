# For the peers in install/ that come from Maven's central repository; expects `has` and `debian_packages` of setup.sh.

java_ready() { has java || { echo "java is missing"; return 1; }; }

install_java() { has java && has mvn || debian_packages openjdk-17-jdk-headless maven; }

# maven_jars FOLDER GROUP:ARTIFACT:VERSION...: those jars and all that they need, into MILLRACE_PEERS_DIR/FOLDER.
maven_jars() {
  maven_folder=$MILLRACE_PEERS_DIR/$1
  shift
  # Only a complete folder takes the place.
  maven_work=$maven_folder.new
  rm -rf "$maven_work" && mkdir -p "$maven_work" || return 1
  {
    echo '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
    echo '<groupId>millrace</groupId><artifactId>peers</artifactId><version>1</version><packaging>pom</packaging>'
    echo '<dependencies>'
    for maven_jar in "$@"; do
      maven_rest=${maven_jar#*:}
      echo "<dependency><groupId>${maven_jar%%:*}</groupId><artifactId>${maven_rest%%:*}</artifactId>"
      echo "<version>${maven_rest#*:}</version></dependency>"
    done
    echo '</dependencies></project>'
  } >"$maven_work/pom.xml"
  if ! maven_output=$(mvn -q -B -f "$maven_work/pom.xml" dependency:copy-dependencies \
    -DincludeScope=runtime -DoutputDirectory="$maven_work" 2>&1); then
    echo "mvn failed: $(printf '%s\n' "$maven_output" | grep -m 1 ERROR | cut -c 1-200)"
    return 1
  fi
  rm -rf "$maven_folder" && mv "$maven_work" "$maven_folder"
}

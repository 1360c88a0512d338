# shellcheck shell=bash
# One Apache Kafka broker (KRaft, one node) on free ports of the loopback, for the scripts beside this file.
#
# Source it with $work set to a folder of your own, call broker_begin, and call broker_end when you leave. Clients find
# the broker at $BROKER. Needed: java 17 or newer, and mvn, which fetches the jars from Maven Central.

kafka_version=4.3.1
: "${work:?a folder of your own}"
unset BROKER CONTROLLER SPARE broker_pid

# Choose free ports: $BROKER, $CONTROLLER, and $SPARE for a listener of your own.
broker_ports() {
  # Below the range that the system gives to outgoing connections, so that none of them takes the port of a broker that
  # is down for a moment.
  read -r BROKER CONTROLLER SPARE < <(python3 - <<'PY'
import random, socket
found = []
while len(found) < 3:
    address = ("127.0.0.1", random.randrange(20_000, 32_000))
    with socket.socket() as probe:
        if address not in found and probe.connect_ex(address):
            found.append(address)
print(*(f"{host}:{port}" for host, port in found))
PY
  )
  export BROKER CONTROLLER SPARE
}

# Further lines of server.properties; where one names a setting again, it holds.
broker_settings=()

# Fetch the jars, choose the ports unless that was done, format the data, start.
broker_begin() {
  local tool
  for tool in java mvn python3; do
    command -v "$tool" >/dev/null || { echo "this finding needs $tool" >&2; exit 2; }
  done
  mkdir -p "$work/broker"
  cat >"$work/broker/pom.xml" <<POM
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>findings</groupId><artifactId>broker</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>$kafka_version</version>
    </dependency>
    <dependency>
      <groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>2.24.3</version>
    </dependency>
  </dependencies>
  <build><pluginManagement><plugins><plugin>
    <groupId>org.apache.maven.plugins</groupId><artifactId>maven-dependency-plugin</artifactId><version>3.8.1</version>
  </plugin></plugins></pluginManagement></build>
</project>
POM
  mvn -B -q -f "$work/broker/pom.xml" dependency:copy-dependencies -DincludeScope=runtime \
    "-DoutputDirectory=$work/broker/jars" >"$work/broker/mvn.log" 2>&1 || { cat "$work/broker/mvn.log" >&2; exit 2; }
  [[ -n "${BROKER:-}" ]] || broker_ports
  {
    printf '%s\n' process.roles=broker,controller node.id=1 controller.listener.names=CONTROLLER \
      "controller.quorum.voters=1@$CONTROLLER" inter.broker.listener.name=PLAINTEXT \
      "listeners=PLAINTEXT://$BROKER,CONTROLLER://$CONTROLLER" "advertised.listeners=PLAINTEXT://$BROKER" \
      listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT "log.dirs=$work/broker/data" \
      auto.create.topics.enable=false offsets.topic.num.partitions=1 offsets.topic.replication.factor=1 \
      transaction.state.log.num.partitions=1 transaction.state.log.replication.factor=1 \
      transaction.state.log.min.isr=1 group.initial.rebalance.delay.ms=0 group.min.session.timeout.ms=1000
    printf '%s\n' ${broker_settings[@]+"${broker_settings[@]}"}
  } >"$work/broker/server.properties"
  printf '%s\n' appender.out.type=Console appender.out.name=out appender.out.layout.type=PatternLayout \
    'appender.out.layout.pattern=%d %p %m (%c{1})%n' rootLogger.level=info rootLogger.appenderRef.out.ref=out \
    >"$work/broker/log4j2.properties"
  local id
  id="$(python3 -c 'import base64, uuid; print(base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("="))')"
  java -cp "$work/broker/jars/*" kafka.tools.StorageTool format "--cluster-id=$id" \
    -c "$work/broker/server.properties" >"$work/broker/format.log" 2>&1
  broker_start
}

# Start it with the data that it has; return when it serves.
broker_start() {
  : >"$work/broker/out.log"
  java -Xms256m -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
    "-Dlog4j2.configurationFile=$work/broker/log4j2.properties" -cp "$work/broker/jars/*" \
    kafka.Kafka "$work/broker/server.properties" >"$work/broker/out.log" 2>&1 &
  broker_pid=$!
  export broker_pid
  local tries
  for ((tries = 0; tries < 600; tries++)); do
    grep -q 'Kafka Server started' "$work/broker/out.log" && return 0
    kill -0 "$broker_pid" 2>/dev/null || break
    sleep 0.2
  done
  echo "the broker did not start:" >&2
  tail -n 20 "$work/broker/out.log" >&2
  exit 2
}

# End it; harmless where there is none.
broker_end() {
  [[ -z "${broker_pid:-}" ]] && return 0
  kill -CONT "$broker_pid" 2>/dev/null || true
  kill -KILL "$broker_pid" 2>/dev/null || true
  wait "$broker_pid" 2>/dev/null || true
  broker_pid=
}

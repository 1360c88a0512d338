#!/usr/bin/env bash
# A deletion that Kafka Connect writes as JSON is no tombstone.
#
# With:        Kafka Connect's JsonConverter 4.3.1 with its defaults
# Expected:    a source connector that gives a null value (a row was deleted) makes a record without a value: a
#              tombstone, by which compaction removes the key and consumers forget it.
# So it is:    where the null comes with its schema, the converter (schemas.enable=true is the default) wraps it:
#              {"schema": ..., "payload": null}; with schemas off it writes the four bytes of JSON's null. Both are
#              values: nothing is compacted, and no consumer learns of it. Only a null that comes without a schema
#              is a tombstone.
# Seen:        2026-11-30: by default, a null with a schema: {"schema":{...},"payload":null}, without one: a tombstone;
#              schemas.enable=false, with a schema: null, as text
# The product: reads both as a record without a value, and the key in the forms that serializers give it:
#              stream_rec/core/events/tombstones.py
set -euo pipefail
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
for tool in java javac mvn; do
  command -v "$tool" >/dev/null || { echo "this finding needs $tool" >&2; exit 2; }
done
cat >"$work/pom.xml" <<'POM'
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>findings</groupId><artifactId>connect</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>connect-json</artifactId><version>4.3.1</version>
    </dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-nop</artifactId><version>1.7.36</version></dependency>
  </dependencies>
  <build><pluginManagement><plugins><plugin>
    <groupId>org.apache.maven.plugins</groupId><artifactId>maven-dependency-plugin</artifactId><version>3.8.1</version>
  </plugin></plugins></pluginManagement></build>
</project>
POM
mvn -B -q -f "$work/pom.xml" dependency:copy-dependencies -DincludeScope=runtime "-DoutputDirectory=$work/jars" \
  >"$work/mvn.log" 2>&1 || { cat "$work/mvn.log" >&2; exit 2; }

cat >"$work/Show.java" <<'JAVA'
import java.nio.charset.StandardCharsets;
import java.util.Map;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.SchemaBuilder;
import org.apache.kafka.connect.json.JsonConverter;

public class Show {
    public static void main(String[] arguments) {
        Schema click = SchemaBuilder.struct().optional().field("item_id", Schema.STRING_SCHEMA).build();
        JsonConverter byDefault = new JsonConverter();
        byDefault.configure(Map.of(), false);
        JsonConverter plain = new JsonConverter();
        plain.configure(Map.of("schemas.enable", "false"), false);
        show("by default, null with a schema", byDefault.fromConnectData("clicks", click, null));
        show("by default, null without a schema", byDefault.fromConnectData("clicks", null, null));
        show("schemas.enable=false, null with a schema", plain.fromConnectData("clicks", click, null));
    }

    static void show(String what, byte[] value) {
        String shown = value == null ? "a tombstone" : "the text " + new String(value, StandardCharsets.UTF_8);
        System.out.println(what + ": " + shown);
    }
}
JAVA
seen="$(java -cp "$work/jars/*" "$work/Show.java")"
printf '%s\n' "$seen"
schema='{"type":"struct","fields":[{"type":"string","optional":false,"field":"item_id"}],"optional":true}'
wanted="by default, null with a schema: the text {\"schema\":$schema,\"payload\":null}
by default, null without a schema: a tombstone
schemas.enable=false, null with a schema: the text null"
[[ "$seen" == "$wanted" ]] || { echo changed >&2; exit 1; }

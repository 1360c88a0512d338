import java.util.Base64;
import java.util.Date;
import java.util.Map;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.SchemaBuilder;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.data.Timestamp;
import org.apache.kafka.connect.json.JsonConverter;

/** Prints what Kafka Connect's JsonConverter makes of clicks: key and value in Base64, `-` for none; a line for each. */
public class ConnectClicks {
    public static void main(String[] arguments) {
        boolean schemas = Boolean.parseBoolean(arguments[0]);
        JsonConverter keys = new JsonConverter();
        JsonConverter values = new JsonConverter();
        keys.configure(Map.of("schemas.enable", schemas), true);
        values.configure(Map.of("schemas.enable", schemas), false);
        Schema key = SchemaBuilder.struct().field("session_id", Schema.STRING_SCHEMA).build();
        Schema click = SchemaBuilder.struct().optional()
            .field("session_id", Schema.STRING_SCHEMA)
            .field("item_id", Schema.INT64_SCHEMA)
            .field("timestamp", Timestamp.SCHEMA)
            .field("type", Schema.OPTIONAL_STRING_SCHEMA)
            .field("price", Schema.FLOAT64_SCHEMA)
            .build();
        for (int n = 0; n < 8; n++) {
            Struct visit = new Struct(key).put("session_id", "s" + n / 4);
            Struct value = new Struct(click).put("session_id", "s" + n / 4).put("item_id", (long) n)
                .put("timestamp", new Date(1_714_557_600_000L + n * 1000)).put("price", 9.5)
                .put("type", n % 2 == 0 ? null : "cart");
            print(keys.fromConnectData("clicks", key, visit), values.fromConnectData("clicks", click, value));
        }
        Struct gone = new Struct(key).put("session_id", "s0");
        print(keys.fromConnectData("clicks", key, gone), values.fromConnectData("clicks", click, null));
        gone = new Struct(key).put("session_id", "s1");
        print(keys.fromConnectData("clicks", key, gone), values.fromConnectData("clicks", null, null));
    }

    static void print(byte[] key, byte[] value) {
        Base64.Encoder text = Base64.getEncoder();
        System.out.println(text.encodeToString(key) + " " + (value == null ? "-" : text.encodeToString(value)));
    }
}

use super::{Printed, date};

/// As the collector 0.152.0 printed them.
const LINES: &str = "\
Traces\t{\"resource spans\": 1, \"spans\": 2}
ResourceSpans #0
Resource SchemaURL: x
Resource attributes:
     -> a: Str(b
c)
     -> k: Int(5)
ScopeSpans #0
ScopeSpans SchemaURL: 
InstrumentationScope n v
Span #0
    Trace ID       : 01010101010101010101010101010101
    Parent ID      : 
    ID             : 0101010101010101
    Name           : q
    Kind           : Server
    Start time     : 1970-01-01 00:00:01.5 +0000 UTC
    End time       : 1970-01-01 00:00:02 +0000 UTC
    Status code    : Unset
    Status message : 
    DroppedAttributesCount: 0
    DroppedEventsCount: 0
    DroppedLinksCount: 0
Events:
SpanEvent #0
     -> Name: e
     -> Timestamp: 1970-01-01 00:00:00.000000001 +0000 UTC
     -> DroppedAttributesCount: 0
     -> Attributes::
          -> t: Bool(true)
Links:
SpanLink #0
     -> Trace ID: 01010101010101010101010101010101
     -> ID: 0101010101010101
     -> TraceState: 
     -> DroppedAttributesCount: 0
     -> Attributes::
          -> t: Bool(true)
Span #1
    Trace ID       : 01010101010101010101010101010101
    Parent ID      : 0101010101010101
    ID             : 0101010101010102
    Name           : p
    Kind           : Internal
    Start time     : 2024-02-29 23:59:59.123456789 +0000 UTC
    End time       : 2026-12-31 00:00:00 +0000 UTC
    Status code    : Error
    Status message : 
    DroppedAttributesCount: 0
    DroppedEventsCount: 0
    DroppedLinksCount: 7
";

/// What they are of.
const JSON: &str = r#"{"resourceSpans":[{"schemaUrl":"x","resource":{"attributes":[
{"key":"a","value":{"stringValue":"b\nc"}},{"key":"k","value":{"intValue":"5"}}]},
"scopeSpans":[{"scope":{"name":"n","version":"v"},"spans":[
{"traceId":"01010101010101010101010101010101","spanId":"0101010101010101","name":"q","kind":2,
"startTimeUnixNano":"1500000000","endTimeUnixNano":"2000000000",
"events":[{"name":"e","timeUnixNano":"1","attributes":[{"key":"t","value":{"boolValue":true}}]}],
"links":[{"traceId":"01010101010101010101010101010101","spanId":"0101010101010101",
"attributes":[{"key":"t","value":{"boolValue":true}}]}]},
{"traceId":"01010101010101010101010101010101","spanId":"0101010101010102","parentSpanId":"0101010101010101","name":"p",
"kind":1,"startTimeUnixNano":"1709251199123456789","endTimeUnixNano":"1798675200000000000","status":{"code":2},
"droppedLinksCount":7}]}]}]}"#;

fn printed(lines: &str) -> Printed {
    Printed::read(&lines.split('\n').map(str::to_owned).collect::<Vec<_>>()).unwrap()
}

#[test]
fn what_is_printed_is_what_would_be() {
    let reported = Printed::of(&[serde_json::from_str(JSON).unwrap()]).unwrap();
    printed(LINES).equal(&reported).unwrap();
    assert_eq!(reported.to_string(), "2 spans, 1 links, 1 events");
}

#[test]
fn one_letter_makes_a_difference() {
    for (was, is) in
        [(" 0101010101010102\n", " 0101010101010103\n"), ("Int(5)", "Int(6)"), (".000000001", ".000000002")]
    {
        let reported = printed(LINES);
        assert!(printed(&LINES.replace(was, is)).equal(&reported).is_err(), "{was:?}");
        assert!(reported.equal(&printed(&LINES.replace(was, is))).is_err(), "{was:?}");
    }
    let fewer = LINES.split("Span #1").next().unwrap();
    assert!(printed(fewer).equal(&printed(LINES)).is_err());
    assert!(printed(&format!("{LINES}\n{LINES}")).equal(&printed(LINES)).is_err());
}

#[test]
fn dates_are_right() {
    assert_eq!(date::utc(0), "1970-01-01 00:00:00 +0000 UTC");
    assert_eq!(date::utc(951_782_400_000_000_000), "2000-02-29 00:00:00 +0000 UTC");
    assert_eq!(date::utc(4_107_542_399_900_000_000), "2100-02-28 23:59:59.9 +0000 UTC");
    assert_eq!(date::utc(4_107_542_400_000_000_000), "2100-03-01 00:00:00 +0000 UTC");
}

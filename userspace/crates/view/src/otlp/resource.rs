//! Whose spans they are.

use std::borrow::Cow;

use opentelemetry_proto::tonic::{common::v1::KeyValue, resource::v1::Resource};
use percent_encoding::percent_decode_str;

use super::attributes::{number, text};
use super::ids::SpanIds;
use asyncscope_trace::facts::Facts;

/// Attributes that the user may add, and the length of one's value in characters.
const MAX_GIVEN: usize = 128;
const MAX_VALUE: usize = 4096;

/// Returns what is known about the process; what the user says of it has precedence.
pub(super) fn resource(facts: &Facts, environment: &dyn Fn(&str) -> Option<String>) -> Resource {
    let mut attributes = known(facts);
    let given = environment("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
    for (key, value) in given.split(',').filter_map(pair).take(MAX_GIVEN) {
        put(&mut attributes, &key, value);
    }
    if let Some(name) = environment("OTEL_SERVICE_NAME").filter(|name| !name.is_empty()) {
        put(&mut attributes, "service.name", name);
    }
    Resource { attributes, ..Resource::default() }
}

fn known(facts: &Facts) -> Vec<KeyValue> {
    let process = &facts.process;
    let mut attributes = vec![
        text("service.name", process.name.clone()),
        text("service.instance.id", SpanIds::new(facts).instance()),
        number("process.pid", process.pid.into()),
        text("process.executable.name", process.name.clone()),
        text("process.executable.path", process.executable.clone()),
        text("telemetry.sdk.name", "asyncscope"),
        text("telemetry.sdk.language", "rust"),
        text("telemetry.sdk.version", env!("CARGO_PKG_VERSION")),
    ];
    if let Some(build_id) = &process.build_id {
        attributes.push(text("process.executable.build_id.gnu", build_id.clone()));
    }
    if !facts.host.is_empty() {
        attributes.push(text("host.name", facts.host.clone()));
    }
    if let Some(tokio) = &facts.tokio {
        attributes.push(text("asyncscope.tokio.version", tokio.clone()));
    }
    attributes
}

fn put(attributes: &mut Vec<KeyValue>, key: &str, value: String) {
    attributes.retain(|attribute| attribute.key != key);
    attributes.push(text(key, value));
}

/// `key=value`, percent-encoded.
fn pair(text: &str) -> Option<(String, String)> {
    let (key, value) = text.split_once('=')?;
    let decoded = |text: &str| percent_decode_str(text.trim()).decode_utf8().ok().map(Cow::into_owned);
    let (key, value) = (decoded(key)?, decoded(value)?);
    (!key.is_empty()).then(|| (key, value.chars().take(MAX_VALUE).collect()))
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::common::v1::any_value::Value;

    use super::*;
    use asyncscope_trace::facts::ProcessFacts;

    fn shown(variables: &[(&str, &str)]) -> Vec<String> {
        let process = ProcessFacts { pid: 7, name: "svc".into(), executable: "/bin/svc".into(), build_id: None };
        let environment = |name: &str| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let resource = resource(&Facts { process, ..Facts::default() }, &environment);
        let text = |attribute: KeyValue| match attribute.value.and_then(|value| value.value) {
            Some(Value::StringValue(value)) => format!("{}={value}", attribute.key),
            other => format!("{}={other:?}", attribute.key),
        };
        resource.attributes.into_iter().map(text).collect()
    }

    #[test]
    fn the_process_names_the_service_unless_the_user_does() {
        assert!(shown(&[]).contains(&"service.name=svc".into()));
        let attributes = ("OTEL_RESOURCE_ATTRIBUTES", "service.name=a,deployment.environment.name=x%2Cy, bad");
        let given = shown(&[attributes]);
        assert!(given.contains(&"service.name=a".into()));
        assert!(given.contains(&"deployment.environment.name=x,y".into()));
        let both = shown(&[attributes, ("OTEL_SERVICE_NAME", "b")]);
        assert!(both.contains(&"service.name=b".into()));
        assert_eq!(both.iter().filter(|shown| shown.starts_with("service.name=")).count(), 1);
    }
}

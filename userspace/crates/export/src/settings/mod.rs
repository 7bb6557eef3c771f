//! Where to send and how, as the OpenTelemetry specification has it: from `--otlp` and the environment.
//!
//! <https://opentelemetry.io/docs/specs/otel/protocol/exporter/>

use std::{path::PathBuf, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, Uri, uri::PathAndQuery};
use percent_encoding::percent_decode_str;
use thiserror::Error;

/// The specification's default.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The path of traces over HTTP, below the endpoint.
const TRACES: &str = "/v1/traces";
/// The method of the collector's service, which is the path over gRPC.
const METHOD: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
/// The port that is registered for OTLP over gRPC.
const GRPC_PORT: u16 = 4317;

/// The protocol of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// OTLP/gRPC.
    Grpc,
    /// OTLP/HTTP with protobuf bodies.
    Http,
}

/// The compression of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// Not.
    #[default]
    None,
    /// gzip.
    Gzip,
}

/// The address to send to, and the manner.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The protocol of a batch.
    pub protocol: Protocol,
    /// The whole address a batch is sent to.
    pub to: Uri,
    /// Headers, or gRPC metadata, of every request. May hold secrets: never shown.
    pub headers: HeaderMap,
    /// The time that one attempt may take.
    pub timeout: Duration,
    /// The compression of a batch.
    pub compression: Compression,
    /// A file with the certificates (PEM) to trust instead of the system's.
    pub certificate: Option<PathBuf>,
    /// Files with the client's own certificates and key (PEM).
    pub client: Option<(PathBuf, PathBuf)>,
}

/// An error in the settings.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum SettingsError {
    /// The endpoint cannot be used.
    #[error("{from} is no address that spans can be sent to ({why}); one such is http://localhost:4317")]
    Endpoint {
        /// The option or variable.
        from: String,
        /// The error.
        why: &'static str,
    },
    /// A value that has no meaning here.
    #[error("{variable} is not {expected}")]
    Variable {
        /// The variable.
        variable: String,
        /// The values it may have.
        expected: &'static str,
    },
    /// One of a pair is missing.
    #[error("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and OTEL_EXPORTER_OTLP_CLIENT_KEY go together: one is missing")]
    HalfClient,
}

/// The environment, and the names under which a variable may stand in it.
struct Variables<'a>(&'a dyn Fn(&str) -> Option<String>);

impl Variables<'_> {
    /// The variable's name and value: that for traces before that for all signals. An empty one is as
    /// good as none.
    fn get(&self, what: &str) -> Option<(String, String)> {
        let names = [format!("OTEL_EXPORTER_OTLP_TRACES_{what}"), format!("OTEL_EXPORTER_OTLP_{what}")];
        names.into_iter().find_map(|name| {
            let value = (self.0)(&name)?.trim().to_owned();
            (!value.is_empty()).then_some((name, value))
        })
    }

    fn path(&self, what: &str) -> Option<PathBuf> {
        self.get(what).map(|(_, path)| path.into())
    }
}

impl Settings {
    /// From the address given with `--otlp`, if one was, and the environment.
    ///
    /// # Errors
    ///
    /// Which value cannot be used, and what it may be. Values are not repeated: they may be secrets.
    pub fn new(url: Option<&str>, environment: &dyn Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let variables = Variables(environment);
        let protocol = protocol(&variables)?;
        let (protocol, to) = match (url, variables.get("ENDPOINT")) {
            (Some(url), _) => base("--otlp", url, protocol, &variables)?,
            (None, Some((name, url))) if name.contains("_TRACES_") => as_it_is(&name, &url, protocol, &variables)?,
            (None, Some((name, url))) => base(&name, &url, protocol, &variables)?,
            (None, None) if protocol == Some(Protocol::Grpc) => {
                base("--otlp", "http://localhost:4317", protocol, &variables)?
            }
            (None, None) => base("--otlp", "http://localhost:4318", protocol, &variables)?,
        };
        let client = match (variables.path("CLIENT_CERTIFICATE"), variables.path("CLIENT_KEY")) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => return Err(SettingsError::HalfClient),
        };
        Ok(Self {
            protocol,
            to,
            headers: headers(&variables)?,
            timeout: timeout(&variables)?,
            compression: compression(&variables)?,
            certificate: variables.path("CERTIFICATE"),
            client,
        })
    }

    /// The address without what may be secret in it, and the protocol.
    #[must_use]
    pub fn shown(&self) -> String {
        let authority = self.to.authority().map_or("", |authority| authority.as_str());
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let scheme = self.to.scheme_str().unwrap_or("http");
        match self.protocol {
            Protocol::Grpc => format!("{scheme}://{host} (gRPC)"),
            Protocol::Http => format!("{scheme}://{host}{} (HTTP)", self.to.path()),
        }
    }
}

fn protocol(variables: &Variables<'_>) -> Result<Option<Protocol>, SettingsError> {
    let Some((variable, value)) = variables.get("PROTOCOL") else {
        return Ok(None);
    };
    match value.as_str() {
        "grpc" => Ok(Some(Protocol::Grpc)),
        "http/protobuf" => Ok(Some(Protocol::Http)),
        _ => Err(SettingsError::Variable { variable, expected: "`grpc` or `http/protobuf`" }),
    }
}

/// An endpoint for all signals, below which those of traces lie.
fn base(
    from: &str,
    url: &str,
    protocol: Option<Protocol>,
    variables: &Variables<'_>,
) -> Result<(Protocol, Uri), SettingsError> {
    let (protocol, uri) = parsed(from, url, protocol, variables)?;
    let path = uri.path().trim_end_matches('/');
    let path = if path.ends_with(TRACES) { path.to_owned() } else { format!("{path}{TRACES}") };
    with_path(from, protocol, uri, &path)
}

/// An endpoint for traces only, which is the address itself.
fn as_it_is(
    from: &str,
    url: &str,
    protocol: Option<Protocol>,
    variables: &Variables<'_>,
) -> Result<(Protocol, Uri), SettingsError> {
    let (protocol, uri) = parsed(from, url, protocol, variables)?;
    let path = uri.path().to_owned();
    with_path(from, protocol, uri, &path)
}

fn parsed(
    from: &str,
    url: &str,
    protocol: Option<Protocol>,
    variables: &Variables<'_>,
) -> Result<(Protocol, Uri), SettingsError> {
    let wrong = |why| SettingsError::Endpoint { from: from.to_owned(), why };
    let whole = match url.contains("://") {
        true => url.to_owned(),
        // Only gRPC may leave it open, and then another variable decides.
        false if protocol == Some(Protocol::Grpc) && from != "--otlp" => {
            let insecure = variables.get("INSECURE").is_some_and(|(_, value)| value.eq_ignore_ascii_case("true"));
            format!("{}://{url}", if insecure { "http" } else { "https" })
        }
        false => return Err(wrong("it does not start with http:// or https://")),
    };
    let uri: Uri = whole.parse().map_err(|_| wrong("it is not a URL"))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(wrong("it does not start with http:// or https://"));
    }
    if uri.host().is_none_or(str::is_empty) {
        return Err(wrong("it has no host"));
    }
    // Without a word on it, the port that is registered for gRPC means gRPC.
    let by_port = if uri.port_u16() == Some(GRPC_PORT) { Protocol::Grpc } else { Protocol::Http };
    Ok((protocol.unwrap_or(by_port), uri))
}

fn with_path(from: &str, protocol: Protocol, uri: Uri, path: &str) -> Result<(Protocol, Uri), SettingsError> {
    let mut parts = uri.into_parts();
    let path = if protocol == Protocol::Grpc { METHOD } else { path };
    let query = parts.path_and_query.as_ref().and_then(PathAndQuery::query).filter(|_| protocol == Protocol::Http);
    let whole = query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
    let wrong = |why| SettingsError::Endpoint { from: from.to_owned(), why };
    parts.path_and_query = Some(whole.parse().map_err(|_| wrong("its path cannot be used"))?);
    Ok((protocol, Uri::from_parts(parts).map_err(|_| wrong("it is not a URL"))?))
}

/// `name=value,name=value`, percent-encoded, as in the header `baggage` but without its properties.
fn headers(variables: &Variables<'_>) -> Result<HeaderMap, SettingsError> {
    let mut headers = HeaderMap::new();
    let Some((variable, value)) = variables.get("HEADERS") else {
        return Ok(headers);
    };
    let wrong = || SettingsError::Variable {
        variable: variable.clone(),
        expected: "a list of headers such as `name=value,name=value`, percent-encoded",
    };
    for pair in value.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or_else(wrong)?;
        let name = HeaderName::from_bytes(name.trim().as_bytes()).map_err(|_| wrong())?;
        let value: Vec<u8> = percent_decode_str(value.trim()).collect();
        let mut value = HeaderValue::from_bytes(&value).map_err(|_| wrong())?;
        value.set_sensitive(true);
        headers.append(name, value);
    }
    Ok(headers)
}

fn timeout(variables: &Variables<'_>) -> Result<Duration, SettingsError> {
    let Some((variable, value)) = variables.get("TIMEOUT") else {
        return Ok(TIMEOUT);
    };
    match value.parse() {
        Ok(ms @ 1..) => Ok(Duration::from_millis(ms)),
        _ => Err(SettingsError::Variable { variable, expected: "a number of milliseconds greater than 0" }),
    }
}

fn compression(variables: &Variables<'_>) -> Result<Compression, SettingsError> {
    let Some((variable, value)) = variables.get("COMPRESSION") else {
        return Ok(Compression::None);
    };
    match value.as_str() {
        "gzip" => Ok(Compression::Gzip),
        "none" => Ok(Compression::None),
        _ => Err(SettingsError::Variable { variable, expected: "`gzip` or `none`" }),
    }
}

#[cfg(test)]
mod tests;

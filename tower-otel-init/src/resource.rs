//! The attributes of the resource, from variables and from this process. No attribute needs network access.
//!
//! <https://opentelemetry.io/docs/specs/semconv/resource/>

use std::collections::BTreeMap;
use std::path::Path;

use opentelemetry::KeyValue;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator};
use opentelemetry_semantic_conventions::{SCHEMA_URL, resource as key};

use crate::env::Env;
use crate::key_value_list::pairs;
use crate::settings::Settings;

/// Attributes and their variables, in order of precedence. Kubernetes manifests commonly use these names for fields of
/// the downward API.
const ATTRIBUTE_VARIABLES: &[(&str, &[&str])] = &[
    (key::CONTAINER_ID, &["CONTAINER_ID"]),
    (key::CONTAINER_NAME, &["CONTAINER_NAME"]),
    (key::K8S_CLUSTER_NAME, &["K8S_CLUSTER_NAME"]),
    (
        key::K8S_NAMESPACE_NAME,
        &["K8S_NAMESPACE_NAME", "K8S_NAMESPACE", "POD_NAMESPACE"],
    ),
    (key::K8S_NODE_NAME, &["K8S_NODE_NAME", "NODE_NAME"]),
    (key::K8S_POD_NAME, &["K8S_POD_NAME", "POD_NAME"]),
    (key::K8S_POD_UID, &["K8S_POD_UID", "POD_UID"]),
    (key::K8S_DEPLOYMENT_NAME, &["K8S_DEPLOYMENT_NAME"]),
    (key::K8S_CONTAINER_NAME, &["K8S_CONTAINER_NAME"]),
];

/// Returns the attributes, sorted by key. The sources in ascending order of precedence: this process,
/// [`ATTRIBUTE_VARIABLES`], `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_SERVICE_NAME`, and code.
pub(crate) fn attributes(settings: &Settings, env: &mut Env<'_>) -> Vec<(String, String)> {
    let mut attributes = BTreeMap::new();
    let mut set = |key: &str, value: Option<String>| {
        if let Some(value) = value {
            attributes.insert(key.to_owned(), value);
        }
    };
    set(key::TELEMETRY_SDK_NAME, Some("opentelemetry".to_owned()));
    set(key::TELEMETRY_SDK_LANGUAGE, Some("rust".to_owned()));
    set(key::TELEMETRY_SDK_VERSION, sdk_version());
    set(key::SERVICE_INSTANCE_ID, Some(random_uuid()));
    let executable = executable();
    let name = settings.default_service_name.clone();
    set(
        key::SERVICE_NAME,
        name.or_else(|| Some(format!("unknown_service:{}", executable.as_deref()?)))
            .or_else(|| Some("unknown_service".to_owned())),
    );
    set(key::PROCESS_EXECUTABLE_NAME, executable);
    set(key::PROCESS_PID, Some(std::process::id().to_string()));
    let host = env.get("HOSTNAME").or_else(host_name);
    if env.get("KUBERNETES_SERVICE_HOST").is_some() {
        set(key::K8S_POD_NAME, host.clone());
    }
    set(key::HOST_NAME, host);
    set(key::HOST_ARCH, Some(host_arch().to_owned()));
    set(
        key::OS_TYPE,
        Some(std::env::consts::OS.replace("macos", "darwin")),
    );
    for (key, variables) in ATTRIBUTE_VARIABLES {
        set(key, variables.iter().find_map(|variable| env.get(variable)));
    }
    for (key, value) in resource_attributes(env) {
        set(&key, Some(value));
    }
    set(key::SERVICE_NAME, env.get("OTEL_SERVICE_NAME"));
    for (key, value) in &settings.resource_attributes {
        set(key, Some(value.clone()));
    }
    attributes.into_iter().collect()
}

/// Returns the attributes of `OTEL_RESOURCE_ATTRIBUTES`, or none if one of them is invalid, as the
/// specification requires.
fn resource_attributes(env: &mut Env<'_>) -> Vec<(String, String)> {
    const VARIABLE: &str = "OTEL_RESOURCE_ATTRIBUTES";
    let Some(list) = env.get(VARIABLE) else {
        return Vec::new();
    };
    match pairs(&list).collect() {
        Ok(attributes) => attributes,
        Err(_) => {
            let reason =
                "is not a list of attributes (expected key=value,key=value, percent-encoded)";
            env.warn(VARIABLE, &list, reason, "none of them");
            Vec::new()
        }
    }
}

pub(crate) fn build(attributes: &[(String, String)]) -> Resource {
    let attributes = attributes.iter().map(|(key, value)| {
        match value.parse::<i64>() {
            // The conventions define an integer. All other attributes are strings.
            Ok(pid) if key == key::PROCESS_PID => KeyValue::new(key.clone(), pid),
            _ => KeyValue::new(key.clone(), value.clone()),
        }
    });
    Resource::builder_empty()
        .with_schema_url(attributes, SCHEMA_URL)
        .build()
}

/// Returns the version of the SDK, as the SDK reports it.
fn sdk_version() -> Option<String> {
    let sdk = Resource::builder_empty()
        .with_detector(Box::new(
            opentelemetry_sdk::resource::TelemetryResourceDetector,
        ))
        .build();
    let version = sdk.get(&key::TELEMETRY_SDK_VERSION.into())?;
    Some(version.to_string())
}

fn executable() -> Option<String> {
    let path = std::env::args_os().next()?;
    let name = Path::new(&path).file_name()?;
    Some(name.to_string_lossy().into_owned())
}

/// Returns the host name on Linux, and `None` elsewhere. It does not use a resolver.
fn host_name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    let name = name.trim();
    (!name.is_empty()).then(|| name.to_owned())
}

/// Returns the architecture by the name of the conventions.
fn host_arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "arm" => "arm32",
        other => other,
    }
}

/// Returns a UUID of version 4 from the generator of trace ids.
fn random_uuid() -> String {
    let random = RandomIdGenerator::default().new_trace_id();
    let bits = u128::from_be_bytes(random.to_bytes());
    let bits = bits & !(0xf << 76) & !(0b11 << 62) | 4 << 76 | 0b10 << 62;
    let hex = format!("{bits:032x}");
    let part = |from, to| hex.get(from..to).unwrap_or_default();
    [
        part(0, 8),
        part(8, 12),
        part(12, 16),
        part(16, 20),
        part(20, 32),
    ]
    .join("-")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn attribute(settings: &Settings, variables: &[(&str, &str)], key: &str) -> Option<String> {
        let lookup = |name: &str| {
            let found = variables.iter().find(|(other, _)| *other == name)?;
            Some(found.1.to_owned())
        };
        let mut env = Env::new(&lookup);
        let attributes = attributes(settings, &mut env);
        let found = attributes.into_iter().find(|(other, _)| other == key)?;
        Some(found.1)
    }

    #[test]
    fn a_service_name_set_in_code_takes_precedence_over_variables() {
        let list = ("OTEL_RESOURCE_ATTRIBUTES", "service.name=listed");
        let own = ("OTEL_SERVICE_NAME", "own");
        let mut settings = Settings {
            default_service_name: Some("default".to_owned()),
            ..Settings::default()
        };
        let name = |settings: &Settings, variables: &[_]| {
            attribute(settings, variables, "service.name").unwrap()
        };
        assert_eq!(name(&settings, &[]), "default");
        assert_eq!(name(&settings, &[list]), "listed");
        assert_eq!(name(&settings, &[list, own]), "own");
        let code = ("service.name".to_owned(), "code".to_owned());
        settings.resource_attributes.push(code);
        assert_eq!(name(&settings, &[list, own]), "code");
        let unknown = name(&Settings::default(), &[]);
        assert!(unknown.starts_with("unknown_service:"), "{unknown}");
    }

    #[test]
    fn the_pod_name_is_that_of_the_downward_api_or_in_a_cluster_the_host_name() {
        let host = ("HOSTNAME", "users-5d4");
        let cluster = ("KUBERNETES_SERVICE_HOST", "10.0.0.1");
        let pod = |variables: &[_]| attribute(&Settings::default(), variables, "k8s.pod.name");
        assert_eq!(pod(&[host]), None);
        assert_eq!(pod(&[host, cluster]).as_deref(), Some("users-5d4"));
        assert_eq!(
            pod(&[host, cluster, ("POD_NAME", "p")]).as_deref(),
            Some("p")
        );
    }

    #[test]
    fn each_instance_id_is_a_new_uuid_of_version_4() {
        let (one, other) = (random_uuid(), random_uuid());
        assert_ne!(one, other);
        let shape: Vec<_> = one.split('-').map(str::len).collect();
        assert_eq!(shape, [8, 4, 4, 4, 12], "{one}");
        assert!(one.split('-').nth(2).unwrap().starts_with('4'), "{one}");
        assert!(
            one.split('-')
                .nth(3)
                .unwrap()
                .starts_with(['8', '9', 'a', 'b']),
            "{one}"
        );
    }

    #[test]
    fn the_process_id_is_an_integer_and_versions_are_strings() {
        let resource = build(&[
            ("process.pid".to_owned(), "7".to_owned()),
            ("service.version".to_owned(), "2".to_owned()),
        ]);
        assert_eq!(resource.get(&"process.pid".into()), Some(7.into()));
        assert_eq!(resource.get(&"service.version".into()), Some("2".into()));
    }
}

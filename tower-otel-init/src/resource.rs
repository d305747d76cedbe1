//! Who is speaking: the attributes of the resource. All of it is known without asking anyone:
//! variables, and what this process knows of itself.

use std::collections::BTreeMap;
use std::path::Path;

use opentelemetry::KeyValue;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator};
use opentelemetry_semantic_conventions::{SCHEMA_URL, resource as key};

use crate::config::Settings;
use crate::env::{Env, pairs};

/// Attributes and the variables that have them, the first that is set, as the downward API of
/// Kubernetes is commonly used.
const FROM_VARIABLES: &[(&str, &[&str])] = &[
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

/// By rising precedence: this process, its surroundings, `OTEL_RESOURCE_ATTRIBUTES`,
/// `OTEL_SERVICE_NAME`, the code.
pub(crate) fn attributes(settings: &Settings, env: &mut Env<'_>) -> Vec<(String, String)> {
    let mut found = BTreeMap::new();
    let mut set = |key: &str, value: Option<String>| {
        if let Some(value) = value {
            found.insert(key.to_owned(), value);
        }
    };
    set(key::TELEMETRY_SDK_NAME, Some("opentelemetry".to_owned()));
    set(key::TELEMETRY_SDK_LANGUAGE, Some("rust".to_owned()));
    set(key::TELEMETRY_SDK_VERSION, sdk_version());
    set(key::SERVICE_INSTANCE_ID, Some(random_uuid()));
    let executable = executable();
    let name = settings.default_name.clone();
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
    for (key, variables) in FROM_VARIABLES {
        set(key, variables.iter().find_map(|variable| env.get(variable)));
    }
    for (key, value) in from_list(env) {
        set(&key, Some(value));
    }
    set(key::SERVICE_NAME, env.get("OTEL_SERVICE_NAME"));
    set(key::SERVICE_NAME, settings.service_name.clone());
    for (key, value) in &settings.attributes {
        set(key, Some(value.clone()));
    }
    found.into_iter().collect()
}

/// All of the list or nothing, as the specification says.
fn from_list(env: &mut Env<'_>) -> Vec<(String, String)> {
    const NAME: &str = "OTEL_RESOURCE_ATTRIBUTES";
    let Some(list) = env.get(NAME) else {
        return Vec::new();
    };
    match pairs(&list).collect() {
        Ok(attributes) => attributes,
        Err(_) => {
            let reason = "accepted is key=value,key=value, percent-encoded";
            env.warn(NAME, &list, reason, "none of it");
            Vec::new()
        }
    }
}

pub(crate) fn resource(attributes: &[(String, String)]) -> Resource {
    let attributes = attributes.iter().map(|(key, value)| {
        match value.parse::<i64>() {
            // The only one that is a number.
            Ok(pid) if key == key::PROCESS_PID => KeyValue::new(key.clone(), pid),
            _ => KeyValue::new(key.clone(), value.clone()),
        }
    });
    Resource::builder_empty()
        .with_schema_url(attributes, SCHEMA_URL)
        .build()
}

/// The SDK's own word for its version.
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

/// A file in memory on Linux, and nothing elsewhere: no resolver is asked.
fn host_name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    let name = name.trim();
    (!name.is_empty()).then(|| name.to_owned())
}

/// As the conventions call it.
fn host_arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "arm" => "arm32",
        other => other,
    }
}

/// Version 4, from the random numbers that make trace ids.
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
            let found = variables.iter().find(|(own, _)| *own == name)?;
            Some(found.1.to_owned())
        };
        let mut env = Env::new(&lookup);
        let attributes = attributes(settings, &mut env);
        let found = attributes.into_iter().find(|(own, _)| own == key)?;
        Some(found.1)
    }

    #[test]
    fn the_name_of_the_code_wins_over_every_variable() {
        let list = ("OTEL_RESOURCE_ATTRIBUTES", "service.name=listed");
        let own = ("OTEL_SERVICE_NAME", "own");
        let mut settings = Settings {
            default_name: Some("default".to_owned()),
            ..Settings::default()
        };
        let name = |settings: &Settings, variables: &[_]| {
            attribute(settings, variables, "service.name").unwrap()
        };
        assert_eq!(name(&settings, &[]), "default");
        assert_eq!(name(&settings, &[list]), "listed");
        assert_eq!(name(&settings, &[list, own]), "own");
        settings.service_name = Some("code".to_owned());
        assert_eq!(name(&settings, &[list, own]), "code");
        let nobody = name(&Settings::default(), &[]);
        assert!(nobody.starts_with("unknown_service:"), "{nobody}");
    }

    #[test]
    fn a_pod_is_known_by_the_downward_api_or_by_its_host_name() {
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
    fn an_instance_has_an_id_of_its_own() {
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
    fn the_process_id_is_a_number_and_versions_are_not() {
        let made = resource(&[
            ("process.pid".to_owned(), "7".to_owned()),
            ("service.version".to_owned(), "2".to_owned()),
        ]);
        assert_eq!(made.get(&"process.pid".into()), Some(7.into()));
        assert_eq!(made.get(&"service.version".into()), Some("2".into()));
    }
}

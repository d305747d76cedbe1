//! The public types and the setters of the published crates, from `api/`.

use std::{collections::BTreeSet, fs, path::Path};

/// Returns the public structs and enums of the published crates.
pub(crate) fn public_types() -> BTreeSet<String> {
    let declared = |line: &str| {
        let line = line.trim_start_matches("#[non_exhaustive] ");
        let rest = line.strip_prefix("pub struct ");
        let rest = rest.or_else(|| line.strip_prefix("pub enum "))?;
        let end = rest.find(['<', '(', ' ']).unwrap_or(rest.len());
        Some(rest[..end].to_owned())
    };
    api().lines().filter_map(declared).collect()
}

/// Returns the names of the methods of builders that accept a text.
pub(crate) fn text_setters() -> BTreeSet<String> {
    const TEXTS: [&str; 7] = [
        "String",
        "str",
        "Vec<u8>",
        "HeaderName",
        "KeyValue",
        "Resource",
        "Scope",
    ];
    let setter = |line: &str| {
        let (name, arguments) = line.split_once("(self, ")?;
        let (arguments, returned) = arguments.rsplit_once(" -> ")?;
        let accepts_text = TEXTS.iter().any(|text| arguments.contains(text));
        let (_, name) = name.rsplit_once("::")?;
        (returned == "Self" && accepts_text).then(|| name.to_owned())
    };
    api().lines().filter_map(setter).collect()
}

/// Returns the public items of the published crates.
fn api() -> String {
    let api = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../api");
    let files = fs::read_dir(api).unwrap().map(|file| file.unwrap().path());
    let files = files.filter(|file| !file.ends_with("hidden.txt"));
    files
        .map(|file| fs::read_to_string(file).unwrap())
        .collect()
}

//! Compares the pages with the programs that they show.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

const FOLDER: &str = env!("CARGO_MANIFEST_DIR");

struct Page {
    name: String,
    text: String,
}

fn pages() -> Vec<Page> {
    let files = fs::read_dir(FOLDER)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let pages = files.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    let pages: Vec<_> = pages
        .map(|path| Page {
            name: path.file_name().unwrap().to_str().unwrap().to_owned(),
            text: fs::read_to_string(&path).unwrap(),
        })
        .collect();
    assert!(pages.len() > 15, "{} pages", pages.len());
    pages
}

impl Page {
    /// The contents of the code blocks of a language.
    fn blocks(&self, language: &str) -> Vec<&str> {
        let fence = format!("\n```{language}\n");
        let blocks = self.text.split(&fence).skip(1);
        blocks
            .map(|block| block.split_once("\n```").unwrap().0)
            .collect()
    }

    /// The programs that the page links to, without their comments at the start.
    fn programs(&self) -> Vec<(PathBuf, String)> {
        let links = self.text.split("](").skip(1);
        let links = links.filter_map(|link| Some(link.split_once(')')?.0));
        let programs = links.filter(|link| link.ends_with(".rs")).map(|link| {
            let path = Path::new(FOLDER).join(link).canonicalize().unwrap();
            let text = fs::read_to_string(&path).unwrap();
            (path, text)
        });
        programs.collect()
    }
}

/// The crates that a program uses, with dashes.
fn used_crates(program: &str) -> BTreeSet<String> {
    let imports = program.lines().filter_map(|line| line.strip_prefix("use "));
    let imported = imports.map(|import| import.split("::").next().unwrap());
    let called = ["metrics", "reqwest", "tokio", "tracing"];
    let called = called.into_iter().filter(|name| {
        [' ', '[']
            .iter()
            .any(|before| program.contains(&format!("{before}{name}::")))
    });
    let crates = imported.chain(called).filter(|name| *name != "std");
    crates.map(|name| name.replace('_', "-")).collect()
}

/// The names of the dependencies in the blocks of a page.
fn listed_crates(page: &Page) -> BTreeSet<&str> {
    let lines = page.blocks("toml").into_iter().flat_map(str::lines);
    lines
        .filter_map(|line| Some(line.split_once(" = ")?.0))
        .collect()
}

/// A text without the indentation that all of its lines have.
fn without_indentation(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let indentation = lines
        .map(|line| line.len() - line.trim_start().len())
        .min()
        .unwrap_or(0);
    let lines = text
        .lines()
        .map(|line| line.get(indentation..).unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

/// Whether the lines of a block follow each other in a program, at any indentation.
fn contains(program: &str, block: &str) -> bool {
    let (program, block): (Vec<_>, Vec<_>) = (program.lines().collect(), block.lines().collect());
    let block_text = block.join("\n");
    program
        .windows(block.len())
        .any(|lines| without_indentation(&lines.join("\n")) == block_text)
}

#[test]
fn each_code_block_is_a_part_of_a_program_that_its_page_links_to() {
    for page in pages() {
        let programs = page.programs();
        for block in page.blocks("rust") {
            let found = programs.iter().any(|(_, program)| contains(program, block));
            assert!(
                found,
                "{}: this is in none of its programs:\n{block}",
                page.name
            );
        }
        let others = page.text.matches("\n```rust,").count();
        assert_eq!(others, 0, "{}: a block that is not compared", page.name);
    }
}

/// The imports of a program, in front of everything else.
fn imports(program: &str) -> String {
    let (_, code) = program.split_once("\nuse ").unwrap();
    let items: Vec<_> = code.split("\nuse ").collect();
    let (last, others) = items.split_last().unwrap();
    let (last, _) = last.split_once(";\n").unwrap();
    let others = others.iter().map(|item| format!("{item}\nuse "));
    format!("use {}{last};", others.collect::<String>())
}

#[test]
fn each_page_shows_the_imports_of_its_code() {
    let mut shown = 0;
    for page in pages() {
        let blocks = page.blocks("rust");
        for (path, program) in page.programs() {
            if !blocks.iter().any(|block| contains(&program, block)) {
                continue;
            }
            let imports = imports(&program);
            let is_shown = blocks.iter().any(|block| contains(block, &imports));
            assert!(is_shown, "{}: no imports of {}", page.name, path.display());
            shown += 1;
        }
    }
    assert!(shown > 15, "{shown} programs");
}

#[test]
fn each_program_is_shown_by_a_page_and_each_page_is_in_the_index() {
    let pages = pages();
    let shown: BTreeSet<PathBuf> = pages
        .iter()
        .flat_map(Page::programs)
        .map(|(path, _)| path)
        .collect();
    for file in fs::read_dir(Path::new(FOLDER).join("src/bin")).unwrap() {
        let path = file.unwrap().path().canonicalize().unwrap();
        assert!(shown.contains(&path), "no page shows {}", path.display());
    }
    let index = pages.iter().find(|page| page.name == "README.md").unwrap();
    for page in &pages {
        let link = format!("]({})", page.name);
        let linked = page.name == "README.md" || index.text.contains(&link);
        assert!(linked, "the index does not link to {}", page.name);
    }
}

#[test]
fn each_command_of_a_page_runs_a_program_of_the_guide() {
    let mut commands = 0;
    for page in pages() {
        for command in page.text.split("-p guide --bin ").skip(1) {
            let name = command
                .split(|c: char| !c.is_ascii_lowercase() && c != '_')
                .next()
                .unwrap();
            let path = Path::new(FOLDER).join(format!("src/bin/{name}.rs"));
            assert!(path.exists(), "{}: there is no program {name}", page.name);
            commands += 1;
        }
    }
    assert!(commands > 10, "{commands} commands");
}

#[test]
fn each_feature_of_a_page_exists() {
    let manifest = fs::read_to_string(Path::new(FOLDER).join("../../tower-otel-init/Cargo.toml"));
    let manifest = manifest.unwrap();
    let features = manifest.split("\n[features]\n").nth(1).unwrap();
    let features = features.split("\n[").next().unwrap();
    let mut checked = 0;
    for page in pages() {
        let lines = page.blocks("toml").into_iter().flat_map(str::lines);
        for line in lines.filter(|line| line.starts_with("tower-otel-init = ")) {
            let list = line.split_once("features = [").map_or("", |(_, list)| list);
            for feature in list.split('"').skip(1).step_by(2) {
                let declared = features
                    .lines()
                    .any(|line| line.starts_with(&format!("{feature} = [")));
                assert!(declared, "{}: there is no feature {feature}", page.name);
                checked += 1;
            }
        }
    }
    assert!(checked > 10, "{checked} features");
}

#[test]
fn each_crate_of_a_program_is_listed_on_its_page() {
    for page in &pages() {
        let listed = listed_crates(page);
        for (path, program) in page.programs() {
            // A page can link to a program of another page.
            let blocks = page.blocks("rust");
            if !blocks.iter().any(|block| contains(&program, block)) {
                continue;
            }
            for name in used_crates(&program) {
                let is_listed = listed.contains(&*name);
                assert!(
                    is_listed,
                    "{}: {name} of {} is missing",
                    page.name,
                    path.display()
                );
            }
        }
    }
}

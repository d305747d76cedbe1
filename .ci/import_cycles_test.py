#!/usr/bin/env python3
"""Tests of import_cycles.py: each writes the sources of a crate and compares its edges."""

import tempfile
import unittest
from pathlib import Path

from import_cycles import Crate, groups, tokens


def edges(**sources):
    """Returns the edges between files as `from > to`. In a name, `__` stands for `/`."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "src"
        for name, source in sources.items():
            file = root / (name.replace("__", "/") + ".rs")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(source)
        found = Crate(folder).edges()
        name = lambda file: str(file.relative_to(root)).removesuffix(".rs")
        return {f"{name(source)} > {name(target)}" for source, target in found}


class Tokens(unittest.TestCase):
    def test_comments_are_left_out_and_literals_are_one_token(self):
        source = '''/* a /* nested */ one */ let x: &'a str = "use crate::b;"; // use crate::c;
            let c = '"'; let d = b'\\''; let r = r#"a "quoted" one"#;'''
        self.assertEqual(
            tokens(source),
            ["let", "x", ":", "&", "'a", "str", "=", '"use crate::b;"', ";", "let", "c", "=", "'\"'", ";"]
            + ["let", "d", "=", "b'\\''", ";", "let", "r", "=", 'r#"a "quoted" one"#', ";"],
        )


class Edges(unittest.TestCase):
    def test_a_module_declaration_is_no_edge(self):
        self.assertEqual(edges(lib="mod a; pub mod b;", a="", b=""), set())

    def test_a_use_leads_to_the_file_that_defines_the_name(self):
        for use in ["crate::b::B", "super::b::B", "crate::b::{self, B}", "crate::{b::B as C}", "crate::b::*"]:
            found = edges(lib="mod a; mod b;", a=f"use {use};", b="pub(crate) struct B;")
            self.assertEqual(found, {"a > b"}, use)

    def test_a_name_imported_through_a_re_export_leads_to_its_definition(self):
        found = edges(lib="mod a; mod b; pub use b::{B, C as D};", a="use crate::{B, D};", b="pub struct B; pub enum C {}")
        self.assertEqual(found, {"a > b"})

    def test_a_name_re_exported_twice_leads_to_its_definition(self):
        found = edges(
            lib="mod a; mod b; pub use b::C;", a="use crate::C;", b__mod="mod c; pub use self::c::C;", b__c="pub struct C;"
        )
        self.assertEqual(found, {"a > b/c"})

    def test_a_glob_re_export_is_looked_through(self):
        found = edges(lib="mod a; mod b; pub use b::*;", a="use crate::B;", b="pub struct B;")
        self.assertEqual(found, {"a > b"})

    def test_a_glob_of_another_crate_is_no_edge(self):
        found = edges(lib="mod a; mod b;", a="use http::*; use crate::b::Kind::*; fn f() { Method::get(); One }", b="pub enum Kind { One }")
        self.assertEqual(found, {"a > b"})

    def test_a_private_import_of_the_parent_is_looked_through(self):
        found = edges(lib="mod a; mod b; use b::B;", a="use super::B;", b="pub struct B;")
        self.assertEqual(found, {"lib > b", "a > b"})

    def test_a_path_in_code_is_an_edge(self):
        for code in ["crate::b::f()", "super::b::f()", "<crate::b::T>::f()", "vec![crate::b::f()]"]:
            found = edges(lib="mod a; mod b;", a=f"fn a() {{ {code} }}", b="pub fn f() {} pub struct T;")
            self.assertEqual(found, {"a > b"}, code)

    def test_a_path_through_an_imported_module_leads_to_what_it_names(self):
        found = edges(lib="mod a; mod b;", a="use crate::b; fn a() { b::f() }", b="pub fn f() {}")
        self.assertEqual(found, {"a > b"})

    def test_a_parent_uses_its_child_only_if_it_uses_the_name(self):
        source = "mod a; pub use a::A;"
        self.assertEqual(edges(lib=source, a="pub struct A;"), set())
        self.assertEqual(edges(lib=source + " fn f(_: A) {}", a="pub struct A;"), {"lib > a"})
        self.assertEqual(edges(lib="mod a; use a::A;", a="pub struct A;"), {"lib > a"})

    def test_a_re_export_of_another_module_is_an_edge(self):
        found = edges(lib="mod a; mod b;", a="pub use crate::b::B;", b="pub struct B;")
        self.assertEqual(found, {"a > b"})

    def test_test_code_is_left_out(self):
        for test in ["cfg(test)", "cfg(all(test, unix))", "test"]:
            source = f"#[{test}] mod t {{ use crate::b::B; }} #[{test}] use crate::b::B;"
            self.assertEqual(edges(lib="mod a; mod b;", a=source, b="pub struct B;"), set(), test)
        found = edges(lib="mod b; #[cfg(test)] mod missing; #[cfg(not(test))] use b::B;", b="pub struct B;")
        self.assertEqual(found, {"lib > b"})

    def test_visibility_is_no_path(self):
        found = edges(lib="mod a; mod b;", a="pub(in crate::b) struct A; pub(super) fn f() {}", b="pub struct B;")
        self.assertEqual(found, set())

    def test_another_crate_is_no_file(self):
        found = edges(lib="mod a; mod b;", a="use ::b::B; use http::Request; fn a() { b::B::new(); x.b::<u8>() }", b="")
        self.assertEqual(found, set())

    def test_a_block_module_belongs_to_its_file(self):
        found = edges(lib="mod a; mod b;", a="struct A; mod inner { use super::A; use crate::b::B; }", b="pub struct B;")
        self.assertEqual(found, {"a > b"})

    def test_precise_capturing_is_no_import(self):
        found = edges(lib="mod a; mod b;", a="fn a<'a>() -> impl Fn() + use<'a> { crate::b::f() }", b="pub fn f() {}")
        self.assertEqual(found, {"a > b"})

    def test_a_macro_leads_to_its_file(self):
        found = edges(lib="mod a; mod b;", a="use crate::b::m; m!();", b="macro_rules! m { () => {} } pub(crate) use m;")
        self.assertEqual(found, {"a > b"})

    def test_a_path_attribute_names_the_file(self):
        found = edges(lib='#[path = "other/file.rs"] mod a; mod b;', other__file="use crate::b::B;", b="pub struct B;")
        self.assertEqual(found, {"other/file > b"})


class Groups(unittest.TestCase):
    def test_a_cycle_is_one_group_and_what_leads_to_it_is_not_in_it(self):
        found = groups([("a", "b"), ("b", "c"), ("c", "a"), ("d", "a"), ("c", "e"), ("f", "g"), ("g", "f")])
        self.assertEqual(found, [{"a", "b", "c"}, {"f", "g"}])

    def test_without_a_cycle_there_is_no_group(self):
        self.assertEqual(groups([("a", "b"), ("b", "c"), ("a", "c")]), [])


if __name__ == "__main__":
    unittest.main()

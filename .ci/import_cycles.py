#!/usr/bin/env python3
"""Lists the import cycles between the source files of crates.

    import_cycles.py CRATE_DIRECTORY...

An edge leads from a file to the file that defines an item it uses. A name that is imported through a
re-export leads to the defining file. Edges come from `use` declarations and from paths in code, with
`crate::`, `super::`, `self::` or a module in scope in front. These are not edges: `mod x;`, a parent
that re-exports an item of its descendant without using it, `#[cfg(test)]` items, comments, attributes.

Exits with 1 if there is a cycle.
"""

import re
import sys
from pathlib import Path

TOKEN = re.compile(
    r"""
      (?P<skip>\s+|//[^\n]*)
    | (?P<comment>/\*)
    | (?P<raw>b?c?r(?P<hashes>\#*)".*?"(?P=hashes))
    | (?P<text>[bc]?"(?:\\.|[^"\\])*")
    | (?P<char>b?'(?:\\(?:u\{[^}]*\}|x..|.)|[^'\\])')
    | (?P<lifetime>'\w+)
    | (?P<word>(?:r\#)?[A-Za-z_]\w*)
    | (?P<number>\d\w*)
    | (?P<path>::)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
PAIRS = {"(": ")", "[": "]", "{": "}"}
DEFINES = {"struct", "enum", "union", "trait", "fn", "type", "const", "static"}
# Words that can stand between `pub` or an attribute and the word that names the item.
QUALIFIERS = {"unsafe", "async", "extern", "default", "auto"}


def tokens(source):
    """Returns the tokens of a source file without comments. A literal is one token."""
    found, at = [], 0
    while at < len(source):
        match = TOKEN.match(source, at)
        at = match.end()
        if match["comment"]:
            at = end_of_comment(source, at)
        elif not match["skip"]:
            found.append(match[0].removeprefix("r#") if match["word"] else match[0])
    return found


def end_of_comment(source, at):
    """Returns the index after a block comment. Block comments nest."""
    depth = 1
    while depth and at < len(source):
        if source.startswith("/*", at):
            depth, at = depth + 1, at + 2
        elif source.startswith("*/", at):
            depth, at = depth - 1, at + 2
        else:
            at += 1
    return at


def closing(found, at):
    """Returns the index of the bracket that closes the one at `at`."""
    stack = []
    for index in range(at, len(found)):
        token = found[index]
        if token in PAIRS:
            stack.append(PAIRS[token])
        elif stack and token == stack[-1]:
            stack.pop()
            if not stack:
                return index
    return len(found) - 1


def end_of_item(found, at):
    """Returns the index after an item: after its `;` or its block."""
    while at < len(found):
        if found[at] == ";":
            return at + 1
        if found[at] in PAIRS.values():
            return at
        if found[at] in PAIRS:
            end = closing(found, at)
            if found[at] == "{" and found[end + 1 : end + 2] != [";"]:
                return end + 1
            at = end
        at += 1
    return at


def is_word(token):
    return bool(re.fullmatch(r"[A-Za-z_]\w*", token))


def is_test(attribute):
    """Returns whether an attribute, as the tokens between its brackets, marks an item as test code."""
    return attribute in (["test"], ["cfg", "(", "test", ")"]) or attribute[:4] == ["cfg", "(", "all", "("] and (
        "test" in attribute and "not" not in attribute
    )


def use_tree(found):
    """Yields the imports of a `use` declaration as pairs of path and name; the name of a glob is `*`."""
    path, at = [], 0
    while at < len(found):
        token = found[at]
        if token == "{":
            for branch in split(found[at + 1 : closing(found, at)]):
                for inner, name in use_tree(branch):
                    yield (path, name or path[-1]) if inner == ["self"] else (path + inner, name)
            return
        if token == "as":
            yield path, found[at + 1]
            return
        if token == "*":
            yield path, "*"
            return
        if token != "::":
            path = path + [token]
        elif not path:
            path = ["::"]
        at += 1
    if path:
        yield path, None if path == ["self"] else path[-1]


def split(found):
    """Yields the branches of a `use` group."""
    branch, depth = [], 0
    for token in found:
        if token == "," and depth == 0:
            yield branch
            branch = []
            continue
        depth += {"{": 1, "}": -1}.get(token, 0)
        branch.append(token)
    yield branch


class Module:
    """A module: a file of its own, or a block in the file of its parent."""

    def __init__(self, name, file, parent):
        self.name, self.file, self.parent = name, file, parent
        self.children, self.defines = {}, set()
        # Path and visibility of each import and glob, and the paths and words in code.
        self.imports, self.globs, self.paths, self.words = {}, [], set(), set()

    def root(self):
        return self.parent.root() if self.parent else self

    def contains(self, other):
        return other is not None and (other is self or self.contains(other.parent))


class Crate:
    """The modules of a crate, read from its sources."""

    def __init__(self, directory):
        self.modules = []
        self.root = self.read("crate", Path(directory) / "src" / "lib.rs", None)

    def read(self, name, file, parent):
        module = Module(name, file, parent)
        self.modules.append(module)
        folder = file.parent if file.name in ("lib.rs", "mod.rs") else file.parent / file.stem
        self.items(module, tokens(file.read_text()), folder)
        return module

    def items(self, module, found, folder):
        at, test, path, visible = 0, False, None, False
        # The depth of blocks: declarations at depth 0 are items of the module.
        depth = 0
        while at < len(found):
            token = found[at]
            if token == "#" and found[at + 1 : at + 2] in (["["], ["!"]):
                start = at + 1 + (found[at + 1] == "!")
                end = closing(found, start)
                attribute = found[start + 1 : end]
                test |= is_test(attribute)
                if attribute[:2] == ["path", "="]:
                    path = attribute[2].strip('"')
                at = end + 1
                continue
            if test:
                at, test, path = end_of_item(found, at), False, None
                continue
            if token == "pub":
                visible, at = True, at + 1
                if found[at] == "(":
                    at = closing(found, at) + 1
                continue
            if token in QUALIFIERS or (token == "const" and found[at + 1] in QUALIFIERS | {"fn"}):
                at += 1
                continue
            if token == "mod" and is_word(found[at + 1]):
                at = self.module(module, found, at, folder, path)
            elif token == "use" and found[at + 1] != "<":
                end = found.index(";", at)
                for leaf, name in use_tree(found[at + 1 : end]):
                    if name == "*":
                        module.globs.append((leaf, visible))
                    elif name == "_":
                        module.paths.add(tuple(leaf))
                    else:
                        module.imports[name] = (leaf, visible)
                at = end + 1
            elif token in DEFINES and is_word(found[at + 1]) and depth == 0:
                module.defines.add(found[at + 1])
                at += 2
            elif token == "macro_rules" and found[at + 1] == "!":
                module.defines.add(found[at + 2])
                at += 3
            else:
                depth = max(0, depth + {"{": 1, "}": -1}.get(token, 0))
                at = self.path(module, found, at)
            visible, path = False, None

    def module(self, module, found, at, folder, path):
        name, next_ = found[at + 1], found[at + 2]
        if next_ == "{":
            end = closing(found, at + 2)
            child = Module(name, module.file, module)
            self.modules.append(child)
            module.children[name] = child
            self.items(child, found[at + 3 : end], folder / name)
            return end + 1
        if next_ == ";":
            files = [folder / f"{name}.rs", folder / name / "mod.rs"]
            if path:
                files = [module.file.parent / path]
            module.children[name] = self.read(name, next(file for file in files if file.exists()), module)
        return at + 3

    @staticmethod
    def path(module, found, at):
        """Records a path in code; returns the index after it."""
        if not is_word(found[at]) or (at and found[at - 1] in ("::", ".")):
            return at + 1
        path, after = [found[at]], at + 1
        while found[after : after + 1] == ["::"] and after + 1 < len(found) and is_word(found[after + 1]):
            path.append(found[after + 1])
            after += 2
        if len(path) > 1:
            module.paths.add(tuple(path))
        module.words.add(path[0])
        return after

    def edges(self):
        """Returns the edges between files, each with the names that cause it."""
        edges = {}
        for module in self.modules:
            for path, name in self.used(module):
                for target in self.resolve(module, path, set()):
                    if target != module.file:
                        edges.setdefault((module.file, target), set()).add(name)
        return edges

    def used(self, module):
        """Yields the paths that a module uses. A re-export of a descendant counts if the module uses its name."""
        for path in module.paths:
            yield list(path), "::".join(path)
        for name, (path, visible) in module.imports.items():
            if not visible or name in module.words or not self.is_below(module, path):
                yield path, "::".join(path)
        for path, visible in module.globs:
            if not visible or not self.is_below(module, path):
                yield path + ["*"], "::".join(path + ["*"])

    def is_below(self, module, path):
        """Returns whether a path leads to a descendant of the module."""
        first = path[1] if path[0] == "self" and len(path) > 1 else path[0]
        return first in module.children or (path[0] == "crate" and module.parent is None)

    def resolve(self, module, path, seen):
        """Returns the files that define the item of a path; none if it is in another crate."""
        key = (id(module), tuple(path))
        if key in seen or not path:
            return set()
        seen.add(key)
        first, rest = path[0], path[1:]
        if first == "::":
            return set()
        if first == "crate":
            return self.below(module.root(), rest, seen)
        if first == "self":
            return self.below(module, rest, seen)
        if first == "super":
            return self.below(module.parent or module, rest, seen) if rest[:1] != ["super"] else (
                self.resolve(module.parent or module, rest, seen)
            )
        return self.below(module, path, seen, local=True)

    def below(self, module, path, seen, local=False):
        """Resolves a path in a module. A module itself is no definition; a path through it is resolved."""
        if not path:
            return set()
        name, rest = path[0], path[1:]
        if name == "*":
            names = module.defines | {name for name, (_, visible) in module.imports.items() if visible}
            return set().union(*(self.below(module, [name], seen) for name in names))
        if name in module.children:
            return self.below(module.children[name], rest, seen)
        if name in module.defines:
            return {module.file}
        if name in module.imports:
            return self.resolve(module, module.imports[name][0] + rest, seen)
        for glob, _ in module.globs:
            key = (id(module), tuple(glob), "*")
            if key in seen:
                continue
            found = self.resolve(module, glob + path, seen | {key})
            if found:
                return found
        # An unknown name in a module is generated by a macro; an unknown first segment is another crate.
        return set() if local else {module.file}


def groups(edges):
    """Returns the strongly connected components of more than one file, by Tarjan's algorithm."""
    graph = {}
    for source, target in edges:
        graph.setdefault(source, set()).add(target)
        graph.setdefault(target, set())
    index, low, stack, found = {}, {}, [], []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        for target in sorted(graph[node]):
            if target not in index:
                visit(target)
            if target in stack:
                low[node] = min(low[node], low[target])
        if low[node] == index[node]:
            group = set(stack[stack.index(node) :])
            del stack[stack.index(node) :]
            if len(group) > 1:
                found.append(group)

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return found


def main(directories):
    cycles = 0
    for directory in directories:
        crate = Crate(directory)
        edges = crate.edges()
        found = groups(edges)
        files = len({module.file for module in crate.modules})
        print(f"{directory}: {files} files, {len(edges)} edges, {len(found)} import cycles")
        for group in found:
            cycles += 1
            print(f"  cycle of {len(group)} files:")
            for source, target in sorted(edges):
                if source in group and target in group:
                    names = ", ".join(sorted(edges[source, target]))
                    print(f"    {source} -> {target}: {names}")
    if cycles:
        sys.exit(f"error: {cycles} import cycles between source files; move what both files use to a third one")


if __name__ == "__main__":
    sys.setrecursionlimit(10_000)
    main(sys.argv[1:])

"""Tests of locked_instructions.py."""

import os
import subprocess
import tempfile
import unittest

from locked_instructions import Disassembly, Objects, Profile

PROGRAM = """
static long counter, word;
static __attribute__((noinline)) void run(void) {
    for (int at = 0; at < 100; at++) {
        __atomic_fetch_add(&counter, 1, __ATOMIC_RELAXED);
        __atomic_fetch_add(&counter, 1, __ATOMIC_SEQ_CST);
        __atomic_exchange_n(&word, at, __ATOMIC_RELEASE);
        __atomic_store_n(&word, at, __ATOMIC_RELEASE);
    }
}
int main(void) { run(); return 0; }
"""

DISASSEMBLY = """
0000000000001000 <start>:
    1000:\tlock incq (%rax)
    1004:\txchg   %eax,0x8(%rbx)        # 2000 <word>
    1008:\txchg   %ax,%ax
    100c:\txacquire lock cmpxchg %rcx,(%rdi)
    1010:\tlocked_is_no_prefix
0000000000001020 <end>:
    1020:\tmov    (%rax),%rcx
"""

PROFILE = """
positions: instr line
ob=/bin/a
fn=start
0x1000 7 300
0x1004 8 2 1 1
cob=/lib/b.so
cfn=other
calls=5 0x1000 3
0x1008 8 5000
calls=1 0x1020 3
0x1010 8 4000
0x1000 9 1
ob=/lib/b.so
0x1000 3 4
"""


class Tests(unittest.TestCase):
    def test_a_prefix_and_an_exchange_with_memory_are_locked(self):
        locked = Disassembly(DISASSEMBLY.splitlines(True)).locked
        self.assertEqual(
            locked,
            {0x1000: "lock incq (%rax)", 0x1004: "xchg   %eax,0x8(%rbx)", 0x100C: "xacquire lock cmpxchg %rcx,(%rdi)"},
        )

    def test_an_address_belongs_to_the_function_before_it(self):
        disassembly = Disassembly(DISASSEMBLY.splitlines(True))
        self.assertEqual(disassembly.function(0x1010), (0x1000, "start"))
        self.assertEqual(disassembly.function(0x1020), (0x1020, "end"))

    def test_executions_are_counted_by_object_without_those_of_called_functions(self):
        profile = Profile(PROFILE.splitlines(True))
        self.assertEqual(
            profile.executed, {("/bin/a", 0x1000): 301, ("/bin/a", 0x1004): 2, ("/lib/b.so", 0x1000): 4}
        )

    def test_a_call_has_its_caller(self):
        callers = Profile(PROFILE.splitlines(True)).callers
        self.assertEqual(callers["/lib/b.so", 0x1000], {("/bin/a", 0x1008): 5})
        self.assertEqual(callers["/bin/a", 0x1020], {("/bin/a", 0x1010): 1})

    def test_a_file_without_addresses_or_with_relative_ones_is_refused(self):
        for text in ["positions: line\n", "positions: instr line\nfn=a\n+4 * 7\n", "fn=(1) a\n"]:
            with self.assertRaises(SystemExit, msg=text):
                Profile(text.splitlines(True))

    def test_a_compiled_program_has_the_locked_instructions_of_its_source(self):
        with tempfile.TemporaryDirectory() as directory:
            program, out = os.path.join(directory, "program"), os.path.join(directory, "out")
            compiler = ["gcc", "-O1", "-pie", "-fPIE", "-x", "c", "-", "-o", program]
            subprocess.run(compiler, input=PROGRAM, check=True, text=True)
            options = ["--dump-instr=yes", "--compress-pos=no", "--compress-strings=no", "--toggle-collect=run"]
            command = ["valgrind", "--tool=callgrind", *options, f"--callgrind-out-file={out}", program]
            subprocess.run(command, capture_output=True, check=True)
            counts = Objects().locked(Profile.read(out))
        self.assertEqual(sorted(counts.values()), [100, 100, 100])


if __name__ == "__main__":
    unittest.main()

"""weft's functions out of a libweft-shim that the program is not linked with: late.py NM LIBRARY OUTPUT

Writes assembly: for each function of weft that the library exports a symbol that jumps to where late.cpp has found it.
So the tests' object files can be linked without the library, and run with one that is preloaded or opened late.
"""
import subprocess
import sys

SYMBOL = """    .globl {name}
    .type {name}, %function
{name}:
#if defined(__x86_64__)
    jmp *weft_late_functions+{at}(%rip)
#elif defined(__aarch64__)
    adrp x16, weft_late_functions+{at}
    ldr x16, [x16, #:lo12:weft_late_functions+{at}]
    br x16
#endif
    .size {name}, . - {name}
"""

nm, library, output = sys.argv[1:]
listed = subprocess.run([nm, "-D", "--defined-only", library], check=True, stdout=subprocess.PIPE, text=True)
names = []
for line in listed.stdout.splitlines():
    kind, name = line.split()[-2:]
    if kind == "T" and name.startswith("_Z"):
        names.append(name.split("@")[0])
if not names:
    sys.exit(f"{library} exports no function of weft")
text = ["    .text\n"] + [SYMBOL.format(name=name, at=8 * i) for i, name in enumerate(names)]
text += ["    .section .rodata\n    .globl weft_late_names\nweft_late_names:\n"]
text += [f'    .asciz "{name}"\n' for name in names] + ['    .asciz ""\n']
text += [f"    .bss\n    .balign 8\n    .globl weft_late_functions\nweft_late_functions:\n    .skip {8 * len(names)}\n"]
text += ['    .section .note.GNU-stack, "", %progbits\n']
with open(output, "w", encoding="utf-8") as file:
    file.writelines(text)

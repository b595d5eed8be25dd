#!/usr/bin/env python3
"""Writes a header with the lines of code of C++ sources: lines that hold more than blanks and a // comment.

usage: count_lines.py HEADER SOURCE...
"""
import os
import sys


def lines_of_code(path):
    with open(path, encoding="utf-8") as source:
        return sum(1 for line in source if line.split("//")[0].strip())


header, *sources = sys.argv[1:]
with open(header, "w", encoding="utf-8") as out:
    out.write("#pragma once\n\nnamespace compare {\n\n")
    for path in sources:
        name = os.path.splitext(os.path.basename(path))[0]
        out.write(f"inline constexpr int {name}_lines = {lines_of_code(path)};\n")
    out.write("\n}  // namespace compare\n")

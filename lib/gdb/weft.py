"""gdb shows fibers: `source PREFIX/share/weft/weft.py`, then

    weft fibers     every fiber of the process or core file: id, name, state, and where it stands
    weft bt ID      the backtrace of one of them, suspended or running

Needs libweft's debug information, and Python in gdb (13 or later is known to work). Reads memory only, so that a core
file serves as well, and nothing of the process changes. Knows the stack frames of x86-64 and aarch64.
"""
import re

import gdb
import gdb.unwinder

# Where a suspended fiber's frame keeps the registers that a function has to preserve: Boost.Context's layouts. On
# x86-64 one word, before r12, is there in some versions only; `width` is the frame's size without its last word.
LAYOUTS = {
    "i386:x86-64": [
        {"registers": ["r12", "r13", "r14", "r15", "rbx", "rbp"], "first": first, "pc": width, "size": width + 8}
        for first, width in ((0x08, 0x38), (0x10, 0x40))
    ],
    "aarch64": [{"registers": [f"x{n}" for n in range(19, 31)], "first": 0x40, "pc": 0xa0, "size": 0xb0}],
}
PC_AND_SP = {"i386:x86-64": ("rip", "rsp"), "aarch64": ("pc", "sp")}


def word_at(address):
    return int(gdb.Value(address).cast(gdb.lookup_type("unsigned long").pointer()).dereference())


def text_of(name):
    """A std::string, or a pointer to one that may be null."""
    if name.type.strip_typedefs().name.startswith("std::unique_ptr"):
        pointer = word_at(int(name.address))
        if not pointer:
            return ""
        name = gdb.Value(pointer).cast(gdb.lookup_type("std::string").pointer()).dereference()
    return name["_M_dataplus"]["_M_p"].string(length=int(name["_M_string_length"]))


def field(value, name):
    """The field if this libweft has it."""
    return value[name] if any(name == f.name for f in value.type.fields()) else None


class Fiber:
    def __init__(self, record, thread, inferior_thread):
        self.record, self.thread, self.inferior_thread = record, thread, inferior_thread
        block = record["block"].dereference()
        self.id, self.name = int(block["id"]), text_of(block["name"])
        self.runs = thread["current"] == record.address
        self.state = "running" if self.runs else str(record["state"]).rpartition("::")[2].replace("free", "suspended")
        self.sp = int((field(block, "leapt_from") or 0)) or int(record["ctx"]["sp"])

    def registers(self):
        """What the registers will be when somebody switches to it."""
        architecture = gdb.selected_frame().architecture().name()
        if architecture not in LAYOUTS:
            raise gdb.GdbError(f"weft: the stack frames of {architecture} are not known")
        for layout in LAYOUTS[architecture]:
            pc = word_at(self.sp + layout["pc"])
            if gdb.current_progspace().solib_name(pc) or gdb.block_for_pc(pc):
                break
        pc_name, sp_name = PC_AND_SP[architecture]
        found = {name: word_at(self.sp + layout["first"] + 8 * n) for n, name in enumerate(layout["registers"])}
        return {**found, pc_name: pc, sp_name: self.sp + layout["size"]}

    def backtrace(self):
        self.inferior_thread.switch()
        if self.runs:
            return gdb.execute("bt", to_string=True)
        if self.state == "pending":
            return "It has not been started.\n"
        lines = unwinder.below_the_switch(self.registers())
        return re.sub(r"^#(\d+) *", lambda number: f"#{int(number[1]) - 1:<3}", lines, flags=re.MULTILINE)

    def stands(self):
        """The first frame that is not weft's own, in one line, and what a parked fiber waits for."""
        frames = re.findall(r"^#\d+ +(?:0x[0-9a-f]+ in )?(.*)$", self.backtrace(), re.MULTILINE)
        users = [frame for frame in frames if not frame.startswith("weft")] or frames[:1]
        waits = f"waits for {self.record['waiting']['what'].string()}, " if self.state == "parked" else ""
        return waits + re.sub(r" \(.*\) (at|from) ", r" \1 ", users[0]) if users else waits


class SuspendedFrames(gdb.unwinder.Unwinder):
    """While it has registers, it takes them for those of the selected thread's innermost frame's caller."""

    def __init__(self):
        super().__init__("weft")
        self.registers = None

    def __call__(self, frame):
        if self.registers is None or int(frame.read_register(self.sp_name)) != self.innermost:
            return None

        # gdb takes a caller that lies below its callee for a corrupt stack.
        class Id:
            sp, pc = gdb.Value(self.registers[self.sp_name] - 16), frame.read_register(self.pc_name)

        unwound = frame.create_unwind_info(Id)
        for name, value in self.registers.items():
            unwound.add_saved_register(name, gdb.Value(value).cast(gdb.lookup_type("long")))
        return unwound

    def below_the_switch(self, registers):
        self.pc_name, self.sp_name = PC_AND_SP[gdb.selected_frame().architecture().name()]
        self.innermost = int(gdb.newest_frame().read_register(self.sp_name))
        self.registers = registers
        gdb.invalidate_cached_frames()
        try:
            return gdb.execute("bt", to_string=True).partition("\n")[2]
        finally:
            self.registers = None
            gdb.invalidate_cached_frames()


def records(thread):
    yield thread["main"]
    head = thread["records"]["head_"]
    node = head["next"]
    while node != head.address:
        record = node.cast(gdb.lookup_type("weft::detail::record").pointer()).dereference()
        yield record
        node = record["next"]


def fibers():
    for inferior_thread in sorted(gdb.selected_inferior().threads(), key=lambda t: t.num):
        inferior_thread.switch()
        try:
            thread = gdb.parse_and_eval("weft::detail::current_thread")
        except gdb.error as problem:
            raise gdb.GdbError(f"weft: no fibers can be found: {problem}; is libweft loaded, with its debug "
                               "information, and libthread_db at hand?")
        if int(thread):
            for record in records(thread.dereference()):
                yield Fiber(record, thread.dereference(), inferior_thread)


class back_again:
    """Whatever is selected stays so."""

    def __enter__(self):
        if not gdb.selected_thread():
            raise gdb.GdbError("weft: there is no process and no core file")
        self.thread, self.frame = gdb.selected_thread(), gdb.selected_frame().level()

    def __exit__(self, kind, problem, _):
        self.thread.switch()
        gdb.execute(f"frame level {self.frame}", to_string=True)
        if isinstance(problem, gdb.MemoryError):
            raise gdb.GdbError(f"weft: {problem}: the fibers' stacks are not here. gdb's own generate-core-file gives "
                               "up at their guards on Linux 6.13 or later; a core file of the kernel's has them.")


class Weft(gdb.Command):
    """Fibers of weft: `weft fibers` lists them, `weft bt ID` shows where one stands."""

    def __init__(self):
        super().__init__("weft", gdb.COMMAND_STACK, prefix=True)


class WeftFibers(gdb.Command):
    """Every fiber: thread, id, name, state, and the first frame outside weft. The running ones have a star."""

    def __init__(self):
        super().__init__("weft fibers", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        with back_again():
            for fiber in fibers():
                star = "*" if fiber.runs else " "
                print(f"{star} thread {fiber.inferior_thread.num}  {fiber.id:>6}  {fiber.name or '-':<16}  "
                      f"{fiber.state:<9}  {fiber.stands().strip()}")


class WeftBacktrace(gdb.Command):
    """The backtrace of the fiber with this id, as `weft fibers` tells it."""

    def __init__(self):
        super().__init__("weft bt", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        if not argument.isdigit():
            raise gdb.GdbError("usage: weft bt ID, with an id of `weft fibers`")
        with back_again():
            for fiber in fibers():
                if fiber.id == int(argument):
                    print(fiber.backtrace(), end="")
                    return
        raise gdb.GdbError(f"weft: there is no fiber {argument}; see `weft fibers`")


unwinder = SuspendedFrames()
gdb.unwinder.register_unwinder(None, unwinder, replace=True)
Weft()
WeftFibers()
WeftBacktrace()

"""gdb commands for raddle's threads, live and in core files.

    info raddle threads [TEXT]            every thread, or those with TEXT in their name or state: id, name, what it does, its first
                                          frame outside the runtime
    raddle thread ID bt [ARGUMENTS]       its backtrace, with gdb's own options
    raddle thread ID apply COMMAND        any command on its innermost frame
    raddle thread apply all COMMAND       the same for every thread, or for some: raddle thread apply 3 7 bt 5

A program with debug information carries this script; gdb loads it if it trusts the file:

    (gdb) add-auto-load-safe-path /path/to/the/program

Otherwise, or without debug information: (gdb) source /path/to/raddle.py

Nothing of the program is changed or run. A thread that does not run is shown by an unwinder which says that gdb's current frame was
called by the thread's saved one, so that everything works on core files as well. What is read, and where it stands:
raddle/src/debugger.rs, raddle-context/src/arena/notes.rs, raddle-context/src/arch/x86_64.rs.
"""

import itertools
import re
import gdb
import gdb.unwinder

VERSION = 2
# The words of raddle_debugger_table, in order.
WORDS = [
    "version",
    "header_bytes", "header_sp", "colour_step", "colours", "colour_bytes", "header_stack_low",
    "block_bytes", "block_state", "block_worker", "block_record", "block_is_live", "block_waits_for", "block_place",
    "worker_core", "worker_kernel_id", "worker_flags", "flag_lost",
    "core_current", "core_index",
    "record_id", "record_name", "label_join", "label_input",
]
# Of a state word.
PHASE, ASLEEP, HELD = 0xFF, 2, 4
# Functions of these tell only how a thread waits or was preempted.
INNER = re.compile(
    r"^(<?&?raddle_context::|<?&?raddle_core::|<?&?raddle::(sched|machine|park|carry|futex|interpose|sync::raw|sync::channel::(buffer|zero|shared))::"
    r"|switch_body$|__restore_rt$)"
)

# The same by file: in optimised programs inlined functions may have short names.
INNER_FILE = re.compile(
    r"/raddle-context[-.\d]*/src/|/raddle-core[-.\d]*/src/"
    r"|/raddle[-.\d]*/src/(sched/|machine\.rs|park\.rs|carry\.rs|futex/|interpose/|sync/raw\.rs|sync/channel/(buffer|zero|shared)\.rs)"
)

# Rust's own library: whose a frame of it is, its caller tells.
LIBRARY_FILE = re.compile(r"/library/(core|alloc|std)/src/")
# Of that library, functions that say nothing to somebody who looks for a place in the program. The same by file, as above.
LIBRARY_SMALL = re.compile(r"<?&?core::")
LIBRARY_SMALL_FILE = re.compile(r"/library/core/src/")
# The kernel's, which gdb counts to no shared library.
VDSO = re.compile(r"(__vdso_)?(clock_gettime|clock_getres|gettimeofday|getcpu|time)$")


def memory(address, size):
    return gdb.selected_inferior().read_memory(address, size).tobytes()


def word(address, size=8):
    return int.from_bytes(memory(address, size), "little")


def address_of(symbol):
    """The address of a symbol, whether gdb knows its type or not."""
    try:
        said = gdb.execute("info address " + symbol, to_string=True)
    except gdb.error:
        raise gdb.GdbError("This program has no symbol %s: it does not use raddle, or was stripped." % symbol)
    found = re.search(r"0x[0-9a-f]+", said)
    if not found:
        raise gdb.GdbError("gdb does not know where %s is: %s" % (symbol, said.strip()))
    return int(found.group(), 16)


def text(address):
    """A str: a pointer and a length."""
    at, length = word(address), word(address + 8)
    return memory(at, length).decode(errors="replace") if at else None


class Table:
    def __init__(self):
        at = address_of("raddle_debugger_table")
        if gdb.selected_thread() is None:
            raise gdb.GdbError("The program is not being run.")
        for number, name in enumerate(WORDS):
            setattr(self, name, word(at + 8 * number))
        if self.version != VERSION:
            raise gdb.GdbError("This script knows version %d of raddle's table, the program has %d." % (VERSION, self.version))
        labels, count = word(at + 8 * len(WORDS)), word(at + 8 * len(WORDS) + 8)
        self.labels = [text(labels + 16 * number) for number in range(count)]


class Thread:
    """A live thread: what is known of it while the program is stopped."""

    def __init__(self, table, header):
        block = header + table.header_bytes
        self.sp = word(header + table.header_sp)
        record = word(block + table.block_record)
        self.id = word(record + table.record_id)
        self.name_or_not = text(record + table.record_name) or ""
        # The kernel thread on which it runs, if it does.
        self.kernel_id = None
        phase = word(block + table.block_state) & PHASE
        worker = word(block + table.block_worker)
        if phase in (ASLEEP, HELD):
            label = word(block + table.block_waits_for)
            self.doing = table.labels[min(label >> 56, len(table.labels) - 1)]
            place = label & ((1 << 56) - 1)
            if place:
                kind = label >> 56
                how = " (id %d)" if kind == table.label_join else " on descriptor %d" if kind >= table.label_input else " at %#x"
                self.doing += how % place
        elif word(block + table.block_place, 1):
            self.doing = "ready"
        elif worker:
            core = word(worker + table.worker_core)
            lost = word(worker + table.worker_flags, 4) & table.flag_lost
            if core and word(core + table.core_current) == block:
                self.doing = "running on core %d" % word(core + table.core_index)
                self.kernel_id = word(worker + table.worker_kernel_id, 4)
            elif lost:
                self.doing = "running without a core"
                self.kernel_id = word(worker + table.worker_kernel_id, 4)
            else:
                self.doing = "on its way"
        else:
            self.doing = "not started"


def threads():
    """All live threads, by their ids."""
    table = Table()
    found = []
    note = word(address_of("raddle_context_regions"))
    while note:
        after, base, slots, slot_bytes, above, states, state_bytes, built = (word(note + 8 * n) for n in range(8))
        note = after
        # Regions of workers' own bodies have no room for a control block.
        if not base or above < table.header_bytes + table.block_bytes:
            continue
        all_states = memory(states, slots * state_bytes)
        for slot in range(slots):
            if not all_states[slot * state_bytes + built]:
                continue
            colour = slot * table.colour_step % table.colours
            header = base + (slot + 1) * slot_bytes - colour * table.colour_bytes - above
            try:
                if word(header + table.header_bytes + table.block_is_live, 1):
                    found.append(Thread(table, header))
            except gdb.MemoryError:
                # Not in the core file.
                continue
    return sorted(found, key=lambda thread: thread.id)


class Suspended(gdb.unwinder.Unwinder):
    """Says that the current frame was called by that of a suspended thread."""

    # From the saved stack pointer up: see the drawing in raddle-context's arch/x86_64.rs.
    SAVED = {"r15": 8, "r14": 16, "r13": 24, "r12": 32, "rbx": 40, "rbp": 48, "rip": 56}
    BYTES = 64

    def __init__(self):
        super().__init__("raddle")
        self.thread = None

    def show(self, thread):
        frame = gdb.newest_frame()
        self.current = (int(frame.read_register("rsp")), int(frame.read_register("rip")))
        self.thread = thread
        gdb.invalidate_cached_frames()

    def hide(self):
        self.thread = None
        gdb.invalidate_cached_frames()

    def __call__(self, pending):
        if self.thread is None:
            return None
        current = pending.read_register("rsp"), pending.read_register("rip")
        if tuple(map(int, current)) != self.current:
            return None
        sp = self.thread.sp
        # A frame below the suspended one, wherever gdb's current stack is: it minds frames in the wrong order.
        info = pending.create_unwind_info(FrameId(gdb.Value(sp).cast(current[0].type), current[1]))
        values = {name: word(sp + at) for name, at in self.SAVED.items()}
        values["rsp"] = sp + self.BYTES
        for name, value in values.items():
            kind = pending.read_register(name).type
            info.add_saved_register(name, gdb.Value(value).cast(kind))
        return info


class FrameId:
    def __init__(self, sp, pc):
        self.sp = sp
        self.pc = pc


SUSPENDED = Suspended()
gdb.unwinder.register_unwinder(None, SUSPENDED, replace=True)


class Shown:
    """With a thread's frames in place of the current ones; `first` is the number of its innermost."""

    def __init__(self, thread):
        self.thread = thread
        self.first = 0

    def __enter__(self):
        self.gdb_thread = gdb.selected_thread()
        if self.gdb_thread is None:
            raise gdb.GdbError("The program is not being run.")
        self.level = gdb.selected_frame().level()
        if self.thread.kernel_id is not None:
            all_threads = gdb.selected_inferior().threads()
            own = [one for one in all_threads if one.ptid[1] == self.thread.kernel_id]
            if not own:
                raise gdb.GdbError("gdb does not know kernel thread %d." % self.thread.kernel_id)
            own[0].switch()
        else:
            frame = gdb.newest_frame()
            frame.select()
            # gdb counts a frame for each function that the compiler inlined at the current place: all of them are in front of the
            # thread's.
            while frame.type() == gdb.INLINE_FRAME:
                frame = frame.older()
            self.first = frame.level() + 1
            SUSPENDED.show(self.thread)
        return self

    def __exit__(self, *_):
        if self.first:
            SUSPENDED.hide()
        self.gdb_thread.switch()
        gdb.execute("select-frame %d" % self.level)

    def innermost(self):
        frame = gdb.newest_frame()
        for _ in range(self.first):
            frame = frame.older()
        return frame


def first_outside(frames):
    """The first of the frames, innermost first, that is not the runtime's, or None. A frame of a library, such as a vector's or a system
    call's, is its caller's: the runtime calls them too. Each frame has a name, a file or None, and whether a shared library has it."""
    library = None
    for frame in frames:
        if not frame.name:
            continue
        if INNER.match(frame.name) or frame.file and INNER_FILE.search(frame.file):
            library = None
        elif LIBRARY_SMALL.match(frame.name) or frame.file and LIBRARY_SMALL_FILE.search(frame.file):
            continue
        elif frame.is_shared or frame.file and LIBRARY_FILE.search(frame.file):
            library = library or frame
        else:
            return library or frame
    return library


class Frame:
    def __init__(self, name, file=None, is_shared=False, said=None):
        self.name, self.file, self.is_shared, self.said = name, file, is_shared, said or name


def frames_of(shown):
    frame = shown.innermost()
    while frame is not None:
        name, place = frame.name(), frame.find_sal()
        if frame.type() == gdb.SIGTRAMP_FRAME:
            yield Frame("__restore_rt")
        elif place.symtab:
            said = "%s at %s:%d" % (name, place.symtab.filename, place.line)
            yield Frame(name, place.symtab.fullname(), gdb.solib_name(frame.pc()) is not None, said)
        else:
            yield Frame(name, None, gdb.solib_name(frame.pc()) is not None or VDSO.match(name or ""))
        frame = frame.older()


def top(thread):
    """The first function outside the runtime."""
    try:
        with Shown(thread) as shown:
            found = first_outside(frames_of(shown))
            return found.said if found else ""
    except (gdb.error, gdb.GdbError) as error:
        return "(%s)" % error


def thread_of(number):
    for thread in threads():
        if thread.id == number:
            return thread
    raise gdb.GdbError("There is no raddle thread with id %d; see info raddle threads." % number)


class Info(gdb.Command):
    """What is known of raddle's threads."""

    def __init__(self):
        super().__init__("info raddle", gdb.COMMAND_STATUS, prefix=True)


class InfoThreads(gdb.Command):
    """info raddle threads [TEXT]: lists raddle's threads, or those with TEXT in their name or state: id, name, what each does, its first
frame outside the runtime."""

    def __init__(self):
        super().__init__("info raddle threads", gdb.COMMAND_STATUS)

    def invoke(self, argument, from_tty):
        all_threads = threads()
        found = [one for one in all_threads if argument in one.name_or_not or argument in one.doing]
        name = max([20] + [min(len(one.name_or_not), 32) for one in found])
        state = max([20] + [len(one.doing) for one in found])
        line = "%%-6s %%-%ds %%-%ds %%s" % (name, state)
        print(line % ("Id", "Name", "State", "Frame"))
        for thread in found:
            print(line % (thread.id, thread.name_or_not, thread.doing, top(thread)))
        of_all = " of %d" % len(all_threads) if argument else ""
        print("%d%s raddle threads." % (len(found), of_all))


class Raddle(gdb.Command):
    """Commands on raddle's threads."""

    def __init__(self):
        super().__init__("raddle", gdb.COMMAND_STACK, prefix=True)


class RaddleThread(gdb.Command):
    """raddle thread ID bt [ARGUMENTS]: the backtrace of a raddle thread, with the options of gdb's backtrace.
raddle thread ID apply COMMAND: executes a command on its innermost frame.
raddle thread apply all COMMAND: executes a command, such as bt, on every raddle thread; or on some: raddle thread apply 3 7 bt 5"""

    USAGE = "Usage: raddle thread ID bt [ARGUMENTS], raddle thread ID apply COMMAND, or raddle thread apply all COMMAND"

    def __init__(self):
        super().__init__("raddle thread", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        words = argument.split(None, 2)
        if words[:1] == ["apply"]:
            return self.apply(argument.split()[1:], from_tty)
        if len(words) < 2 or not words[0].isdigit():
            raise gdb.GdbError(self.USAGE)
        thread, verb, rest = thread_of(int(words[0])), words[1], words[2] if len(words) > 2 else ""
        if verb in ("bt", "backtrace"):
            execute(thread, verb + " " + rest, from_tty)
        elif verb == "apply" and rest:
            execute(thread, rest, from_tty)
        else:
            raise gdb.GdbError(self.USAGE)

    def apply(self, words, from_tty):
        ids = list(itertools.takewhile(str.isdigit, words))
        command = " ".join(words[max(len(ids), 1):])
        if not command or not ids and words[0] != "all":
            raise gdb.GdbError(self.USAGE)
        for thread in [thread_of(int(one)) for one in ids] or threads():
            print('\nRaddle thread %d "%s" (%s):' % (thread.id, thread.name_or_not, thread.doing))
            try:
                execute(thread, command, from_tty)
            except gdb.GdbError as error:
                print(error)


def execute(thread, command, from_tty):
    """A command on the innermost frame of a thread."""
    verb, _, rest = command.partition(" ")
    try:
        with Shown(thread) as shown:
            if verb in ("bt", "backtrace"):
                print(backtrace(rest, shown.first), end="")
            else:
                shown.innermost().select()
                gdb.execute(command, from_tty)
    except gdb.error as error:
        raise gdb.GdbError(str(error))


def backtrace(arguments, first):
    """gdb's, without the frames before `first`, which are not the thread's."""
    words = arguments.split()
    # A count does not mean those.
    words = [str(int(one) + first) if one.isdigit() else one for one in words]
    lines = gdb.execute("backtrace " + " ".join(words), to_string=True).splitlines(True)
    out, number = [], -1
    for line in lines:
        found = re.match(r"#(\d+)( +)", line)
        if found:
            number = int(found.group(1))
            line = "#%-3d %s" % (number - first, line[found.end():])
        if number >= first:
            out.append(line)
    return "".join(out)


Info()
InfoThreads()
Raddle()
RaddleThread()

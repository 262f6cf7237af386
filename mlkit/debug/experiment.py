"""Forked experiments: a child is the whole live program; in it anything may be done, and the parent is untouched.

Two uses: `measure` runs a function in a child and returns what it returned; `Parked` is a child that waits, as a
checkpoint in time, and from which trials continue the user's own code with one change (`mlkit.debug.trials`).
Not here: what is measured or changed.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pickle
import random
import select
import signal
import struct
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

import torch

_WRITING = ("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.truncate", "os.link", "os.symlink", "shutil.rmtree")
_OUTSIDE = ("socket.connect", "socket.bind", "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn")
MEMORY_BEYOND = 4 << 30
"""Bytes of address space that a child may take beyond what it inherits."""

BUSY = 6.0
"""Wall time that a child may take, in units of its processor time: on a machine with other work it waits most of it."""

_is_child = False
_is_forking = False


@dataclass(frozen=True)
class Outcome:
    """What became of a child.

    Args:
        value: what its function returned; None where it did not end well.
        problem: None, or in words: the time ran out, an exception, an act that would have left a mark.
        seconds: processor time of a measurement, wall time of a trial.
    """

    value: object
    problem: str | None
    seconds: float


def is_child() -> bool:
    """Whether this process is a forked experiment."""
    return _is_child


def is_forking() -> bool:
    """Whether a fork that is going on is one of ours (and not the program's own, as for a DataLoader's worker)."""
    return _is_forking


def obstacle() -> str | None:
    """Why no child can be forked here and now, or None."""
    if not hasattr(os, "fork") or sys.platform == "win32":
        return "this platform cannot fork"
    if sys.platform == "darwin":
        return "a forked child of a program that used Accelerate is not safe on macOS"
    if torch.cuda.is_available() and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        return "CUDA is in use, and a forked child cannot use it"
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return "the program is one of several distributed processes"
    return None


def measure(function: Callable[[], object], *, seconds: float) -> Outcome:
    """Run a function in a forked child and return what it returned (plain values: it is pickled).

    Args:
        function: what to run; may change anything, since it changes a copy.
        seconds: of processor time, after which the child is killed; on a busy machine that is a longer time.
    """
    begin = time.perf_counter()
    reader, writer = os.pipe()
    pid = fork()
    if pid == 0:
        os.close(reader)
        answers_through(writer)
        _bound_time(seconds)
        finish(writer, _run(function))
    os.close(writer)
    try:
        answer = receive(reader, deadline=begin + BUSY * seconds)
    finally:
        os.close(reader)
        spent = end(pid)
    if answer is None:
        return Outcome(None, f"no answer within {seconds:.1f} s", spent)
    value, problem = answer
    return Outcome(value, problem, spent)


def fork() -> int:
    """Fork this process; in the child (0 is returned) nothing escapes: output, files, sockets, signals, threads."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    state, threads = random.getstate(), torch.get_num_threads()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python 3.12 warns of threads; the child touches none of them
        pid = _own_fork()
    if pid == 0:
        _isolate(threads)
        random.setstate(state)  # Python seeds its generator anew in a child; the child is to do what the parent would
    return pid


def _own_fork() -> int:
    global _is_forking
    _is_forking = True
    try:
        return os.fork()
    finally:
        _is_forking = False


def _isolate(threads: int) -> None:
    global _is_child
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: no orphan survives the parent
    if _is_child:
        return  # a child's child is isolated already
    _is_child = True
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115  (it lives as long as the child)
    sys.stderr = sys.stdout
    if threads > 1:
        torch.set_num_threads(1)  # pools of threads do not survive a fork
    _bound_memory()
    tempfile.gettempdir()  # finds out by writing a file; libraries ask for it when they are imported
    sys.addaudithook(_guard)
    # torch.save writes from C++, which no audit hook sees.
    torch._C.PyTorchFileWriter = lambda target, *_: _refuse(f"torch.save {target}")  # type: ignore[misc, assignment]
    _forbid_writing()


def _forbid_writing() -> None:
    """Where the kernel has Landlock, it denies this process every change of files, whatever code asks for it."""
    if sys.platform != "linux":
        return
    with contextlib.suppress(Exception):
        create, add_rule, restrict = 444, 445, 446  # system calls landlock_create_ruleset, _add_rule, _restrict_self
        # Writing, removing and making of files of every kind: bits 1 and 4 to 12 of access_fs.
        handled = ctypes.c_uint64(1 << 1 | sum(1 << bit for bit in range(4, 13)))
        library = ctypes.CDLL(None, use_errno=True)
        ruleset = library.syscall(create, ctypes.byref(handled), ctypes.c_size_t(8), 0)
        if ruleset >= 0:
            nowhere = os.open(os.devnull, os.O_RDONLY)
            allowed = ctypes.create_string_buffer(struct.pack("<Qi", 1 << 1, nowhere))
            library.syscall(add_rule, ruleset, 1, allowed, 0)
            os.close(nowhere)
            library.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
            library.syscall(restrict, ruleset, 0)
            os.close(ruleset)


def _bound_time(seconds: float) -> None:
    with contextlib.suppress(Exception):
        import resource

        spent = time.process_time()
        limit = int(spent + seconds) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))


def _bound_memory() -> None:
    with contextlib.suppress(Exception):
        import resource

        with open("/proc/self/statm") as file:
            inherited = int(file.read().split()[0]) * resource.getpagesize()
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (inherited + MEMORY_BEYOND, hard))


_writer: int | None = None
_so_far: Callable[[], object] | None = None


def _guard(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open":
        path, mode, flags = (*arguments, None, None, None)[:3]
        writes = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
        writes = writes or (isinstance(mode, str) and any(letter in mode for letter in "wax+"))
        if not writes or path == os.devnull or str(path).startswith("/dev/null"):
            return
    elif event not in _WRITING and event not in _OUTSIDE:
        return
    _refuse(f"{event} {arguments[0] if arguments else ''}")


def _refuse(act: str) -> NoReturn:
    if _writer is not None:
        value = _so_far() if _so_far is not None else None
        finish(_writer, (value, f"the program would have left a mark: {act}"))
    os._exit(3)


def _run(function: Callable[[], object]) -> tuple[object, str | None]:
    try:
        return function(), None
    except BaseException as error:
        last = traceback.extract_tb(error.__traceback__)[-1:]
        where = f" at {last[0].filename}:{last[0].lineno}" if last else ""
        return None, f"{type(error).__name__}: {error}{where}"


def answers_through(writer: int) -> None:
    """In a child: where `finish` is to send what it has when an act is refused."""
    global _writer
    _writer = writer


def tell_when_refused(function: Callable[[], object]) -> None:
    """In a child: what to send beside the problem when an act is refused."""
    global _so_far
    _so_far = function


def finish(writer: int, answer: tuple[object, str | None]) -> NoReturn:
    """In a child: send the answer and end at once, without the interpreter's clean-up."""
    try:
        data = pickle.dumps(answer)
    except Exception as error:
        data = pickle.dumps((None, f"the answer cannot be sent: {error}"))
    with contextlib.suppress(OSError):
        _send(writer, data)
    os._exit(0)


def _send(writer: int, data: bytes) -> None:
    view = memoryview(struct.pack("<Q", len(data)) + data)
    while view:
        view = view[os.write(writer, view) :]


def receive(reader: int, *, deadline: float) -> tuple[object, str | None] | None:
    """The answer of a child, or None when it died or the deadline (of `time.perf_counter`) passed."""
    data, size = b"", 8
    while len(data) < size:
        left = deadline - time.perf_counter()
        if left <= 0 or not select.select([reader], [], [], left)[0]:
            return None
        part = os.read(reader, 1 << 16)
        if not part:
            return None
        data += part
        if len(data) >= 8 and size == 8:
            size = 8 + struct.unpack("<Q", data[:8])[0]
    answer: tuple[object, str | None] = pickle.loads(data[8:])
    return answer


def end(pid: int) -> float:
    """Kill a child if it still lives, and reap it; returns the seconds of processor time that it took."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        usage = os.wait4(pid, 0)[2]
        return usage.ru_utime + usage.ru_stime
    return 0.0


class Parked:
    """A child that was forked at this moment and waits: from it, trials continue the program again and again.

    `park` returns twice: None in the parent, which keeps the object, and the change to make in each trial's own
    process, which then goes on with the user's code until `finish` is called.
    """

    def __init__(self) -> None:
        self._pid = 0
        self._commands = -1
        self._answers = -1

    def park(self) -> object | None:
        """Fork; the parent gets None, every later trial gets its change (never None)."""
        command_reader, command_writer = os.pipe()
        answer_reader, answer_writer = os.pipe()
        self._pid = fork()
        if self._pid:
            os.close(command_reader)
            os.close(answer_writer)
            self._commands, self._answers = command_writer, answer_reader
            return None
        os.close(command_writer)
        os.close(answer_reader)
        return _serve(command_reader, answer_writer)

    @property
    def is_open(self) -> bool:
        return self._pid > 0

    def trial(self, change: object, *, seconds: float) -> Outcome:
        """Let a copy of the parked program go on with a change; returns what it sent with `finish`.

        Args:
            change: plain value; it is what `park` returns there.
            seconds: deadline of wall time.
        """
        begin = time.perf_counter()
        data = pickle.dumps((change, seconds))
        try:
            _send(self._commands, data)
            answer = receive(self._answers, deadline=begin + seconds + 1.0)
        except OSError as error:
            return Outcome(None, f"the parked program is gone: {error}", time.perf_counter() - begin)
        spent = time.perf_counter() - begin
        if answer is None:
            self.close()  # a half-received answer would be taken for the next one's
            return Outcome(None, f"no answer within {seconds:.1f} s", spent)
        return Outcome(answer[0], answer[1], spent)

    def close(self) -> None:
        """End the parked child and its trials."""
        if self._pid:
            os.close(self._commands)
            os.close(self._answers)
            end(self._pid)
            self._pid = 0


def _serve(commands: int, answers: int) -> object:
    """In the parked child: wait for changes; each is handed to a fork of its own, which alone returns from here."""
    while True:
        head = _read_exactly(commands, 8)
        body = _read_exactly(commands, struct.unpack("<Q", head)[0]) if head else None
        if not body:
            os._exit(0)
        change, seconds = pickle.loads(body)
        reader, writer = os.pipe()
        state = random.getstate()
        pid = _own_fork()
        if pid == 0:
            random.setstate(state)
            if sys.platform == "linux":
                ctypes.CDLL(None).prctl(1, signal.SIGKILL)
            os.close(reader)
            answers_through(writer)
            return change
        os.close(writer)
        answer = receive(reader, deadline=time.perf_counter() + seconds)
        os.close(reader)
        end(pid)
        _send(answers, pickle.dumps(answer or (None, f"no answer within {seconds:.1f} s")))


def _read_exactly(descriptor: int, size: int) -> bytes | None:
    data = b""
    while len(data) < size:
        part = os.read(descriptor, size - len(data))
        if not part:
            return None
        data += part
    return data


def own_writer() -> int:
    """In a trial: the pipe through which `finish` answers."""
    assert _writer is not None, "only a trial has a writer"
    return _writer

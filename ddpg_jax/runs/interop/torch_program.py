"""The program inside a file of `torch.save`: which tensor is a view of which storage.

Such a program is meant for a small stack machine. Python's own calls whatever function the program names; the one here
knows the few instructions that a dict of plain tensors needs, calls nothing, and refuses the rest.
"""

import pickletools
from collections.abc import Callable
from typing import Any, NamedTuple

from ddpg_jax.config import ConfigError, shown

DTYPES = {
    "torch FloatStorage": "f4",
    "torch DoubleStorage": "f8",
    "torch HalfStorage": "f2",
    "torch LongStorage": "i8",
    "torch IntStorage": "i4",
}
ORDERED_DICT, REBUILD_TENSOR = "collections OrderedDict", "torch._utils _rebuild_tensor_v2"


class Name(NamedTuple):
    """The name of something in a module, which is compared with those known and never looked up."""

    text: str


class Storage(NamedTuple):
    """One member of the archive: `size` numbers of a dtype, without its byte order."""

    dtype: str
    key: str
    size: int


class Tensor(NamedTuple):
    """A view of a storage; offset and strides count numbers, not bytes."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class Machine(NamedTuple):
    """What the instructions work on: a stack, where groups on it begin, and what is to be used again."""

    stack: list[Any]
    marks: list[int]
    memo: dict[int, Any]


def interpret(program: bytes) -> dict[str, Tensor]:
    """What a program builds, if that is a dict of tensors.

    Raises:
        ConfigError: naming the first instruction, or thing, that such a dict does not need.
    """
    machine = Machine([], [], {})
    try:
        for opcode, argument, _ in pickletools.genops(program):
            if opcode.name not in INSTRUCTIONS:
                raise ConfigError(f"holds the instruction {opcode.name}, which no dict of plain tensors needs")
            INSTRUCTIONS[opcode.name](machine, argument)
        (result,) = machine.stack
    except ConfigError:
        raise
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise ConfigError(f"the list of its tensors is damaged: {type(error).__name__}") from None
    if not isinstance(result, dict) or not all(isinstance(value, Tensor) for value in result.values()):
        raise ConfigError("holds something else than a dict of plain tensors")
    return result


def push(machine: Machine, value: Any) -> None:
    """Put a value on the stack."""
    machine.stack.append(value)


def mark(machine: Machine, _: None) -> None:
    """Begin a group."""
    machine.marks.append(len(machine.stack))


def take_group(machine: Machine) -> list[Any]:
    """Take what lies on the stack since the last mark."""
    begin = machine.marks.pop()
    group = machine.stack[begin:]
    del machine.stack[begin:]
    return group


def take(machine: Machine, count: int) -> list[Any]:
    """Take so many values from the stack; IndexError if there are fewer."""
    return [machine.stack.pop() for _ in range(count)][::-1]


def store(machine: Machine, index: int) -> None:
    """Remember what lies on top."""
    machine.memo[index] = machine.stack[-1]


def known_name(machine: Machine, text: str) -> None:
    """A name, of those that a dict of tensors uses."""
    if text not in {ORDERED_DICT, REBUILD_TENSOR, *DTYPES}:
        raise ConfigError(f"refers to {shown(text.replace(' ', '.'))}, which no dict of plain tensors needs")
    push(machine, Name(text))


def set_items(machine: Machine, items: list[Any]) -> None:
    """Add names and values, in turns, to the dict on top."""
    names, target = items[::2], machine.stack[-1]
    if not isinstance(target, dict) or not all(isinstance(name, str) for name in names):
        raise ConfigError("holds something else than a dict of plain tensors")
    target.update(zip(names, items[1::2], strict=True))


def build(machine: Machine, _: None) -> None:
    """Forget the attributes of a dict: a module's `_metadata`, versions that plain layers do not have."""
    target, attributes = machine.stack[-2], machine.stack.pop()
    if not isinstance(target, dict) or not isinstance(attributes, dict) or set(attributes) != {"_metadata"}:
        raise ConfigError("sets the state of an object, which no dict of plain tensors needs")


def storage(machine: Machine, _: None) -> None:
    """A storage instead of the tuple that says which: ("storage", type, key, device, number of numbers)."""
    kind, dtype, key, _device, size = machine.stack.pop()
    if kind != "storage" or not isinstance(dtype, Name) or not isinstance(key, str) or not is_counts((size,)):
        raise ConfigError("refers to a storage in a way that PyTorch does not")
    push(machine, Storage(DTYPES[dtype.text], key, size))


def call(machine: Machine, _: None) -> None:
    """What a function would give for its arguments: an empty OrderedDict, or a tensor."""
    function, arguments = take(machine, 2)
    if function == Name(ORDERED_DICT) and arguments == ():
        push(machine, {})
    elif function == Name(REBUILD_TENSOR) and isinstance(arguments, tuple):
        push(machine, tensor(*arguments))
    else:
        raise ConfigError("calls a function in a way that no dict of plain tensors needs")


def tensor(storage: Any, offset: Any, shape: Any, strides: Any, _requires_grad: Any, *others: Any) -> Tensor:
    """A view of a storage, its numbers checked; hooks and metadata must be empty."""
    plain = isinstance(storage, Storage) and is_counts((offset,)) and is_counts(shape) and is_counts(strides)
    if not plain or len(shape) != len(strides) or len(shape) > 8 or any(other != {} for other in others):
        raise ConfigError("describes a tensor that is not plain")
    return Tensor(storage, offset, shape, strides)


def is_counts(values: Any) -> bool:
    """Whether this is a tuple of integers >= 0 that NumPy can count with."""
    return isinstance(values, tuple) and all(type(value) is int and 0 <= value < 2**40 for value in values)


def put(make: Callable[[Machine], Any]) -> Callable[[Machine, Any], None]:
    """An instruction that puts on the stack what it makes of the machine."""
    return lambda machine, _: push(machine, make(machine))


INSTRUCTIONS: dict[str, Callable[[Machine, Any], None]] = {
    "PROTO": lambda machine, version: None,
    "STOP": lambda machine, _: None,
    "MARK": mark,
    **dict.fromkeys(("BININT", "BININT1", "BININT2", "LONG1", "BINUNICODE"), push),
    "NEWTRUE": put(lambda machine: True),
    "NEWFALSE": put(lambda machine: False),
    "EMPTY_DICT": put(lambda machine: {}),
    "EMPTY_TUPLE": put(lambda machine: ()),
    "TUPLE": put(lambda machine: tuple(take_group(machine))),
    "TUPLE1": put(lambda machine: tuple(take(machine, 1))),
    "TUPLE2": put(lambda machine: tuple(take(machine, 2))),
    "TUPLE3": put(lambda machine: tuple(take(machine, 3))),
    "SETITEM": lambda machine, _: set_items(machine, take(machine, 2)),
    "SETITEMS": lambda machine, _: set_items(machine, take_group(machine)),
    **dict.fromkeys(("BINPUT", "LONG_BINPUT"), store),
    **dict.fromkeys(("BINGET", "LONG_BINGET"), lambda machine, index: push(machine, machine.memo[index])),
    "GLOBAL": known_name,
    "BINPERSID": storage,
    "REDUCE": call,
    "BUILD": build,
}

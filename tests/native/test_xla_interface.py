"""The version of XLA's interface: which are spoken to, and that what is declared here is what they have."""

import functools
import shutil
import subprocess
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ddpg_jax.callbacks import foreign_call, host_call
from ddpg_jax.native import interface, library

# A structure of ffi.h and its fields, and beside each the name that XLA gives it.
STRUCTURES = {
    "ffi_extension XLA_FFI_Metadata_Extension": "type extension_base.type, next extension_base.next",
    "ffi_metadata_extension XLA_FFI_Metadata_Extension": "metadata metadata",
    "ffi_metadata XLA_FFI_Metadata": (
        "version.major api_version.major_version, version.minor api_version.minor_version"
    ),
    "ffi_buffer XLA_FFI_Buffer": "dtype dtype, data data, rank rank, dims dims",
    "ffi_buffers XLA_FFI_Args": "size size, types types, buffers args",
    "ffi_buffers XLA_FFI_Rets": "size size, types types, buffers rets",
    "ffi_attributes XLA_FFI_Attrs": "size size, types types, names names, scalars attrs",
    "ffi_scalar XLA_FFI_Scalar": "dtype dtype, value value",
    "ffi_frame XLA_FFI_CallFrame": (
        "extension extension_start, api api, context ctx, stage stage, args args, rets rets, attributes attrs, "
        "future future"
    ),
    "ffi_schedule XLA_FFI_ThreadPool_Schedule_Args": "context ctx, task task, data data",
    "ffi_num_threads XLA_FFI_ThreadPool_NumThreads_Args": "context ctx, num_threads num_threads",
    "ffi_create_error XLA_FFI_Error_Create_Args": "message message, code errc",
    "ffi_future XLA_FFI_Future_Create_Args": "future future",
    "ffi_future XLA_FFI_Future_SetError_Args": "future future, error error",
    "ffi_api XLA_FFI_Api": (
        "version api_version, error_create XLA_FFI_Error_Create, pool_schedule XLA_FFI_ThreadPool_Schedule, "
        "pool_num_threads XLA_FFI_ThreadPool_NumThreads, future_create XLA_FFI_Future_Create, "
        "future_set_available XLA_FFI_Future_SetAvailable, future_set_error XLA_FFI_Future_SetError"
    ),
}
# The same for the structures of callbacks/foreign_call.py.
IN_PYTHON = {
    "Extension XLA_FFI_Metadata_Extension": "type extension_base.type, metadata metadata",
    "Metadata XLA_FFI_Metadata": "major api_version.major_version, minor api_version.minor_version",
    "Frame XLA_FFI_CallFrame": (
        "extension extension_start, api api, args args.args, rets rets.rets, attrs attrs.attrs, future future"
    ),
    "Buffer XLA_FFI_Buffer": "data data",
    "Scalar XLA_FFI_Scalar": "value value",
    "Api XLA_FFI_Api": (
        "create_error XLA_FFI_Error_Create, create_future XLA_FFI_Future_Create, "
        "set_available XLA_FFI_Future_SetAvailable, set_error XLA_FFI_Future_SetError"
    ),
    "Future XLA_FFI_Future_SetError_Args": "future future, error error",
    "Error XLA_FFI_Error_Create_Args": "message message, code errc",
}
CODES = {
    "FFI_METADATA": "Extension_Metadata",
    "FFI_RESOURCE_EXHAUSTED": "Error_Code_RESOURCE_EXHAUSTED",
    "FFI_INTERNAL": "Error_Code_INTERNAL",
}


def comparisons():
    """Lines of C that do not compile where a field of ours is not where XLA's is."""
    for names, fields in STRUCTURES.items():
        ours, theirs = names.split()
        for one, other in map(str.split, fields.split(", ")):
            yield f'_Static_assert(offsetof({ours}, {one}) == offsetof({theirs}, {other}), "{ours} {one}");'
    for names, fields in IN_PYTHON.items():
        ours, theirs = names.split()
        for one, other in map(str.split, fields.split(", ")):
            offset = getattr(getattr(foreign_call, ours), one).offset
            yield f'_Static_assert({offset} == offsetof({theirs}, {other}), "{ours} {one}");'
    for ours, theirs in CODES.items():
        yield f'_Static_assert({ours} == (int)XLA_FFI_{theirs}, "{ours}");'


def compile_with(lines, folder):
    """What the compiler says of these lines under both headers, empty if they are right."""
    source = folder / "compare.c"
    source.write_text('#include "ffi.h"\n#include "xla/ffi/api/c_api.h"\n' + "\n".join(lines) + "\n")
    ours = library.__file__.rpartition("/")[0]
    done = subprocess.run(
        ["cc", "-fsyntax-only", f"-I{ours}", f"-I{jax.ffi.include_dir()}", source], capture_output=True, text=True
    )
    return done.stderr


@pytest.mark.skipif(not shutil.which("cc"), reason="there is no C compiler")
def test_the_structures_are_those_of_the_installed_xla(tmp_path):
    assert compile_with(comparisons(), tmp_path) == ""
    moved = '_Static_assert(offsetof(ffi_buffer, data) == offsetof(XLA_FFI_Buffer, dtype), "moved");'
    assert "moved" in compile_with([moved], tmp_path)


def test_the_installed_version_is_known():
    assert interface.SPOKEN <= interface.installed() <= interface.NEWEST


@pytest.fixture
def header(tmp_path, monkeypatch):
    """A function that makes the installed XLA one with another header, or with none."""
    monkeypatch.setattr(jax.ffi, "include_dir", lambda: str(tmp_path))
    path = tmp_path / interface.HEADER
    path.parent.mkdir(parents=True)

    def write(text):
        path.unlink(missing_ok=True)
        if text is not None:
            path.write_text(text)
        interface.installed.cache_clear()

    yield write
    interface.installed.cache_clear()


ONE, OTHER = "#define XLA_FFI_API_MAJOR {}\n", "#define XLA_FFI_API_MINOR {}\n"


@pytest.mark.parametrize(
    ("text", "is_known"),
    [
        (None, False),
        (ONE.format(0), False),
        (ONE.format(0) + OTHER.format(2), False),
        (ONE.format(0) + OTHER.format(3), True),
        (ONE.format(0) + OTHER.format(5), True),
        (ONE.format(0) + OTHER.format(6), False),
        (ONE.format(1) + OTHER.format(0), False),
    ],
)
def test_versions_whose_structures_were_compared_are_spoken_to(header, text, is_known):
    header(text)
    assert interface.is_known() == is_known


@pytest.fixture
def unknown(header, monkeypatch):
    """A process whose XLA is newer than any that is known."""
    header(ONE.format(0) + OTHER.format(9))
    monkeypatch.delenv(library.SWITCH, raising=False)
    monkeypatch.setattr(library, "load", functools.cache(library.load.__wrapped__))


def test_another_version_says_once_what_is_lost(unknown):
    with pytest.warns(UserWarning, match=r"version 0\.9 .* 0\.3 to 0\.5.* slower") as said:
        assert library.load() is None
    assert len(said) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert library.load() is None


@pytest.mark.filterwarnings("ignore:jaxlib")
def test_with_another_version_the_host_is_called_through_copies(unknown):
    like = [jax.ShapeDtypeStruct((2,), jnp.float32)]

    def double(written, vector):
        written[0][...] = 2 * vector

    call = jax.jit(host_call.make_host_call(double, like, like))
    assert "io_callback" in str(call.trace(jnp.ones(2)).jaxpr)
    np.testing.assert_array_equal(call(jnp.ones(2))[0], 2)

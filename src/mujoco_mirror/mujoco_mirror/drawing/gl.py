"""An offscreen OpenGL context: EGL (GPU or software), else OSMesa.

MuJoCo picks one backend from ``MUJOCO_GL`` when it is imported and PyOpenGL can be bound to only
one platform in a process, so the choice is made by looking at the libraries first.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import logging
import os
from typing import Protocol

from sim_bridge.errors import OperationFailed

_log = logging.getLogger(__name__)
_NEEDED = (
    "no offscreen OpenGL here: install EGL (Debian packages libegl1 libegl-mesa0 libgl1-mesa-dri) "
    "or OSMesa (libosmesa6)"
)
_EGL_PLATFORM_DEVICE = 0x313F


class GLContext(Protocol):
    def make_current(self) -> None: ...

    def free(self) -> None: ...


def choose_backend() -> str:
    """``egl`` or ``osmesa``: what ``MUJOCO_GL`` says, else what works here.

    Raises OperationFailed, naming the packages to install, when neither does.
    """
    wanted = os.environ.get("MUJOCO_GL", "").strip().lower()
    if wanted == "osmesa":
        return "osmesa"
    problem = _egl_problem()
    if not problem:
        return "egl"
    if ctypes.util.find_library("OSMesa"):
        _log.warning("EGL does not work here (%s): drawing with OSMesa, which is slower", problem)
        return "osmesa"
    raise OperationFailed(f"{_NEEDED} ({problem})")


def create_context(width: int, height: int) -> GLContext:
    """A context for one thread; the caller makes it current there and frees it there."""
    backend = choose_backend()
    os.environ.setdefault("MUJOCO_GL", backend)
    # Mesa's software rasteriser takes every core by default and slows the simulator beside it.
    os.environ.setdefault("LP_NUM_THREADS", str(max(1, (os.cpu_count() or 2) - 1)))
    try:
        if backend == "egl":
            from mujoco.egl import GLContext as Context
        else:
            from mujoco.osmesa import GLContext as Context
        return Context(width, height)
    except (ImportError, RuntimeError) as error:
        raise OperationFailed(f"{_NEEDED} ({backend}: {error})") from error


def renderer_name() -> str:
    """What OpenGL draws with here, e.g. ``llvmpipe (LLVM 15.0.6, 256 bits)``."""
    context = create_context(16, 16)
    try:
        context.make_current()
        from OpenGL import GL

        return (GL.glGetString(GL.GL_RENDERER) or b"unknown").decode(errors="replace")
    finally:
        context.free()


def is_software(renderer: str) -> bool:
    return any(word in renderer.lower() for word in ("llvmpipe", "softpipe", "swrast", "software"))


def _egl_problem() -> str:
    """Why EGL cannot draw without a display here; empty when it can."""
    name = ctypes.util.find_library("EGL")
    if name is None:
        return "libEGL.so.1 is missing"
    try:
        egl = ctypes.CDLL(name)
    except OSError as error:
        return str(error)
    egl.eglGetProcAddress.restype = ctypes.c_void_p
    query = egl.eglGetProcAddress(b"eglQueryDevicesEXT")
    platform_display = egl.eglGetProcAddress(b"eglGetPlatformDisplayEXT")
    if not query or not platform_display:
        return "libEGL has no device platform"
    prototype = ctypes.CFUNCTYPE(
        ctypes.c_uint, ctypes.c_int, ctypes.POINTER(ctypes.c_void_p), ctypes.POINTER(ctypes.c_int)
    )
    devices, count = (ctypes.c_void_p * 16)(), ctypes.c_int(0)
    if not prototype(query)(16, devices, ctypes.byref(count)) or not count.value:
        return "EGL has no device"
    display_of = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p)(
        platform_display
    )
    egl.eglInitialize.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
    for device in devices[: count.value]:
        display = display_of(_EGL_PLATFORM_DEVICE, device, None)
        if display and egl.eglInitialize(display, None, None):
            return ""
    return f"none of {count.value} EGL devices can be initialised"

/* What makes a build a module that Python can import: an empty one, since its functions are called by their addresses
   (library.py). Without Python's headers the kernels are built all the same, and cannot be imported. */

#if __has_include(<Python.h>)

#include <Python.h>

#define TEXT(name) #name
#define NAME(name) "ddpg_jax.native." TEXT(name)
#define JOIN(prefix, name) prefix##name
#define INIT(name) JOIN(PyInit_, name)

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, .m_name = NAME(BUILD)};

PyMODINIT_FUNC INIT(BUILD)(void) { return PyModuleDef_Init(&definition); }

#endif

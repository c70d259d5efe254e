/* Starts Python and the engine in whatever process loads the library, and keeps out of its way.
 *
 * Where the process has no Python, one is started in isolation: it reads no PYTHON... variable,
 * installs no signal handler, and touches neither locale nor standard streams. It is the one of the
 * environment that the library was built in, or that AQZ_PYTHON names.
 */
#include <Python.h>

#include "engine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#if defined(_WIN32)
#include <windows.h>
#define IN_ENVIRONMENT "\\Scripts\\python.exe"
typedef SRWLOCK Mutex;
#define MUTEX_INITIALIZER SRWLOCK_INIT
#define mutex_lock(mutex) AcquireSRWLockExclusive(mutex)
#define mutex_unlock(mutex) ReleaseSRWLockExclusive(mutex)
#else
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#define IN_ENVIRONMENT "/bin/python"
typedef pthread_mutex_t Mutex;
#define MUTEX_INITIALIZER PTHREAD_MUTEX_INITIALIZER
#define mutex_lock(mutex) pthread_mutex_lock(mutex)
#define mutex_unlock(mutex) pthread_mutex_unlock(mutex)
#endif

#define REMEDY                                                                                     \
    "Set AQZ_PYTHON to an environment (its folder, or its python) of Python " AQZ_PYTHON_VERSION   \
    " in which aqz[c] is installed, or build the library again in one: aqz c-library --output DIR"

enum
{
    NOT_TRIED,
    RUNS,
    FAILED
};

static volatile int state = NOT_TRIED;
static bool is_ours; /* whether Python was started here */
static Mutex starting = MUTEX_INITIALIZER;
static char why_not[8192];

/* ---- signals ------------------------------------------------------------------------------- */

/* A connection that the other side closed raises SIGPIPE, which ends a program that does not expect
 * it. It is blocked during calls, and in the threads of the engine, which inherit that. */
void
engine_enter(Signals* before)
{
#if !defined(_WIN32)
    sigset_t pipe;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, (sigset_t*)before->words);
#else
    (void)before;
#endif
}

void
engine_leave(const Signals* before)
{
#if !defined(_WIN32)
    const sigset_t* mask = (const sigset_t*)before->words;
    sigset_t pending;
    if (sigismember(mask, SIGPIPE) == 0 && sigpending(&pending) == 0 &&
        sigismember(&pending, SIGPIPE) == 1) {
        sigset_t pipe;
        int taken;
        sigemptyset(&pipe);
        sigaddset(&pipe, SIGPIPE);
        sigwait(&pipe, &taken);
    }
    pthread_sigmask(SIG_SETMASK, mask, NULL);
#else
    (void)before;
#endif
}

/* Python's module of signals takes SIGINT for itself when it is imported. So that is done here, and
 * undone at once. Call with the lock of Python. */
static void
import_signals(void)
{
#if !defined(_WIN32)
    struct sigaction host[NSIG];
    bool known[NSIG] = { false };
    for (int number = 1; number < NSIG; ++number) {
        known[number] = sigaction(number, NULL, &host[number]) == 0;
    }
#endif
    Py_XDECREF(PyImport_ImportModule("_signal"));
    PyErr_Clear();
#if !defined(_WIN32)
    for (int number = 1; number < NSIG; ++number) {
        struct sigaction now;
        if (known[number] && sigaction(number, NULL, &now) == 0 &&
            now.sa_handler != host[number].sa_handler) {
            sigaction(number, &host[number], NULL);
        }
    }
#endif
}

/* ---- forks --------------------------------------------------------------------------------- */

#if !defined(_WIN32)
/* A child that the host forks has one thread, and would wait for a lock of Python that another
 * thread held. So the forking thread takes that lock, as os.fork() does. */

static bool forking;
static PyGILState_STATE held_for_fork;

static void
before_fork(void)
{
    /* Whoever holds the lock already is Python itself, which knows how to fork. */
    if (!engine_runs() || PyGILState_Check()) {
        return;
    }
    const PyGILState_STATE held = PyGILState_Ensure();
    PyOS_BeforeFork();
    held_for_fork = held;
    forking = true;
}

static void
after_fork_in_parent(void)
{
    if (forking && PyGILState_Check()) {
        forking = false;
        PyOS_AfterFork_Parent();
        PyGILState_Release(held_for_fork);
    }
}

static void
after_fork_in_child(void)
{
    if (forking && PyGILState_Check()) {
        forking = false;
        PyOS_AfterFork_Child();
        PyGILState_Release(held_for_fork);
    }
}
#endif

/* ---- the start ----------------------------------------------------------------------------- */

static int
failed(const char* what, const char* detail)
{
    snprintf(why_not, sizeof(why_not), "%s%s%s. " REMEDY, what, *detail ? ": " : "", detail);
    return -1;
}

static bool
exists(const char* path)
{
    struct stat found;
    return stat(path, &found) == 0;
}

static bool
is_folder(const char* path)
{
    struct stat found;
    return stat(path, &found) == 0 && (found.st_mode & S_IFMT) == S_IFDIR;
}

/* Find the python of the environment. */
static int
find_python(char* python, size_t size)
{
    const char* given = getenv("AQZ_PYTHON");
    const bool is_given = given != NULL && *given != '\0';
    const char* path = is_given ? given : AQZ_BUILT_WITH;
    const int length = snprintf(python, size, "%s%s", path, is_folder(path) ? IN_ENVIRONMENT : "");
    if (length < 0 || (size_t)length >= size) {
        return failed("the path of the Python environment is too long", "");
    }
    if (!exists(python)) {
        return failed(is_given ? "AQZ_PYTHON names a Python that is not there"
                               : "the Python environment that this library was built in is gone",
                      python);
    }
    return 0;
}

static int
start_python(void)
{
    char python[4096];
    if (find_python(python, sizeof(python)) != 0) {
        return -1;
    }
    PyPreConfig before;
    PyPreConfig_InitIsolatedConfig(&before);
    before.utf8_mode = 1; /* whatever the locale of the host, which stays as it is */
    PyStatus status = Py_PreInitialize(&before);
    PyConfig config;
    PyConfig_InitIsolatedConfig(&config);
    if (!PyStatus_Exception(status)) {
        status = PyConfig_SetBytesString(&config, &config.program_name, python);
    }
    if (!PyStatus_Exception(status)) {
        status = PyConfig_SetBytesString(&config, &config.executable, python);
    }
    if (!PyStatus_Exception(status)) {
        status = Py_InitializeFromConfig(&config);
    }
    PyConfig_Clear(&config);
    if (PyStatus_Exception(status)) {
        char detail[1024];
        const char* reason = status.err_msg ? status.err_msg : "";
        snprintf(detail, sizeof(detail), "%.600s (%s)", python, reason);
        return failed("Python could not be started from", detail);
    }
    PyEval_SaveThread();
    return 0;
}

/* Extension modules look for the functions of Python among the global ones; where a plug-in of the
 * host brought this library, they are not. */
static void
show_python_to_extensions(void)
{
#if !defined(_WIN32)
    Dl_info found;
    if (dladdr((void*)(uintptr_t)Py_GetVersion, &found) != 0 && found.dli_fname != NULL) {
        dlopen(found.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_GLOBAL);
    }
#endif
}

/* Import the engine. Where the process has a Python of its own, the environment comes last. */
static const char IMPORT[] =
  "import sys\n"
  "paths = [path for path in paths.split('\\n') if path not in sys.path]\n"
  "if is_ours and not is_given:\n"
  "    sys.path[:0] = paths[:1]\n"
  "elif not is_ours:\n"
  "    sys.path += paths\n"
  "from aqz_core.c_library import INTERFACE\n"
  "import _cffi_backend\n"
  "if INTERFACE != interface:\n"
  "    raise ImportError(f'aqz was exchanged after the library was built ({INTERFACE}, "
  "{interface})')\n";

static int
import_engine(void)
{
    int result = -1;
    const bool is_given = getenv("AQZ_PYTHON") != NULL;
    PyObject* names = Py_BuildValue("{s:s,s:O,s:O,s:i}",
                                    "paths",
                                    AQZ_BUILT_WITH_PATHS,
                                    "is_ours",
                                    is_ours ? Py_True : Py_False,
                                    "is_given",
                                    is_given ? Py_True : Py_False,
                                    "interface",
                                    AQZ_INTERFACE);
    if (names != NULL) {
        PyDict_SetItemString(names, "__builtins__", PyEval_GetBuiltins());
        PyObject* done = PyRun_String(IMPORT, Py_file_input, names, names);
        result = done == NULL ? -1 : 0;
        Py_XDECREF(done);
        Py_DECREF(names);
    }
    if (result != 0) {
        PyObject *kind, *value, *trace;
        PyErr_Fetch(&kind, &value, &trace);
        PyObject* text = value == NULL ? NULL : PyObject_Str(value);
        const char* words = text == NULL ? NULL : PyUnicode_AsUTF8(text);
        PyErr_Clear();
        failed("aqz cannot be imported", words == NULL ? "" : words);
        Py_XDECREF(text);
        Py_XDECREF(kind);
        Py_XDECREF(value);
        Py_XDECREF(trace);
    }
    return result;
}

/* Finish the stores of a program that ends without destroying its streams. */
static void
at_exit(void)
{
    if (engine_runs()) {
        Signals before;
        engine_enter(&before);
        python_finish_all();
        engine_leave(&before);
    }
}

bool
engine_is_ours(void)
{
    return is_ours;
}

static int
start(void)
{
    is_ours = !Py_IsInitialized();
    const char* version = Py_GetVersion();
    const size_t length = strlen(AQZ_PYTHON_VERSION);
    if (strncmp(version, AQZ_PYTHON_VERSION, length) != 0 || version[length] != '.') {
        return failed("this process runs another Python than the library was built for", version);
    }
    if (is_ours && start_python() != 0) {
        return -1;
    }
    show_python_to_extensions();
    const PyGILState_STATE held = PyGILState_Ensure();
    if (is_ours) {
        import_signals();
    }
    const int imported = import_engine();
    PyGILState_Release(held);
    if (imported == 0) {
        atexit(at_exit);
#if !defined(_WIN32)
        pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
#endif
    }
    return imported;
}

bool
engine_runs(void)
{
    return state == RUNS && Py_IsInitialized();
}

int
engine_start(void)
{
    if (state == NOT_TRIED) {
        Signals before;
        engine_enter(&before);
        /* A host that holds Python's lock must not keep it while another thread starts. */
        const bool holds = Py_IsInitialized() && PyGILState_Check();
        PyThreadState* released = holds ? PyEval_SaveThread() : NULL;
        mutex_lock(&starting);
        if (state == NOT_TRIED) {
            state = start() == 0 ? RUNS : FAILED;
        }
        mutex_unlock(&starting);
        if (released != NULL) {
            PyEval_RestoreThread(released);
        }
        engine_leave(&before);
    }
    if (state == FAILED) {
        aqz_fail(ZarrStatusCode_InternalError, why_not);
        return -1;
    }
    if (!Py_IsInitialized()) {
        aqz_fail(ZarrStatusCode_InternalError, "Python has ended in this process");
        return -1;
    }
    return 0;
}

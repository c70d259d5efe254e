/* What the parts of the library know of each other: C in front, Python behind.
 *
 * Functions named python_... are written in Python (aqz_core.c_library.embedded). They return 0
 * when Python could not be called, and otherwise a ZarrStatusCode plus 1; see `status_of`.
 */
#ifndef AQZ_ENGINE_H
#define AQZ_ENGINE_H

#if defined(_WIN32)
#define AQZ_API __declspec(dllexport)
#else
#define AQZ_API __attribute__((visibility("default")))
#endif

#include "acquire.zarr.h"

/* Start Python and the engine, once in a process; 0 when they run. The reason of a failure is
 * logged and noted. Every call into Python is between `engine_enter` and `engine_leave`. */
int engine_start(void);

/* Return whether they were started by now, and there still is a Python. */
bool engine_runs(void);

/* Return whether the Python of this process was started here. */
bool engine_is_ours(void);

/* Signals that were blocked in the calling thread. */
typedef struct
{
    uint64_t words[32];
} Signals;

void engine_enter(Signals* before);
void engine_leave(const Signals* before);

/* Write a line to standard error, if that level is wanted. */
void aqz_log(int level, const char* text);

/* Note the message of a failure for Zarr_get_status_message. */
void aqz_note(int status, const char* message);

/* Log a failure at level Error, note it, and return its status. */
ZarrStatusCode aqz_fail(ZarrStatusCode status, const char* message);

/* Give the failure that was noted last another status, which is returned. */
ZarrStatusCode aqz_restate(ZarrStatusCode status);

/* Return a copy of a text, from malloc; NULL when there is no memory. */
char* aqz_copy(const char* text);

/* Settings as their generation has them: the newest, or those of 0.5, which are shorter. */
typedef struct
{
    const ZarrStreamSettings* settings;
    size_t array_size; /* bytes from one ZarrArraySettings to the next */
    bool is_v0_5;
} AqzSettings;

/* What the functions of both generations do. */
ZarrStream* aqz_open(const AqzSettings*);
ZarrStatusCode aqz_write_acquire_json(ZarrStream*, const char* custom_metadata, bool overwrite);

extern int python_create(const AqzSettings*, uintptr_t* stream);
extern int python_append(uintptr_t, const void* data, size_t, size_t* taken, const char* key);
extern int python_write_metadata(uintptr_t, const char*, const char*, const char* json);
extern int python_write_acquire_json(uintptr_t, const char* json, bool overwrite);
extern int python_close(uintptr_t);
extern int python_forget(uintptr_t);
extern int python_memory(uintptr_t, size_t* usage);
extern int python_maximum_memory(const AqzSettings*, size_t* usage);
extern int python_count_keys(const AqzSettings*, size_t* count);
extern int python_key(const AqzSettings*, size_t index, char** key);
extern int python_set_log_level(int level);
extern int python_finish_all(void);

#endif

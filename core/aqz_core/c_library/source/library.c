/* The functions of acquire.zarr.h. Arrays of settings are made here; recording is done in Python. */
#include "engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#if defined(_MSC_VER)
#define THREAD_LOCAL __declspec(thread)
#else
#define THREAD_LOCAL _Thread_local
#endif

/* ---- messages ------------------------------------------------------------------------------ */

static volatile int log_level = ZarrLogLevel_Warning;

/* The latest failure of this thread. */
static THREAD_LOCAL int noted_status = ZarrStatusCode_Success;
static THREAD_LOCAL char noted_message[4096];

static const char* const WORDS[ZarrStatusCodeCount] = {
    "Success",
    "Invalid argument",
    "Buffer overflow",
    "Invalid index",
    "Not yet implemented",
    "Internal error",
    "Out of memory",
    "I/O error",
    "Compression error",
    "Invalid settings",
    "Will not overwrite existing data",
    "Partial write",
    "Write out of bounds",
    "Key not found",
};

void
aqz_log(int level, const char* text)
{
    static const char* const names[] = { "DEBUG", "INFO", "WARNING", "ERROR" };
    if (level < log_level || level < 0 || level > ZarrLogLevel_Error) {
        return;
    }
    char when[32] = "";
    const time_t now = time(NULL);
    struct tm parts;
#if defined(_WIN32)
    const bool known = localtime_s(&parts, &now) == 0;
#else
    const bool known = localtime_r(&now, &parts) != NULL;
#endif
    if (known) {
        strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &parts);
    }
    fprintf(stderr, "%s [%s] aqz: %s\n", when, names[level], text);
}

void
aqz_note(int status, const char* message)
{
    if (status <= ZarrStatusCode_Success || status >= ZarrStatusCodeCount) {
        return;
    }
    noted_status = status;
    snprintf(noted_message, sizeof(noted_message), "%s: %s", WORDS[status], message);
}

ZarrStatusCode
aqz_fail(ZarrStatusCode status, const char* message)
{
    aqz_log(ZarrLogLevel_Error, message);
    aqz_note(status, message);
    return status;
}

ZarrStatusCode
aqz_restate(ZarrStatusCode status)
{
    noted_status = status;
    return status;
}

char*
aqz_copy(const char* text)
{
    const size_t size = strlen(text) + 1;
    char* copy = malloc(size);
    if (copy != NULL) {
        memcpy(copy, text, size);
    }
    return copy;
}

const char*
Zarr_get_api_version(void)
{
    return AQZ_API_VERSION;
}

ZarrStatusCode
Zarr_set_log_level(ZarrLogLevel level)
{
    if ((int)level < 0 || (int)level >= ZarrLogLevelCount) {
        return aqz_fail(ZarrStatusCode_InvalidArgument,
                        "Zarr_set_log_level takes a ZarrLogLevel, from ZarrLogLevel_Debug to "
                        "ZarrLogLevel_None");
    }
    log_level = level;
    if (engine_runs()) {
        Signals before;
        engine_enter(&before);
        python_set_log_level(level);
        engine_leave(&before);
    }
    return ZarrStatusCode_Success;
}

ZarrLogLevel
Zarr_get_log_level(void)
{
    return (ZarrLogLevel)log_level;
}

const char*
Zarr_get_status_message(ZarrStatusCode status)
{
    if ((int)status < 0 || (int)status >= ZarrStatusCodeCount) {
        return "Unknown status";
    }
    const bool is_latest = status != ZarrStatusCode_Success && (int)status == noted_status;
    return is_latest ? noted_message : WORDS[status];
}

/* ---- settings ------------------------------------------------------------------------------ */

/* Allocate an array for a member of a structure; `what` is for the message. */
static ZarrStatusCode
create(void** array, const void* owner, size_t count, size_t least, size_t size, const char* what)
{
    char message[128];
    *array = NULL;
    if (owner == NULL) {
        snprintf(message, sizeof(message), "%s: the structure is a null pointer", what);
        return aqz_fail(ZarrStatusCode_InvalidArgument, message);
    }
    if (count < least) {
        snprintf(message, sizeof(message), "%s: %zu asked for; at least %zu needed", what, count, least);
        return aqz_fail(ZarrStatusCode_InvalidArgument, message);
    }
    *array = calloc(count, size);
    if (*array == NULL) {
        snprintf(message, sizeof(message), "%s: no memory for %zu of them", what, count);
        return aqz_fail(ZarrStatusCode_OutOfMemory, message);
    }
    return ZarrStatusCode_Success;
}

/* Define the functions that make and free one array of a structure; `empty` frees what is in an
 * element. */
#define ARRAY(Owner, noun, array, count, Element, least, what, empty)                              \
    ZarrStatusCode Owner##_create_##noun(Owner* owner, size_t wanted)                              \
    {                                                                                              \
        void* made;                                                                                \
        const ZarrStatusCode status = create(&made, owner, wanted, least, sizeof(Element), what);  \
        if (status == ZarrStatusCode_Success) {                                                    \
            Owner##_destroy_##noun(owner);                                                         \
            owner->array = made;                                                                   \
            owner->count = wanted;                                                                 \
        }                                                                                          \
        return status;                                                                             \
    }                                                                                              \
                                                                                                   \
    void Owner##_destroy_##noun(Owner* owner)                                                      \
    {                                                                                              \
        if (owner == NULL) {                                                                       \
            return;                                                                                \
        }                                                                                          \
        for (size_t i = 0; owner->array != NULL && i < owner->count; ++i) {                        \
            empty(&owner->array[i]);                                                               \
        }                                                                                          \
        free((void*)owner->array);                                                                 \
        owner->array = NULL;                                                                       \
        owner->count = 0;                                                                          \
    }

#define HAS_NOTHING(element) (void)(element)

static void
empty_field(ZarrHCSFieldOfView* field)
{
    ZarrArraySettings_destroy_dimension_array(field->array_settings);
}

static void
empty_plate(ZarrHCSPlate* plate)
{
    ZarrHCSPlate_destroy_well_array(plate);
    ZarrHCSPlate_destroy_acquisition_array(plate);
    ZarrHCSPlate_destroy_row_name_array(plate);
    ZarrHCSPlate_destroy_column_name_array(plate);
}

/* clang-format off */
ARRAY(ZarrStreamSettings, arrays, arrays, array_count, ZarrArraySettings, 1,
      "arrays", ZarrArraySettings_destroy_dimension_array)
ARRAY(ZarrArraySettings, dimension_array, dimensions, dimension_count, ZarrDimensionProperties, 2,
      "dimensions", HAS_NOTHING)
ARRAY(ZarrHCSWell, image_array, images, image_count, ZarrHCSFieldOfView, 1,
      "images of a well", empty_field)
ARRAY(ZarrHCSPlate, well_array, wells, well_count, ZarrHCSWell, 1,
      "wells of a plate", ZarrHCSWell_destroy_image_array)
ARRAY(ZarrHCSPlate, acquisition_array, acquisitions, acquisition_count, ZarrHCSAcquisition, 1,
      "acquisitions", HAS_NOTHING)
ARRAY(ZarrHCSPlate, row_name_array, row_names, row_count, const char*, 1,
      "names of rows", HAS_NOTHING)
ARRAY(ZarrHCSPlate, column_name_array, column_names, column_count, const char*, 1,
      "names of columns", HAS_NOTHING)
ARRAY(ZarrHCSSettings, plate_array, plates, plate_count, ZarrHCSPlate, 1,
      "plates", empty_plate)
/* clang-format on */

/* ---- recording ----------------------------------------------------------------------------- */

/* Return the status of what Python answered. */
static ZarrStatusCode
status_of(int answer)
{
    if (answer <= 0) {
        return aqz_fail(ZarrStatusCode_InternalError,
                        "the part of aqz that is written in Python could not be called; its "
                        "message is above");
    }
    return (ZarrStatusCode)(answer - 1);
}

/* Call a function of Python; `answer` is its call. */
#define CALL(status, answer)                                                                       \
    do {                                                                                           \
        (status) = ZarrStatusCode_InternalError;                                                   \
        if (engine_start() == 0) {                                                                 \
            Signals before;                                                                        \
            engine_enter(&before);                                                                 \
            const int answered = (answer);                                                         \
            engine_leave(&before);                                                                 \
            (status) = status_of(answered);                                                        \
        }                                                                                          \
    } while (0)

/* Fail if a pointer is NULL. */
#define REQUIRE(pointer)                                                                           \
    do {                                                                                           \
        if ((pointer) == NULL) {                                                                   \
            return aqz_fail(ZarrStatusCode_InvalidArgument, #pointer " is a null pointer");         \
        }                                                                                          \
    } while (0)

static AqzSettings
newest(const ZarrStreamSettings* settings)
{
    const AqzSettings given = { settings, sizeof(ZarrArraySettings), false };
    return given;
}

ZarrStatusCode
ZarrStreamSettings_estimate_max_memory_usage(const ZarrStreamSettings* settings, size_t* usage)
{
    REQUIRE(settings);
    REQUIRE(usage);
    const AqzSettings given = newest(settings);
    ZarrStatusCode status;
    CALL(status, python_maximum_memory(&given, usage));
    return status;
}

size_t
ZarrStreamSettings_get_array_count(const ZarrStreamSettings* settings)
{
    if (settings == NULL) {
        aqz_fail(ZarrStatusCode_InvalidArgument, "settings is a null pointer");
        return 0;
    }
    const AqzSettings given = newest(settings);
    size_t count = 0;
    ZarrStatusCode status;
    CALL(status, python_count_keys(&given, &count));
    return status == ZarrStatusCode_Success ? count : 0;
}

ZarrStatusCode
ZarrStreamSettings_get_array_key(const ZarrStreamSettings* settings, size_t index, char** key)
{
    REQUIRE(settings);
    REQUIRE(key);
    *key = NULL;
    const AqzSettings given = newest(settings);
    ZarrStatusCode status;
    CALL(status, python_key(&given, index, key));
    return status;
}

/* A stream is a number that Python knows it by, so that a wrong one is noticed. */
ZarrStream*
aqz_open(const AqzSettings* given)
{
    if (given->settings == NULL) {
        aqz_fail(ZarrStatusCode_InvalidArgument, "settings is a null pointer");
        return NULL;
    }
    uintptr_t stream = 0;
    ZarrStatusCode status;
    CALL(status, python_create(given, &stream));
    return status == ZarrStatusCode_Success ? (ZarrStream*)stream : NULL;
}

ZarrStream*
ZarrStream_create(ZarrStreamSettings* settings)
{
    const AqzSettings given = newest(settings);
    return aqz_open(&given);
}

/* No stream can be there before Python runs, or after it ended. */
#define REQUIRE_STREAM(stream)                                                                     \
    do {                                                                                           \
        REQUIRE(stream);                                                                           \
        if (!engine_runs()) {                                                                      \
            return aqz_fail(ZarrStatusCode_InvalidArgument,                                        \
                            "there is no such stream: it was destroyed, never made, or Python "    \
                            "has ended in this process");                                          \
        }                                                                                          \
    } while (0)

void
ZarrStream_destroy(ZarrStream* stream)
{
    if (stream != NULL && engine_runs()) {
        ZarrStatusCode status;
        CALL(status, python_forget((uintptr_t)stream));
        (void)status; /* it was logged */
    }
}

ZarrStatusCode
ZarrStream_close(ZarrStream* stream)
{
    REQUIRE_STREAM(stream);
    ZarrStatusCode status;
    CALL(status, python_close((uintptr_t)stream));
    return status;
}

ZarrStatusCode
ZarrStream_append(ZarrStream* stream,
                  const void* data,
                  size_t bytes_in,
                  size_t* bytes_out,
                  const char* key)
{
    REQUIRE(bytes_out);
    *bytes_out = 0;
    REQUIRE_STREAM(stream);
    ZarrStatusCode status;
    CALL(status, python_append((uintptr_t)stream, data, bytes_in, bytes_out, key));
    return status;
}

ZarrStatusCode
ZarrStream_write_custom_metadata(ZarrStream* stream,
                                 const char* array_key,
                                 const char* metadata_key,
                                 const char* custom_metadata)
{
    REQUIRE(custom_metadata);
    REQUIRE_STREAM(stream);
    ZarrStatusCode status;
    CALL(status,
         python_write_metadata((uintptr_t)stream, array_key, metadata_key, custom_metadata));
    return status;
}

ZarrStatusCode
aqz_write_acquire_json(ZarrStream* stream, const char* custom_metadata, bool overwrite)
{
    REQUIRE(custom_metadata);
    REQUIRE_STREAM(stream);
    ZarrStatusCode status;
    CALL(status, python_write_acquire_json((uintptr_t)stream, custom_metadata, overwrite));
    return status;
}

ZarrStatusCode
ZarrStream_get_current_memory_usage(const ZarrStream* stream, size_t* usage)
{
    REQUIRE(usage);
    REQUIRE_STREAM(stream);
    ZarrStatusCode status;
    CALL(status, python_memory((uintptr_t)stream, usage));
    return status;
}

/* Records camera frames into Zarr and OME-Zarr stores: the C interface of acquire-zarr 0.5, on aqz.
 *
 * The order of things, threads, errors, processes and memory are as the acquire.zarr.h one folder
 * up says. What differs: an array with an empty key is an OME-NGFF image, chunks of small pyramid
 * levels are no larger than the level, and custom metadata go into acquire.json.
 */
#ifndef AQZ_V0_5_ACQUIRE_ZARR_H
#define AQZ_V0_5_ACQUIRE_ZARR_H

#include "zarr.types.h"

#ifndef AQZ_API
#define AQZ_API
#endif

/* The library has both generations, this one under names of its own. */
#define ZarrStreamSettings_create_arrays ZarrStreamSettings_create_arrays_v0_5
#define ZarrStreamSettings_destroy_arrays ZarrStreamSettings_destroy_arrays_v0_5
#define ZarrStream_create ZarrStream_create_v0_5
#define ZarrStream_append ZarrStream_append_v0_5
#define ZarrStream_write_custom_metadata ZarrStream_write_custom_metadata_v0_5

#ifdef __cplusplus
extern "C" {
#endif

/* Version of this interface. Never NULL. */
AQZ_API const char* Zarr_get_api_version(void);

/* Choose which messages go to standard error; Warning and Error do at first.
 *
 * InvalidArgument: `level` is not a level. */
AQZ_API ZarrStatusCode Zarr_set_log_level(ZarrLogLevel level);

/* Return the level that was set. */
AQZ_API ZarrLogLevel Zarr_get_log_level(void);

/* Say what a status means: if the latest failure of the calling thread had that status, its own
 * message with the remedy, otherwise a few words. The text belongs to the library, and is valid
 * until the next call that fails in this thread. Never NULL. */
AQZ_API const char* Zarr_get_status_message(ZarrStatusCode status);

/* Allocate arrays, filled with zeros, in place of those that were there before, and free them with
 * what is in them.
 *
 * InvalidArgument: the structure is NULL, or the count is 0 (below 2 for dimensions).
 * OutOfMemory: there is no room; nothing changed. */
AQZ_API ZarrStatusCode ZarrStreamSettings_create_arrays(ZarrStreamSettings* settings,
                                                        size_t array_count);
AQZ_API void ZarrStreamSettings_destroy_arrays(ZarrStreamSettings* settings);

AQZ_API ZarrStatusCode ZarrArraySettings_create_dimension_array(ZarrArraySettings* settings,
                                                                size_t dimension_count);
AQZ_API void ZarrArraySettings_destroy_dimension_array(ZarrArraySettings* settings);

/* Open a store and begin to record. The settings are copied. The first call of a process starts
 * the engine, which takes about half a second. Returns NULL on failure; the log says why, and what
 * to do. */
AQZ_API ZarrStream* ZarrStream_create(ZarrStreamSettings* settings);

/* Store what is left, finish the store, and free the stream; NULL is ignored. Bytes at the end that
 * make up no whole frame are not stored, and the log says so. */
AQZ_API void ZarrStream_destroy(ZarrStream* stream);

/* Take bytes of pixels, which continue those taken before: whole frames of rows x columns pixels,
 * several of them, or any part. They are copied before the call returns, a whole frame once.
 *
 * `data`      pixels; NULL passes over them: they read as zeros, and whole chunks take no room.
 * `bytes_in`  how many bytes; 0 has no effect.
 * `bytes_out` how many bytes were taken, which is `bytes_in` unless the call fails.
 * `key`       the array; NULL where there is one only.
 *
 * InvalidArgument: a NULL, an unknown key, or the stream was closed. Overflow: more than the array
 * has room for; nothing was taken. IOError: something taken earlier could not be stored. */
AQZ_API ZarrStatusCode ZarrStream_append(ZarrStream* stream,
                                         const void* data,
                                         size_t bytes_in,
                                         size_t* bytes_out,
                                         const char* key);

/* Store JSON text as the metadata of the whole store, in acquire.json, at once.
 *
 * InvalidArgument: a NULL, or no JSON. WillNotOverwrite: an earlier call stored some, and
 * `overwrite` is false. IOError. */
AQZ_API ZarrStatusCode ZarrStream_write_custom_metadata(ZarrStream* stream,
                                                        const char* custom_metadata,
                                                        bool overwrite);

#ifdef __cplusplus
}
#endif

#endif

/* Records camera frames into Zarr and OME-Zarr stores: the C interface of acquire-zarr, on aqz.
 *
 * The order of things:
 *
 *     1. Fill in ZarrStreamSettings. Functions named ..._create_... allocate arrays of structures,
 *        filled with zeros; ..._destroy_... free them again. The program may use memory of its own
 *        instead, and then frees it itself.
 *     2. ZarrStream_create opens the store and copies the settings; free them.
 *     3. ZarrStream_append takes frames and copies them before it returns.
 *     4. ZarrStream_destroy stores what is left, finishes the store and frees the stream.
 *
 * Threads: every function may be called from any thread. Calls for one stream wait for each other;
 * different streams do not. Settings must not be changed by one thread while a function reads them
 * in another. After ZarrStream_destroy the stream must not be used; a call with a stream that is
 * not there any more returns ZarrStatusCode_InvalidArgument.
 *
 * Errors: no function ends the program. What went wrong, and what to do, goes to standard error
 * (see Zarr_set_log_level), and is what Zarr_get_status_message says of the status afterwards.
 *
 * Processes: a store is finished by exit() too, and by the return from main. After fork(), a stream
 * belongs to the parent: the child may only destroy it, which has no effect on the store. Signal
 * handlers of the program are left as they are, and none is installed.
 *
 * Programs written for acquire-zarr 0.5 include the acquire.zarr.h in "acquire-zarr-0.5".
 */
#ifndef AQZ_ACQUIRE_ZARR_H
#define AQZ_ACQUIRE_ZARR_H

#include "zarr.types.h"

#ifndef AQZ_API
#define AQZ_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Version of this interface, as that of the acquire-zarr whose programs it serves. Never NULL. */
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

/* ---- settings ------------------------------------------------------------------------------
 *
 * Functions that create replace, and free, the array that was there before. They return
 *     InvalidArgument  the structure is NULL, or the count is 0 (below 2 for dimensions);
 *     OutOfMemory      there is no room; nothing changed.
 * Those that destroy free the arrays inside as well, set pointer and count to 0, and take NULL. */

AQZ_API ZarrStatusCode ZarrStreamSettings_create_arrays(ZarrStreamSettings* settings,
                                                        size_t array_count);
AQZ_API void ZarrStreamSettings_destroy_arrays(ZarrStreamSettings* settings);

AQZ_API ZarrStatusCode ZarrArraySettings_create_dimension_array(ZarrArraySettings* settings,
                                                                size_t dimension_count);
AQZ_API void ZarrArraySettings_destroy_dimension_array(ZarrArraySettings* settings);

/* Destroying images frees the dimensions of each `array_settings`, but not that structure: it is
 * the program's. */
AQZ_API ZarrStatusCode ZarrHCSWell_create_image_array(ZarrHCSWell* well, size_t image_count);
AQZ_API void ZarrHCSWell_destroy_image_array(ZarrHCSWell* well);

AQZ_API ZarrStatusCode ZarrHCSPlate_create_well_array(ZarrHCSPlate* plate, size_t well_count);
AQZ_API void ZarrHCSPlate_destroy_well_array(ZarrHCSPlate* plate);

AQZ_API ZarrStatusCode ZarrHCSPlate_create_acquisition_array(ZarrHCSPlate* plate,
                                                             size_t acquisition_count);
AQZ_API void ZarrHCSPlate_destroy_acquisition_array(ZarrHCSPlate* plate);

/* The names themselves are the program's, and are not freed. */
AQZ_API ZarrStatusCode ZarrHCSPlate_create_row_name_array(ZarrHCSPlate* plate, size_t row_count);
AQZ_API void ZarrHCSPlate_destroy_row_name_array(ZarrHCSPlate* plate);

AQZ_API ZarrStatusCode ZarrHCSPlate_create_column_name_array(ZarrHCSPlate* plate,
                                                             size_t column_count);
AQZ_API void ZarrHCSPlate_destroy_column_name_array(ZarrHCSPlate* plate);

AQZ_API ZarrStatusCode ZarrHCSSettings_create_plate_array(ZarrHCSSettings* settings,
                                                          size_t plate_count);
AQZ_API void ZarrHCSSettings_destroy_plate_array(ZarrHCSSettings* settings);

/* Report the most bytes that a stream with these settings takes for pixels. The store is not
 * looked at, and need not be named.
 *
 * InvalidArgument: a NULL. InvalidSettings: they cannot be recorded. */
AQZ_API ZarrStatusCode ZarrStreamSettings_estimate_max_memory_usage(
  const ZarrStreamSettings* settings,
  size_t* usage);

/* Return how many arrays and images frames can be appended to; 0 if that cannot be said. */
AQZ_API size_t ZarrStreamSettings_get_array_count(const ZarrStreamSettings* settings);

/* Store the key of one of them in `*key`, in the order of the settings, those of plates last. The
 * caller frees it, with free().
 *
 * InvalidArgument: a NULL. InvalidIndex: there are fewer. InvalidSettings: a name is missing. */
AQZ_API ZarrStatusCode ZarrStreamSettings_get_array_key(const ZarrStreamSettings* settings,
                                                        size_t index,
                                                        char** key);

/* ---- streams ------------------------------------------------------------------------------- */

/* Open a store and begin to record. The settings are copied. The first call of a process starts
 * the engine, which takes about half a second. Returns NULL on failure; the log says why, and what
 * to do. */
AQZ_API ZarrStream* ZarrStream_create(ZarrStreamSettings* settings);

/* Store what is left, finish the store, and free the stream; NULL is ignored. Bytes at the end that
 * make up no whole frame are not stored, and the log says so. To learn whether everything could be
 * stored, call ZarrStream_close before. */
AQZ_API void ZarrStream_destroy(ZarrStream* stream);

/* Store what is left and finish the store; the stream takes nothing afterwards. A second call has
 * no effect. ZarrStream_destroy is still needed.
 *
 * InvalidArgument: there is no such stream. IOError: something could not be stored. */
AQZ_API ZarrStatusCode ZarrStream_close(ZarrStream* stream);

/* Take bytes of pixels, which continue those taken before: whole frames of rows x columns pixels,
 * several of them, or any part. They are copied before the call returns, a whole frame once. The
 * call waits only while the memory of the stream is used up, that is, while the store is slower
 * than the camera.
 *
 * `data`      pixels; NULL passes over them: they read as zeros, and whole chunks take no room.
 * `bytes_in`  how many bytes; 0 has no effect.
 * `bytes_out` how many bytes were taken, which is `bytes_in` unless the call fails.
 * `key`       the array; NULL where there is one only.
 *
 * InvalidArgument: a NULL, or the stream was closed. KeyNotFound, WriteOutOfBounds: nothing was
 * taken. IOError: something taken earlier could not be stored; nothing more will be.
 * PartialWrite: the first `*bytes_out` bytes were taken before something failed. */
AQZ_API ZarrStatusCode ZarrStream_append(ZarrStream* stream,
                                         const void* data,
                                         size_t bytes_in,
                                         size_t* bytes_out,
                                         const char* key);

/* Store JSON as attributes of an array or image, at once.
 *
 * `array_key`       the array; NULL where there is one only.
 * `metadata_key`    the attribute; NULL: `custom_metadata` is an object whose members become
 *                   attributes. "ome" and "aqz" are reserved.
 * `custom_metadata` JSON text; comments are allowed.
 *
 * InvalidArgument: a NULL, no JSON, or a reserved name. KeyNotFound. IOError. */
AQZ_API ZarrStatusCode ZarrStream_write_custom_metadata(ZarrStream* stream,
                                                        const char* array_key,
                                                        const char* metadata_key,
                                                        const char* custom_metadata);

/* Report the bytes of memory that pixels take at the moment.
 *
 * InvalidArgument: a NULL, or there is no such stream. */
AQZ_API ZarrStatusCode ZarrStream_get_current_memory_usage(const ZarrStream* stream,
                                                           size_t* usage);

#ifdef __cplusplus
}
#endif

#endif

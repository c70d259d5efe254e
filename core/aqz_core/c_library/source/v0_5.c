/* The functions of acquire-zarr 0.5 that take shorter structures, or other arguments.
 *
 * The structures of 0.5 begin as the newest do, so that the same code reads both: it only has to
 * know how far apart the elements of an array are. The headers of both cannot be included at once;
 * the structure that differs in size is declared here again.
 */
#include "engine.h"

#include <stdlib.h>

typedef struct
{
    const char* output_key;
    ZarrCompressionSettings* compression_settings;
    ZarrDimensionProperties* dimensions;
    size_t dimension_count;
    ZarrDataType data_type;
    bool multiscale;
    ZarrDownsamplingMethod downsampling_method;
} ArraySettings;

AQZ_API ZarrStatusCode ZarrStreamSettings_create_arrays_v0_5(ZarrStreamSettings*, size_t);
AQZ_API void ZarrStreamSettings_destroy_arrays_v0_5(ZarrStreamSettings*);
AQZ_API ZarrStream* ZarrStream_create_v0_5(ZarrStreamSettings*);
AQZ_API ZarrStatusCode
ZarrStream_append_v0_5(ZarrStream*, const void*, size_t, size_t*, const char*);
AQZ_API ZarrStatusCode ZarrStream_write_custom_metadata_v0_5(ZarrStream*, const char*, bool);

void
ZarrStreamSettings_destroy_arrays_v0_5(ZarrStreamSettings* settings)
{
    if (settings == NULL) {
        return;
    }
    ArraySettings* arrays = (ArraySettings*)(void*)settings->arrays;
    for (size_t i = 0; arrays != NULL && i < settings->array_count; ++i) {
        free(arrays[i].dimensions);
    }
    free(arrays);
    settings->arrays = NULL;
    settings->array_count = 0;
}

ZarrStatusCode
ZarrStreamSettings_create_arrays_v0_5(ZarrStreamSettings* settings, size_t array_count)
{
    if (settings == NULL || array_count == 0) {
        return aqz_fail(ZarrStatusCode_InvalidArgument,
                        settings == NULL ? "arrays: the structure is a null pointer"
                                         : "arrays: 0 asked for; at least 1 needed");
    }
    void* made = calloc(array_count, sizeof(ArraySettings));
    if (made == NULL) {
        return aqz_fail(ZarrStatusCode_OutOfMemory, "arrays: no memory for them");
    }
    ZarrStreamSettings_destroy_arrays_v0_5(settings);
    settings->arrays = made;
    settings->array_count = array_count;
    return ZarrStatusCode_Success;
}

ZarrStream*
ZarrStream_create_v0_5(ZarrStreamSettings* settings)
{
    const AqzSettings given = { settings, sizeof(ArraySettings), true };
    return aqz_open(&given);
}

/* 0.5 has fewer statuses. */
ZarrStatusCode
ZarrStream_append_v0_5(ZarrStream* stream,
                       const void* data,
                       size_t bytes_in,
                       size_t* bytes_out,
                       const char* key)
{
    const ZarrStatusCode status = ZarrStream_append(stream, data, bytes_in, bytes_out, key);
    switch (status) {
        case ZarrStatusCode_PartialWrite:
            return aqz_restate(ZarrStatusCode_IOError);
        case ZarrStatusCode_WriteOutOfBounds:
            return aqz_restate(ZarrStatusCode_Overflow);
        case ZarrStatusCode_KeyNotFound:
            return aqz_restate(ZarrStatusCode_InvalidArgument);
        default:
            return status;
    }
}

ZarrStatusCode
ZarrStream_write_custom_metadata_v0_5(ZarrStream* stream,
                                      const char* custom_metadata,
                                      bool overwrite)
{
    return aqz_write_acquire_json(stream, custom_metadata, overwrite);
}

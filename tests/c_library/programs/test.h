/* Expectations, and a small stream. */
#include "acquire.zarr.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPECT(condition)                                                                          \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                \
            exit(10);                                                                              \
        }                                                                                          \
    } while (0)

#define EDGE 8
#define FRAME (2 * EDGE * EDGE)

/* Settings of an array of uint16 frames, 8 x 8; `frames` is 0 for any number. */
static inline void
describe(ZarrArraySettings* array, const char* key, uint32_t frames)
{
    static const char* const names[] = { "t", "y", "x" };
    memset(array, 0, sizeof(*array));
    array->output_key = key;
    array->data_type = ZarrDataType_uint16;
    EXPECT(ZarrArraySettings_create_dimension_array(array, 3) == ZarrStatusCode_Success);
    for (int axis = 0; axis < 3; ++axis) {
        ZarrDimensionProperties* dimension = &array->dimensions[axis];
        dimension->name = names[axis];
        dimension->type = axis == 0 ? ZarrDimensionType_Time : ZarrDimensionType_Space;
        dimension->array_size_px = axis == 0 ? frames : EDGE;
        dimension->chunk_size_px = axis == 0 ? 1 : EDGE;
        dimension->shard_size_chunks = 1;
    }
}

static inline ZarrStream*
open_stream(const char* path, uint32_t frames)
{
    ZarrArraySettings array;
    ZarrStreamSettings settings;
    memset(&settings, 0, sizeof(settings));
    describe(&array, NULL, frames);
    settings.store_path = path;
    settings.overwrite = true;
    settings.arrays = &array;
    settings.array_count = 1;
    ZarrStream* stream = ZarrStream_create(&settings);
    ZarrArraySettings_destroy_dimension_array(&array);
    memset(&array, 0xff, sizeof(array)); /* the stream has a copy */
    return stream;
}

static inline bool
says(ZarrStatusCode status, const char* words)
{
    const char* message = Zarr_get_status_message(status);
    if (strstr(message, words) == NULL) {
        fprintf(stderr, "%s\n", message);
        return false;
    }
    return true;
}

/* What the examples share: dimensions in one line, frames that show where they belong, and errors. */
#ifndef EXAMPLE_H
#define EXAMPLE_H

#include "acquire.zarr.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Fill in one dimension; chunks of a shard and a scale of 1 may be changed afterwards. */
static inline void
set_dimension(ZarrDimensionProperties* dimension,
              const char* name,
              ZarrDimensionType type,
              uint32_t size,
              uint32_t chunk)
{
    dimension->name = name;
    dimension->type = type;
    dimension->array_size_px = size;
    dimension->chunk_size_px = chunk;
    dimension->shard_size_chunks = 1;
    dimension->scale = 1.0;
}

/* Describe a time series of frames, as long as frames come. */
static inline void
set_time_series(ZarrArraySettings* array, uint32_t height, uint32_t width, uint32_t tile)
{
    if (ZarrArraySettings_create_dimension_array(array, 3) != ZarrStatusCode_Success) {
        exit(1);
    }
    set_dimension(&array->dimensions[0], "t", ZarrDimensionType_Time, 0, 1);
    set_dimension(&array->dimensions[1], "y", ZarrDimensionType_Space, height, tile);
    set_dimension(&array->dimensions[2], "x", ZarrDimensionType_Space, width, tile);
    array->dimensions[0].unit = "second";
    array->dimensions[1].unit = "micrometer";
    array->dimensions[2].unit = "micrometer";
}

/* Stand in for a camera: the value of a pixel follows from its place. */
static inline void
expose(uint16_t* frame, uint32_t number, uint32_t height, uint32_t width)
{
    for (uint32_t y = 0; y < height; ++y) {
        for (uint32_t x = 0; x < width; ++x) {
            frame[y * width + x] = (uint16_t)(number * 1000 + y * 10 + x);
        }
    }
}

/* End the program if a call failed; streams that are open are finished by that. */
static inline void
check(ZarrStatusCode status)
{
    if (status != ZarrStatusCode_Success) {
        fprintf(stderr, "%s\n", Zarr_get_status_message(status));
        exit(1);
    }
}

/* Append frames to an array. */
static inline void
record(ZarrStream* stream, const char* key, uint32_t frames, uint32_t height, uint32_t width)
{
    const size_t bytes = sizeof(uint16_t) * height * width;
    uint16_t* frame = (uint16_t*)malloc(bytes);
    for (uint32_t number = 0; frame != NULL && number < frames; ++number) {
        size_t taken = 0;
        expose(frame, number, height, width);
        check(ZarrStream_append(stream, frame, bytes, &taken, key));
    }
    free(frame);
}

/* Finish a store; closing says whether everything could be stored. */
static inline int
finish(ZarrStream* stream)
{
    const ZarrStatusCode status = ZarrStream_close(stream);
    if (status != ZarrStatusCode_Success) {
        fprintf(stderr, "%s\n", Zarr_get_status_message(status));
    }
    ZarrStream_destroy(stream);
    return status == ZarrStatusCode_Success ? 0 : 1;
}

#endif

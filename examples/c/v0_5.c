/* A program for acquire-zarr 0.5, which writes Zarr V2: v0_5 [store]
 *
 * Compiled with the acquire.zarr.h in include/acquire-zarr-0.5. */
#include "acquire.zarr.h"

#include <stdio.h>
#include <string.h>

int
main(int argc, char** argv)
{
    ZarrStreamSettings settings;
    memset(&settings, 0, sizeof(settings));
    settings.store_path = argc > 1 ? argv[1] : "v0_5.zarr";
    settings.version = ZarrVersion_2;
    settings.overwrite = true;
    if (ZarrStreamSettings_create_arrays(&settings, 2) != ZarrStatusCode_Success) {
        return 1;
    }
    for (int i = 0; i < 2; ++i) {
        ZarrArraySettings* array = &settings.arrays[i];
        array->output_key = i == 0 ? "first" : "second";
        array->data_type = ZarrDataType_uint8;
        ZarrArraySettings_create_dimension_array(array, 3);
        for (int axis = 0; axis < 3; ++axis) {
            static const char* const names[] = { "t", "y", "x" };
            ZarrDimensionProperties* dimension = &array->dimensions[axis];
            dimension->name = names[axis];
            dimension->type = axis == 0 ? ZarrDimensionType_Time : ZarrDimensionType_Space;
            dimension->array_size_px = axis == 0 ? 0 : 16;
            dimension->chunk_size_px = axis == 0 ? 1 : 8;
        }
    }
    ZarrStream* stream = ZarrStream_create(&settings);
    ZarrStreamSettings_destroy_arrays(&settings);
    if (stream == NULL) {
        return 1;
    }

    unsigned char frame[16 * 16];
    for (int number = 0; number < 4; ++number) {
        for (int i = 0; i < 16 * 16; ++i) {
            frame[i] = (unsigned char)(number + i);
        }
        size_t taken = 0;
        const ZarrStatusCode status =
          ZarrStream_append(stream, frame, sizeof(frame), &taken, number % 2 ? "second" : "first");
        if (status != ZarrStatusCode_Success || taken != sizeof(frame)) {
            fprintf(stderr, "%s\n", Zarr_get_status_message(status));
            return 1;
        }
    }
    const char* metadata = "{\"objective\": \"20x\"}";
    if (ZarrStream_write_custom_metadata(stream, metadata, false) != ZarrStatusCode_Success ||
        ZarrStream_write_custom_metadata(stream, metadata, false) !=
          ZarrStatusCode_WillNotOverwrite) {
        return 1;
    }
    ZarrStream_destroy(stream);
    return 0;
}

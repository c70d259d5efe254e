/* Frames as they are, in a plain array: raw [store] */
#include "example.h"

int
main(int argc, char** argv)
{
    ZarrArraySettings array;
    memset(&array, 0, sizeof(array));
    array.output_key = "camera";
    array.data_type = ZarrDataType_uint16;
    set_time_series(&array, 48, 64, 16);
    array.dimensions[0].shard_size_chunks = 4;

    ZarrStreamSettings settings;
    memset(&settings, 0, sizeof(settings));
    settings.store_path = argc > 1 ? argv[1] : "raw.zarr";
    settings.version = ZarrVersion_3;
    settings.overwrite = true;
    settings.arrays = &array;
    settings.array_count = 1;

    ZarrStream* stream = ZarrStream_create(&settings);
    ZarrArraySettings_destroy_dimension_array(&array); /* the stream has a copy */
    if (stream == NULL) {
        return 1; /* the log says why */
    }
    record(stream, "camera", 10, 48, 64);
    return finish(stream);
}

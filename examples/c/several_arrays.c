/* Two cameras, each with an array of its own, and a frame that one of them lost:
 * several_arrays [store] */
#include "example.h"

int
main(int argc, char** argv)
{
    ZarrCompressionSettings zstd = { ZarrCompressor_Zstd, ZarrCompressionCodec_Zstd, 3, 0 };

    ZarrStreamSettings settings;
    memset(&settings, 0, sizeof(settings));
    settings.store_path = argc > 1 ? argv[1] : "several_arrays.zarr";
    settings.overwrite = true;
    check(ZarrStreamSettings_create_arrays(&settings, 2));
    settings.arrays[0].output_key = "sample/brightfield";
    settings.arrays[0].data_type = ZarrDataType_uint16;
    set_time_series(&settings.arrays[0], 48, 64, 16);
    settings.arrays[1].output_key = "sample/fluorescence";
    settings.arrays[1].data_type = ZarrDataType_uint16;
    settings.arrays[1].compression_settings = &zstd;
    set_time_series(&settings.arrays[1], 32, 32, 32);

    for (size_t i = 0; i < ZarrStreamSettings_get_array_count(&settings); ++i) {
        char* key = NULL;
        check(ZarrStreamSettings_get_array_key(&settings, i, &key));
        printf("%s\n", key);
        free(key);
    }

    ZarrStream* stream = ZarrStream_create(&settings);
    ZarrStreamSettings_destroy_arrays(&settings);
    if (stream == NULL) {
        return 1;
    }
    size_t taken = 0;
    record(stream, "sample/brightfield", 5, 48, 64);
    record(stream, "sample/fluorescence", 2, 32, 32);
    check(ZarrStream_append(stream, NULL, 32 * 32 * sizeof(uint16_t), &taken, "sample/fluorescence"));
    record(stream, "sample/fluorescence", 1, 32, 32);
    return finish(stream);
}

/* Compressed frames of several channels, with metadata of the program: compressed [store] */
#include "example.h"

int
main(int argc, char** argv)
{
    ZarrCompressionSettings compression = { ZarrCompressor_Blosc1, ZarrCompressionCodec_BloscLZ4, 1, 1 };

    ZarrStreamSettings settings;
    memset(&settings, 0, sizeof(settings));
    settings.store_path = argc > 1 ? argv[1] : "compressed.zarr";
    settings.overwrite = true;
    check(ZarrStreamSettings_create_arrays(&settings, 1));
    ZarrArraySettings* array = &settings.arrays[0];
    array->output_key = "camera";
    array->data_type = ZarrDataType_uint16;
    array->compression_settings = &compression;

    check(ZarrArraySettings_create_dimension_array(array, 4));
    set_dimension(&array->dimensions[0], "t", ZarrDimensionType_Time, 0, 2);
    set_dimension(&array->dimensions[1], "c", ZarrDimensionType_Channel, 3, 1);
    set_dimension(&array->dimensions[2], "y", ZarrDimensionType_Space, 48, 24);
    set_dimension(&array->dimensions[3], "x", ZarrDimensionType_Space, 64, 32);

    size_t most = 0;
    check(ZarrStreamSettings_estimate_max_memory_usage(&settings, &most));
    printf("takes at most %zu bytes for pixels\n", most);

    ZarrStream* stream = ZarrStream_create(&settings);
    ZarrStreamSettings_destroy_arrays(&settings);
    if (stream == NULL) {
        return 1;
    }
    check(ZarrStream_write_custom_metadata(stream, NULL, "microscope", "{\"objective\": \"20x\"}"));
    record(stream, NULL, 12, 48, 64); /* NULL: there is one array only */
    return finish(stream);
}

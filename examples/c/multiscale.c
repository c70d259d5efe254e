/* An OME-NGFF image with a pyramid, of bytes that come in pieces: multiscale [store] */
#include "example.h"

enum
{
    HEIGHT = 96,
    WIDTH = 128,
    FRAMES = 6
};

int
main(int argc, char** argv)
{
    ZarrArraySettings array;
    memset(&array, 0, sizeof(array));
    array.data_type = ZarrDataType_uint16;
    array.multiscale = true;
    array.downsampling_method = ZarrDownsamplingMethod_Mean;
    array.max_levels = 2;
    set_time_series(&array, HEIGHT, WIDTH, 32);
    array.dimensions[1].scale = array.dimensions[2].scale = 0.65; /* micrometers of a pixel */

    ZarrStreamSettings settings;
    memset(&settings, 0, sizeof(settings));
    settings.store_path = argc > 1 ? argv[1] : "multiscale.zarr";
    settings.overwrite = true;
    settings.arrays = &array;
    settings.array_count = 1;

    ZarrStream* stream = ZarrStream_create(&settings);
    ZarrArraySettings_destroy_dimension_array(&array);
    if (stream == NULL) {
        return 1;
    }

    static uint16_t frames[FRAMES * HEIGHT * WIDTH];
    for (uint32_t number = 0; number < FRAMES; ++number) {
        expose(&frames[number * HEIGHT * WIDTH], number, HEIGHT, WIDTH);
    }
    /* A link that sends pieces of any length: here they end in the middle of pixels. */
    const char* bytes = (const char*)frames;
    for (size_t sent = 0; sent < sizeof(frames);) {
        const size_t left = sizeof(frames) - sent;
        const size_t piece = left < 1001 ? left : 1001;
        size_t taken = 0;
        check(ZarrStream_append(stream, bytes + sent, piece, &taken, NULL));
        sent += taken;
    }
    return finish(stream);
}

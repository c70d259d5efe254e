/* Frames into a bucket: s3 ENDPOINT BUCKET [prefix]
 *
 * Credentials come from the environment: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. */
#include "example.h"

int
main(int argc, char** argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: s3 ENDPOINT BUCKET [prefix]\n");
        return 2;
    }
    ZarrS3Settings s3 = { argv[1], argv[2], "us-east-1" };
    ZarrCompressionSettings compression = { ZarrCompressor_Blosc1, ZarrCompressionCodec_BloscZstd, 1, 1 };

    ZarrArraySettings array;
    memset(&array, 0, sizeof(array));
    array.data_type = ZarrDataType_uint16;
    array.compression_settings = &compression;
    array.multiscale = true;
    array.downsampling_method = ZarrDownsamplingMethod_Decimate;
    set_time_series(&array, 64, 64, 32);
    array.dimensions[0].shard_size_chunks = 4; /* few large objects */
    array.dimensions[1].shard_size_chunks = array.dimensions[2].shard_size_chunks = 2;

    ZarrStreamSettings settings;
    memset(&settings, 0, sizeof(settings));
    settings.store_path = argc > 3 ? argv[3] : "s3.zarr";
    settings.s3_settings = &s3;
    settings.overwrite = true;
    settings.arrays = &array;
    settings.array_count = 1;

    ZarrStream* stream = ZarrStream_create(&settings);
    ZarrArraySettings_destroy_dimension_array(&array);
    if (stream == NULL) {
        return 1;
    }
    record(stream, NULL, 9, 64, 64);
    return finish(stream);
}

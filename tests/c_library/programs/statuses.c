/* What calls return, and what they say of it. */
#include "test.h"

static void
arguments(void)
{
    size_t number = 7;
    char* key = NULL;
    ZarrStreamSettings settings;
    memset(&settings, 0, sizeof(settings));
    EXPECT(strcmp(Zarr_get_api_version(), "0.10.0") == 0);
    EXPECT(Zarr_get_log_level() == ZarrLogLevel_Warning);
    EXPECT(Zarr_set_log_level(ZarrLogLevelCount) == ZarrStatusCode_InvalidArgument);
    EXPECT(Zarr_set_log_level(ZarrLogLevel_None) == ZarrStatusCode_Success);
    EXPECT(Zarr_get_log_level() == ZarrLogLevel_None);
    EXPECT(strcmp(Zarr_get_status_message(ZarrStatusCode_Success), "Success") == 0);
    EXPECT(strcmp(Zarr_get_status_message(ZarrStatusCodeCount), "Unknown status") == 0);
    EXPECT(ZarrStreamSettings_create_arrays(NULL, 1) == ZarrStatusCode_InvalidArgument);
    EXPECT(ZarrStreamSettings_create_arrays(&settings, 0) == ZarrStatusCode_InvalidArgument);
    EXPECT(says(ZarrStatusCode_InvalidArgument, "at least 1"));
    EXPECT(ZarrStreamSettings_create_arrays(&settings, SIZE_MAX) == ZarrStatusCode_OutOfMemory);
    EXPECT(ZarrStream_create(NULL) == NULL);
    ZarrStream_destroy(NULL);
    EXPECT(ZarrStream_close(NULL) == ZarrStatusCode_InvalidArgument);
    EXPECT(ZarrStream_append(NULL, "", 1, &number, NULL) == ZarrStatusCode_InvalidArgument);
    EXPECT(number == 0);
    EXPECT(ZarrStreamSettings_get_array_count(NULL) == 0);
    EXPECT(ZarrStreamSettings_get_array_key(&settings, 0, &key) == ZarrStatusCode_InvalidIndex);
    EXPECT(ZarrStream_close((ZarrStream*)&settings) == ZarrStatusCode_InvalidArgument);
    EXPECT(says(ZarrStatusCode_InvalidArgument, "no such stream"));
}

static void
refused_settings(void)
{
    ZarrArraySettings arrays[2];
    ZarrStreamSettings settings;
    memset(&settings, 0, sizeof(settings));
    settings.array_count = 2;
    EXPECT(ZarrStream_create(&settings) == NULL);
    EXPECT(says(ZarrStatusCode_InvalidSettings, "arrays is NULL, but there are 2 of them"));
    describe(&arrays[0], "a", 0);
    describe(&arrays[1], "b", 0);
    settings.arrays = arrays;
    settings.store_path = "refused.zarr";
    settings.version = (ZarrVersion)7;
    EXPECT(ZarrStream_create(&settings) == NULL);
    EXPECT(says(ZarrStatusCode_InvalidSettings, "version is 7, which names nothing; it is one of 2"));
    settings.version = ZarrVersion_3;
    arrays[1].dimensions[2].type = (ZarrDimensionType)9;
    EXPECT(ZarrStream_create(&settings) == NULL);
    EXPECT(says(ZarrStatusCode_InvalidSettings, "arrays[1].dimensions[2].type is 9"));
    arrays[1].dimensions[2].type = ZarrDimensionType_Space;
    arrays[1].dimensions[2].chunk_size_px = 0;
    EXPECT(ZarrStream_create(&settings) == NULL);
    EXPECT(says(ZarrStatusCode_InvalidSettings, "chunk"));
    arrays[1].dimensions[2].chunk_size_px = EDGE;
    arrays[1].output_key = "\xff";
    EXPECT(ZarrStream_create(&settings) == NULL);
    EXPECT(says(ZarrStatusCode_InvalidSettings, "arrays[1].output_key is not UTF-8"));
    arrays[1].output_key = "b";
    settings.store_path = "not/there/refused.zarr";
    EXPECT(ZarrStream_create(&settings) == NULL);
    ZarrArraySettings_destroy_dimension_array(&arrays[0]);
    ZarrArraySettings_destroy_dimension_array(&arrays[1]);
}

static void
bytes(void)
{
    uint16_t frames[4][EDGE * EDGE];
    size_t taken = 7;
    size_t usage = 0;
    for (int i = 0; i < 4 * EDGE * EDGE; ++i) {
        frames[0][i] = (uint16_t)i;
    }
    ZarrStream* stream = open_stream("bytes.zarr", 4);
    EXPECT(stream != NULL);
    EXPECT(ZarrStream_append(stream, frames, FRAME, NULL, NULL) == ZarrStatusCode_InvalidArgument);
    EXPECT(ZarrStream_append(stream, frames, FRAME, &taken, "zz") == ZarrStatusCode_KeyNotFound);
    EXPECT(taken == 0 && says(ZarrStatusCode_KeyNotFound, "zz"));
    EXPECT(ZarrStream_append(stream, frames, 0, &taken, NULL) == ZarrStatusCode_Success);
    EXPECT(taken == 0);
    /* one frame, one and a half pixels, the rest of two frames and half a pixel */
    const char* data = (const char*)frames;
    EXPECT(ZarrStream_append(stream, data, FRAME, &taken, "") == ZarrStatusCode_Success);
    EXPECT(taken == FRAME);
    EXPECT(ZarrStream_append(stream, data + FRAME, 3, &taken, NULL) == ZarrStatusCode_Success);
    EXPECT(taken == 3);
    EXPECT(ZarrStream_append(stream, data + FRAME + 3, 2 * FRAME - 2, &taken, "/") ==
           ZarrStatusCode_Success);
    EXPECT(taken == 2 * FRAME - 2);
    EXPECT(ZarrStream_get_current_memory_usage(stream, &usage) == ZarrStatusCode_Success);
    EXPECT(usage > 0);
    /* more than fits: nothing is taken, and what fits is taken afterwards */
    EXPECT(ZarrStream_append(stream, data, 5 * FRAME, &taken, NULL) ==
           ZarrStatusCode_WriteOutOfBounds);
    EXPECT(taken == 0 && says(ZarrStatusCode_WriteOutOfBounds, "4 frames"));
    EXPECT(ZarrStream_append(stream, data + 3 * FRAME + 1, FRAME - 1, &taken, NULL) ==
           ZarrStatusCode_Success);
    EXPECT(taken == FRAME - 1);
    EXPECT(ZarrStream_append(stream, data, 2, &taken, NULL) == ZarrStatusCode_WriteOutOfBounds);
    EXPECT(taken == 0);
    EXPECT(ZarrStream_close(stream) == ZarrStatusCode_Success);
    EXPECT(ZarrStream_close(stream) == ZarrStatusCode_Success);
    EXPECT(ZarrStream_append(stream, data, 2, &taken, NULL) == ZarrStatusCode_InvalidArgument);
    EXPECT(says(ZarrStatusCode_InvalidArgument, "closed"));
    ZarrStream_destroy(stream);
    ZarrStream_destroy(stream); /* it is noticed */
    EXPECT(says(ZarrStatusCode_InvalidArgument, "no such stream"));
}

static void
passed_over(void)
{
    uint16_t frame[EDGE * EDGE];
    size_t taken = 0;
    memset(frame, 1, sizeof(frame));
    ZarrStream* stream = open_stream("passed_over.zarr", 0);
    EXPECT(stream != NULL);
    EXPECT(ZarrStream_append(stream, frame, 3, &taken, NULL) == ZarrStatusCode_Success);
    EXPECT(ZarrStream_append(stream, NULL, 2 * FRAME, &taken, NULL) == ZarrStatusCode_Success);
    EXPECT(taken == 2 * FRAME);
    EXPECT(ZarrStream_append(stream, frame, FRAME - 3, &taken, NULL) == ZarrStatusCode_Success);
    ZarrStream_destroy(stream);
}

static void
metadata(void)
{
    ZarrStream* stream = open_stream("metadata.zarr", 0);
    EXPECT(stream != NULL);
    EXPECT(ZarrStream_write_custom_metadata(stream, NULL, NULL, NULL) ==
           ZarrStatusCode_InvalidArgument);
    EXPECT(ZarrStream_write_custom_metadata(stream, NULL, NULL, "{") ==
           ZarrStatusCode_InvalidArgument);
    EXPECT(ZarrStream_write_custom_metadata(stream, NULL, "ome", "{}") ==
           ZarrStatusCode_InvalidArgument);
    EXPECT(ZarrStream_write_custom_metadata(stream, "zz", NULL, "{}") ==
           ZarrStatusCode_KeyNotFound);
    EXPECT(ZarrStream_write_custom_metadata(stream, NULL, NULL, "{\"a\": 1}") ==
           ZarrStatusCode_Success);
    EXPECT(ZarrStream_write_custom_metadata(stream, "", "b", "[2] /* two */") ==
           ZarrStatusCode_Success);
    ZarrStream_destroy(stream);

    /* the store is there, and may not be replaced */
    ZarrArraySettings array;
    ZarrStreamSettings settings;
    memset(&settings, 0, sizeof(settings));
    describe(&array, NULL, 0);
    settings.store_path = "metadata.zarr";
    settings.arrays = &array;
    settings.array_count = 1;
    EXPECT(ZarrStream_create(&settings) == NULL);
    EXPECT(says(ZarrStatusCode_WillNotOverwrite, "metadata.zarr"));
    ZarrArraySettings_destroy_dimension_array(&array);
}

int
main(void)
{
    arguments();
    refused_settings();
    bytes();
    passed_over();
    metadata();
    return 0;
}

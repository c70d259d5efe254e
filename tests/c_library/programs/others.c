/* What published programs for acquire-zarr do that the examples of this project do not. */
#include "test.h"

static uint16_t frame[EDGE * EDGE];

static void
append(ZarrStream* stream, const void* data, const char* key)
{
    size_t taken = 0;
    EXPECT(ZarrStream_append(stream, data, FRAME, &taken, key) == ZarrStatusCode_Success);
    EXPECT(taken == FRAME);
}

/* A frame that is NULL is skipped. */
static void
nothing(void)
{
    ZarrStream* stream = open_stream("nothing.zarr", 2);
    append(stream, NULL, NULL);
    append(stream, frame, NULL);
    ZarrStream_destroy(stream);
}

/* The array of a field has the field's path as its key; another array lies inside of the well. */
static void
plate(void)
{
    const char* rows[] = { "A" };
    const char* columns[] = { "1" };
    ZarrArraySettings field, labels;
    describe(&field, "fov1", 0);
    describe(&labels, "plate/A/1/extra", 0);

    ZarrHCSWell well;
    memset(&well, 0, sizeof(well));
    well.row_name = rows[0];
    well.column_name = columns[0];
    EXPECT(ZarrHCSWell_create_image_array(&well, 1) == ZarrStatusCode_Success);
    well.images[0].path = "fov1";
    well.images[0].array_settings = &field;

    ZarrHCSPlate all;
    memset(&all, 0, sizeof(all));
    all.path = "plate";
    all.row_names = rows;
    all.row_count = 1;
    all.column_names = columns;
    all.column_count = 1;
    all.wells = &well;
    all.well_count = 1;
    ZarrHCSSettings plates = { &all, 1 };

    ZarrStreamSettings settings;
    memset(&settings, 0, sizeof(settings));
    settings.store_path = "plate.zarr";
    settings.version = ZarrVersion_3;
    settings.arrays = &labels;
    settings.array_count = 1;
    settings.hcs_settings = &plates;
    EXPECT(ZarrStreamSettings_get_array_count(&settings) == 2);
    ZarrStream* stream = ZarrStream_create(&settings);
    EXPECT(stream != NULL);

    /* All settings are gone before the first frame. */
    ZarrArraySettings_destroy_dimension_array(&field);
    ZarrArraySettings_destroy_dimension_array(&labels);
    ZarrHCSWell_destroy_image_array(&well);
    memset(&settings, 0xff, sizeof(settings));
    append(stream, frame, "plate/A/1/fov1");
    append(stream, frame, "plate/A/1/extra");
    ZarrStream_destroy(stream);
}

int
main(void)
{
    for (int pixel = 0; pixel < EDGE * EDGE; ++pixel) {
        frame[pixel] = (uint16_t)(pixel + 1);
    }
    nothing();
    plate();
    return 0;
}

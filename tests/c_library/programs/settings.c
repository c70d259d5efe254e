/* Arrays of settings are made and freed, with everything in them; Python is not started. */
#include "test.h"

int
main(void)
{
    ZarrStreamSettings settings;
    ZarrHCSSettings hcs;
    ZarrArraySettings image;
    memset(&settings, 0, sizeof(settings));
    memset(&hcs, 0, sizeof(hcs));
    for (size_t round = 1; round < 4; ++round) { /* the next round frees the one before */
        EXPECT(ZarrStreamSettings_create_arrays(&settings, round) == ZarrStatusCode_Success);
        EXPECT(settings.array_count == round);
        for (size_t i = 0; i < round; ++i) {
            EXPECT(settings.arrays[i].dimensions == NULL && settings.arrays[i].max_levels == 0);
            describe(&settings.arrays[i], "a", 0);
        }
        EXPECT(ZarrHCSSettings_create_plate_array(&hcs, round) == ZarrStatusCode_Success);
        ZarrHCSPlate* plate = &hcs.plates[round - 1];
        EXPECT(ZarrHCSPlate_create_row_name_array(plate, 3) == ZarrStatusCode_Success);
        EXPECT(plate->row_count == 3 && plate->row_names[2] == NULL);
        EXPECT(ZarrHCSPlate_create_column_name_array(plate, 3) == ZarrStatusCode_Success);
        EXPECT(ZarrHCSPlate_create_acquisition_array(plate, 2) == ZarrStatusCode_Success);
        EXPECT(!plate->acquisitions[1].has_end_time);
        EXPECT(ZarrHCSPlate_create_well_array(plate, 2) == ZarrStatusCode_Success);
        EXPECT(ZarrHCSWell_create_image_array(&plate->wells[1], 1) == ZarrStatusCode_Success);
        describe(&image, NULL, 0);
        plate->wells[1].images[0].array_settings = &image;
    }
    ZarrStreamSettings_destroy_arrays(&settings);
    ZarrStreamSettings_destroy_arrays(&settings);
    ZarrStreamSettings_destroy_arrays(NULL);
    EXPECT(settings.arrays == NULL && settings.array_count == 0);
    ZarrHCSSettings_destroy_plate_array(&hcs);
    EXPECT(hcs.plates == NULL && image.dimensions == NULL);
    EXPECT(Zarr_set_log_level(ZarrLogLevel_Error) == ZarrStatusCode_Success);
    return 0;
}
